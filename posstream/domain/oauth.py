"""What a client of OAuth 2.0 asks a token endpoint for, and what the answer says. No I/O.

Client credentials, RFC 6749, 4.4. No error holds a token, or what the token endpoint wrote.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus

import orjson

#: How long a token endpoint may take.
TIMEOUT_SECONDS: Final = 10
#: The longest answer that is read.
MAX_BODY_BYTES: Final = 64 * 1024
#: Longest access token: those that list a user's groups are long.
_MAX_TOKEN: Final = 16 * 1024
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
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
    """There is no access token; the message names the cause."""


class AccessToken(NamedTuple):
    """A bearer token."""

    value: str
    #: How long after the request it is renewed.
    renew_after_seconds: float
    #: How long after the request it is good.
    valid_seconds: float


def asked(scope: str | None) -> Mapping[str, str]:
    """The form that is sent to the token endpoint."""
    form = {"grant_type": "client_credentials"}
    return form if scope is None else {**form, "scope": scope}


def authorization(client_id: str, client_secret: str) -> str:
    """The header of that request: RFC 6749, 2.3.1 has id and secret form-encoded first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def read_token(status: int, body: bytes | None) -> AccessToken:
    """The token in an answer.

    Raises:
        NoToken: if there is none.
    """
    answer = _read(body)
    if status != _OK:
        error = answer.get("error")
        said = f", {error}" if isinstance(error, str) and error in _ERRORS else ""
        raise NoToken(f"the token endpoint answered with HTTP status {status}{said}")
    token, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
    if not _is_token(token) or str(kind).lower() != "bearer":
        raise NoToken("the token endpoint answered without a bearer token")
    seconds = _seconds(answer.get("expires_in"))
    renew_after = seconds - min(_RENEW_BEFORE_SECONDS, seconds / 2)
    return AccessToken(str(token), renew_after, seconds)


def too_slow() -> NoToken:
    """The error of an endpoint that does not answer in time."""
    return NoToken(f"the token endpoint took more than {TIMEOUT_SECONDS} s")


def unreachable(why: BaseException) -> NoToken:
    """The error of an endpoint that cannot be reached."""
    return NoToken(f"cannot reach the token endpoint ({type(why).__name__})")


def _read(body: bytes | None) -> dict[str, Any]:
    try:
        answer = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _is_token(raw: object) -> bool:
    """Whether a value can be sent as a bearer token."""
    return isinstance(raw, str) and len(raw) <= _MAX_TOKEN and bool(_TOKEN.fullmatch(raw))


def _seconds(raw: object) -> float:
    """How long a token is valid; some endpoints write the number as text."""
    try:
        seconds = float(raw) if isinstance(raw, int | float | str) else _DEFAULT_SECONDS
    except ValueError:
        return _DEFAULT_SECONDS
    return min(seconds, _MAX_SECONDS) if seconds > 0 else _DEFAULT_SECONDS
