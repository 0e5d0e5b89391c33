"""Gets and caches the access token by OAuth 2.0 client credentials (RFC 6749, 4.4).

No log line and no message holds a token, or what the token endpoint wrote.
"""

import asyncio
from typing import Any, Final
from urllib.parse import quote_plus

import aiohttp
import orjson

from agents.customer_lookup.directory.credentials import (
    UNAUTHORISED,
    Credentials,
    OAuthClient,
    is_token,
)
from agents.customer_lookup.directory.exchange import read_at_most
from agents.customer_lookup.directory.session import DirectorySession, wire_url
from posstream.resilience.clock import Clock
from posstream.resilience.single_flight import SingleFlight

#: How long the token endpoint may take; an attempt may give up before.
_TIMEOUT_SECONDS: Final = 10
_MAX_BODY_BYTES: Final = 64 * 1024
#: A token is renewed this long before it expires, or after half of its lifetime if that is later.
_RENEW_BEFORE_SECONDS: Final = 30.0
#: Lifetime of a token whose answer has no `expires_in` (optional in RFC 6749, 5.1).
_DEFAULT_SECONDS: Final = 300.0
_MAX_SECONDS: Final = 86_400.0
#: The error codes of RFC 6749, 5.2. Nothing else that the endpoint wrote is repeated.
_ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)
_OK: Final = 200


class NoToken(Exception):
    """There is no access token; the message is a sentence that names the cause."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{UNAUTHORISED}: {why}")


class OAuthTokens:
    """The access token for one directory. For one event loop.

    Args:
        client: our id and secret, and the token endpoint.
        session: calls the token endpoint.
        clock: time.
    """

    def __init__(self, client: OAuthClient, session: DirectorySession, clock: Clock) -> None:
        self._client = client
        self._session = session
        self._clock = clock
        self._token: Credentials | None = None
        #: When to renew the token, in monotonic seconds.
        self._renew_at = 0.0
        self._flights: SingleFlight[str, Credentials] = SingleFlight()

    async def credentials(self) -> Credentials:
        """The token as credentials; all who need a new one share a call (single flight).

        Raises:
            NoToken: if the token endpoint gives none.
        """
        if self._token is not None and self._clock.monotonic() < self._renew_at:
            return self._token
        flight, _ = self._flights.join("token", lambda _: self._fetch())
        return await flight.result()

    def refused(self, credentials: Credentials) -> None:
        """Drop a token that the directory refused; a newer token stays."""
        if self._token == credentials:
            self._token = None

    async def close(self) -> None:
        """Cancel a call to the token endpoint that is under way."""
        await self._flights.drain(0)

    async def _fetch(self) -> Credentials:
        asked_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                status, body = await self._ask()
        except TimeoutError:
            raise NoToken(f"the token endpoint took more than {_TIMEOUT_SECONDS} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as why:
            raise NoToken(f"cannot reach the token endpoint ({type(why).__name__})") from None
        answer = _read(body)
        if status != _OK:
            error = answer.get("error")
            said = f", {error}" if isinstance(error, str) and error in _ERRORS else ""
            raise NoToken(f"the token endpoint answered with HTTP status {status}{said}")
        token, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
        if not is_token(token) or str(kind).lower() != "bearer":
            raise NoToken("the token endpoint answered without a bearer token")
        credentials = Credentials(f"Bearer {token}", self._client.endpoint)
        seconds = _seconds(answer.get("expires_in"))
        self._token = credentials
        self._renew_at = asked_at + seconds - min(_RENEW_BEFORE_SECONDS, seconds / 2)
        return credentials

    async def _ask(self) -> tuple[int, bytes | None]:
        client = self._client
        form = {"grant_type": "client_credentials"}
        if client.scope is not None:
            form["scope"] = client.scope
        # RFC 6749, 2.3.1: id and secret are form-encoded first.
        basic = aiohttp.encode_basic_auth(
            quote_plus(client.client_id), quote_plus(client.client_secret)
        )
        async with self._session.request(
            "POST",
            wire_url(client.token_url),
            data=form,
            headers={"Authorization": basic},
        ) as response:
            return response.status, await read_at_most(response.content, _MAX_BODY_BYTES)


def _read(body: bytes | None) -> dict[str, Any]:
    try:
        answer = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(raw: object) -> float:
    """How long a token is valid; some endpoints write the number as text."""
    try:
        seconds = float(raw) if isinstance(raw, int | float | str) else _DEFAULT_SECONDS
    except ValueError:
        return _DEFAULT_SECONDS
    return min(seconds, _MAX_SECONDS) if seconds > 0 else _DEFAULT_SECONDS
