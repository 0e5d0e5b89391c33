"""Keys and sessions of the web view: finds the caller of a key or of a cookie. No HTTP.

A session is a token that any worker with the same keys can check, so several workers may stand
behind one load balancer. It has a fingerprint of the key, the end, a random part and a signature
(HMAC-SHA-256). The key's role is looked up at each request. When a key is removed from the
settings, its sessions end.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from posstream.domain.access_key import AccessKey
from posstream.domain.roles import Caller
from posstream.resilience.clock import Clock

#: How long a session lasts: a shift and some.
SESSION_SECONDS: Final = 12 * 3600
_PARTS: Final = 4
_FINGERPRINT_BYTES: Final = 9


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: its caller, and the token that the caller's forms must carry."""

    caller: Caller
    #: Proves that a form came from a page of ours (CSRF); no other site can know it.
    form_token: str
    #: Seconds until the session ends, from when it was read.
    seconds_left: float


@dataclass(frozen=True, slots=True)
class _Signer:
    caller: Caller
    secret: bytes
    fingerprint: str
    signing_key: bytes

    @classmethod
    def of(cls, key: AccessKey) -> "_Signer":
        """The signer for the sessions of a key."""
        secret = key.secret.encode()
        derived = slow_key(secret, purpose=b"posstream session", length=32 + _FINGERPRINT_BYTES)
        fingerprint = base64.urlsafe_b64encode(derived[32:]).decode()
        return cls(key.caller, secret, fingerprint, derived[:32])

    def sign(self, purpose: str, text: str) -> str:
        """The signature of a text for one purpose."""
        digest = hmac.digest(self.signing_key, f"{purpose}:{text}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class Sessions:
    """The keys of one worker, and the sessions that they sign."""

    def __init__(self, keys: Iterable[AccessKey], clock: Clock) -> None:
        self._signers = [_Signer.of(key) for key in keys]
        self._by_fingerprint = {signer.fingerprint: signer for signer in self._signers}
        self._clock = clock

    def caller(self, secret: str) -> Caller | None:
        """The caller who has this key; None for a wrong key."""
        signer = self._signer(secret)
        return None if signer is None else signer.caller

    def open(self, secret: str) -> str | None:
        """The token of a new session for the caller of a key; None for a wrong key."""
        signer = self._signer(secret)
        if signer is None:
            return None
        ends_at = self._clock.now_ms() // 1000 + SESSION_SECONDS
        text = f"{signer.fingerprint}.{ends_at}.{secrets.token_urlsafe(12)}"
        return f"{text}.{signer.sign('session', text)}"

    def read(self, token: str) -> Session | None:
        """The session of a token; None if it is over or was never ours."""
        parts = token.split(".")
        if len(parts) != _PARTS or not token.isascii():
            return None
        fingerprint, ends_at, _, signature = parts
        signer = self._by_fingerprint.get(fingerprint)
        text = token.rpartition(".")[0]
        if signer is None or not hmac.compare_digest(signature, signer.sign("session", text)):
            return None
        seconds_left = int(ends_at) - self._clock.now_ms() / 1000
        if seconds_left <= 0:
            return None
        return Session(signer.caller, signer.sign("form", text), seconds_left)

    def is_forged(self, token: str) -> bool:
        """Whether a token was forged; one that has expired, or whose key was removed, was not."""
        parts = token.split(".")
        if len(parts) != _PARTS or not token.isascii():
            return bool(token)
        signer = self._by_fingerprint.get(parts[0])
        text = token.rpartition(".")[0]
        return signer is not None and not hmac.compare_digest(
            parts[-1], signer.sign("session", text)
        )

    def _signer(self, secret: str) -> _Signer | None:
        given = secret.encode("utf-8", "surrogateescape")
        # Compare in constant time, and with every key: the duration of a plain == would tell how
        # much of a guess was right.
        found = [one for one in self._signers if hmac.compare_digest(given, one.secret)]
        return found[0] if found else None


@cache
def slow_key(secret: bytes, *, purpose: bytes, length: int) -> bytes:
    """Derive a key of `length` bytes from an access key, slowly (scrypt, RFC 7914).

    So nobody can guess access keys offline from a signature or a seal: each guess costs 16 MiB and
    some 50 ms.
    """
    return hashlib.scrypt(secret, salt=purpose, n=2**14, r=8, p=1, dklen=length)
