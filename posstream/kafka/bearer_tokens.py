"""Gets and caches the access token that OAUTHBEARER shows to brokers (client credentials).

Clients of one process have several event loops: Faust's consumers are in threads. So the token is
asked for in a thread, and all clients share it.
"""

import asyncio
import http.client
import threading
from time import monotonic
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from posstream.domain import oauth
from posstream.kafka.security import BrokerSecurity

_FORM: Final = "application/x-www-form-urlencoded"
#: Until a token that is still good is renewed again, after the endpoint gave none.
_AGAIN_SECONDS: Final = 2.0


class NoBrokerToken(KafkaConnectionError):
    """There is no token for the broker. aiokafka keeps trying, as if the broker were away."""


class BearerTokens(AbstractTokenProvider):
    """The access token of one client of OAuth."""

    def __init__(self, security: BrokerSecurity) -> None:
        self._security = security
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = self._ends_at = 0.0

    async def token(self) -> str:
        """The token; clients that need a new one share one request.

        Raises:
            NoBrokerToken: if the token endpoint gives none.
        """
        return await asyncio.to_thread(self._current)

    def _current(self) -> str:
        with self._lock:
            asked_at = monotonic()
            if asked_at >= self._renew_at:
                try:
                    token = _fetch(self._security)
                except oauth.NoToken as why:
                    if monotonic() >= self._ends_at:
                        raise NoBrokerToken(str(why)) from None
                    # Others wait behind this request; they need not ask again at once.
                    self._renew_at = monotonic() + _AGAIN_SECONDS
                else:
                    self._token = token.value
                    self._renew_at = asked_at + token.renew_after_seconds
                    self._ends_at = asked_at + token.valid_seconds
            return self._token


def _fetch(security: BrokerSecurity) -> oauth.AccessToken:
    parts = urlsplit(security.oauth_token_url or "")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {
        "Authorization": oauth.authorization(security.username or "", security.password or ""),
        "Content-Type": _FORM,
        "Accept": "application/json",
    }
    try:
        connection = _connection(parts.scheme, parts.hostname or "", parts.port, security)
        try:
            connection.request("POST", path, urlencode(oauth.asked(security.oauth_scope)), headers)
            answer = connection.getresponse()
            return oauth.read_token(answer.status, answer.read(oauth.MAX_BODY_BYTES))
        finally:
            connection.close()
    except TimeoutError:
        raise oauth.too_slow() from None
    except (http.client.HTTPException, OSError, ValueError) as why:
        raise oauth.unreachable(why) from None


def _connection(
    scheme: str, host: str, port: int | None, security: BrokerSecurity
) -> http.client.HTTPConnection:
    """A connection without proxy and redirects: the secret goes to this host only."""
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=oauth.TIMEOUT_SECONDS)
    return http.client.HTTPSConnection(
        host,
        port,
        timeout=oauth.TIMEOUT_SECONDS,
        context=security.token_files.context(with_certificate=False),
    )
