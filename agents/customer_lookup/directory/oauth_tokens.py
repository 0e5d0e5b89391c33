"""Gets and caches the access token by OAuth 2.0 client credentials (RFC 6749, 4.4).

No log line and no message holds a token, or what the token endpoint wrote.
"""

import asyncio

import aiohttp

from agents.customer_lookup.directory.credentials import UNAUTHORISED, Credentials, OAuthClient
from agents.customer_lookup.directory.exchange import read_at_most
from agents.customer_lookup.directory.session import DirectorySession, wire_url
from posstream.domain import oauth
from posstream.resilience.clock import Clock
from posstream.resilience.single_flight import SingleFlight


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
            token = await self._ask()
        except oauth.NoToken as why:
            raise NoToken(str(why)) from None
        credentials = Credentials(f"Bearer {token.value}", self._client.endpoint)
        self._token = credentials
        self._renew_at = asked_at + token.renew_after_seconds
        return credentials

    async def _ask(self) -> oauth.AccessToken:
        client = self._client
        try:
            # An attempt may give up before.
            async with (
                asyncio.timeout(oauth.TIMEOUT_SECONDS),
                self._session.request(
                    "POST",
                    wire_url(client.token_url),
                    data=oauth.asked(client.scope),
                    headers={
                        "Authorization": oauth.authorization(client.client_id, client.client_secret)
                    },
                ) as response,
            ):
                body = await read_at_most(response.content, oauth.MAX_BODY_BYTES)
                return oauth.read_token(response.status, body)
        except TimeoutError:
            raise oauth.too_slow() from None
        except (aiohttp.ClientError, OSError, ValueError) as why:
            raise oauth.unreachable(why) from None
