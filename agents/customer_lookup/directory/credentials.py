"""Credentials for the directory: bearer, basic, or a client of OAuth 2.0. Pure."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

#: The beginning of the error of an attempt that got no access token.
UNAUTHORISED: Final = "no access token"
_MAX_LENGTH: Final = 4096
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
#: A shorter secret is not looked for in answers: it would be found in ordinary words.
_MIN_SECRET: Final = 8


@dataclass(frozen=True, slots=True)
class Credentials:
    """The value of the header `Authorization`, and the endpoint whose origin alone may see it."""

    authorization: str = field(repr=False)
    endpoint: str

    def may_be_in(self, text: bytes) -> bool:
        """Whether a secret of ours may be in a JSON text without escapes."""
        return any(secret in text for secret in _secret_bytes(self.authorization))

    def redacted(self, value: Any) -> Any:
        """A JSON value without our secrets: some services repeat a request in their answer."""
        return _redacted(value, _secrets(self.authorization))


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client of OAuth 2.0 that gets a token by its own credentials (RFC 6749, 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None
    #: Tokens are sent to the origin of this endpoint only.
    endpoint: str


def read_authorization(raw: str) -> str:
    """The header for `bearer TOKEN` or `basic USER:PASSWORD`, the scheme in any case.

    Raises:
        ValueError: if it is neither; the text is not echoed.
    """
    scheme, _, secret = raw.partition(" ")
    secret = secret.strip()
    if len(raw) <= _MAX_LENGTH:
        if scheme.lower() == "bearer" and _TOKEN.fullmatch(secret):
            return f"Bearer {secret}"
        # RFC 7617: the user has no colon, the password may have some.
        if scheme.lower() == "basic" and ":" in secret and secret.isprintable():
            return f"Basic {base64.b64encode(secret.encode()).decode()}"
    raise ValueError("must be bearer TOKEN or basic USER:PASSWORD")


def _secrets(authorization: str) -> list[str]:
    """The secret in each form in which it could come back, the longest first."""
    scheme, _, token = authorization.partition(" ")
    found = {token}
    if scheme == "Basic":
        pair = base64.b64decode(token).decode()
        found |= {pair, pair.partition(":")[2]}
    return sorted((one for one in found if len(one) >= _MIN_SECRET), key=len, reverse=True)


@lru_cache(maxsize=4)  # each answer asks
def _secret_bytes(authorization: str) -> list[bytes]:
    return [secret.encode() for secret in _secrets(authorization)]


def _redacted(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, Mapping):
        return {_redacted(key, secrets): _redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, secrets) for item in value]
    return value
