"""Makes and reads references to ids in URLs and GraphQL: the id as it is, or sealed.

An id is sealed if it is a phone or an e-mail address, which not everybody may see, or if it has
characters that no path of a URL keeps. Every worker with the same access keys reads what another
one sealed.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable
from typing import Final

from posstream.domain.access_key import AccessKey
from posstream.domain.masking import is_personal
from web.access.session import slow_key

#: A sealed reference starts with it.
MARK: Final = "~"
_TAG_BYTES: Final = 16
#: Path segments that clients resolve, however they are quoted (WHATWG URL).
_DOTS: Final = frozenset({".", ".."})


class References:
    """Makes references and reads them: `references.read(references.of(any_id)) == any_id`.

    The seal is a synthetic-IV construction (RFC 5297) of HMAC-SHA-256: the same id has the same
    reference, and nobody without the secret can read or make one.
    """

    def __init__(self, secret: bytes) -> None:
        self._tags, self._stream = (
            hmac.digest(secret, purpose, "sha256") for purpose in (b"tag", b"stream")
        )

    @classmethod
    def of_keys(cls, keys: Iterable[AccessKey]) -> "References":
        """References that every worker with the same keys reads."""
        secrets = "\n".join(sorted(key.secret for key in keys)).encode()
        if not secrets:
            return cls(b"")  # without keys everybody may see everything
        return cls(slow_key(secrets, purpose=b"posstream reference", length=32))

    def of(self, an_id: str) -> str:
        """The reference of an id that anybody may see."""
        odd = an_id in _DOTS or an_id.startswith(MARK) or not an_id.isprintable()
        return self._sealed(an_id) if odd else an_id

    def of_customer(self, customer_id: str) -> str:
        """The reference of a customer's id, which may be a phone or an e-mail address."""
        return self._sealed(customer_id) if is_personal(customer_id) else self.of(customer_id)

    def read(self, reference: str) -> str:
        """The id of a reference; a text that was not sealed is an id itself."""
        if not reference.startswith(MARK):
            return reference
        try:
            sealed = base64.b64decode(
                reference[len(MARK) :] + "=" * (-(len(reference) - len(MARK)) % 4),
                b"-_",
                validate=True,
            )
            an_id = self._masked(sealed[:_TAG_BYTES], sealed[_TAG_BYTES:]).decode()
            if hmac.compare_digest(reference, self._sealed(an_id)):
                return an_id
        except (binascii.Error, ValueError):
            pass
        return reference

    def _sealed(self, an_id: str) -> str:
        plain = an_id.encode()
        tag = hmac.digest(self._tags, plain, "sha256")[:_TAG_BYTES]
        sealed = base64.urlsafe_b64encode(tag + self._masked(tag, plain)).decode()
        return MARK + sealed.rstrip("=")

    def _masked(self, tag: bytes, data: bytes) -> bytes:
        blocks = (
            hmac.digest(self._stream, tag + number.to_bytes(4), "sha256")
            for number in range(-(-len(data) // 32))
        )
        return bytes(a ^ b for a, b in zip(data, b"".join(blocks), strict=False))
