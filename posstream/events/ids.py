"""Derives ids from inputs: every delivery of one input gives the same ids."""

import struct
import uuid
from binascii import hexlify
from typing import Final

try:
    # Python's own, in a third of the time of `hashlib.sha1`, which sets OpenSSL up anew each time.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha1

#: Namespace of every id that posstream derives (RFC 9562, UUID version 5).
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:posstream")
_NAMESPACE_BYTES: Final = _NAMESPACE.bytes
#: A digit of the digest -> the digit with the variant's bits set (RFC 9562, 4.1).
_VARIANTS: Final = {
    ord(digit): b"89ab"[number & 3 : (number & 3) + 1]
    for number, digit in enumerate("0123456789abcdef")
}
#: The digits of a digest that an id keeps; version and variant replace two of them.
_GROUPS: Final = struct.Struct("8s4sx3sx3s12s").unpack_from


def input_id(
    event_id: str | None, topic: str, partition: int, offset: int, timestamp_ms: int
) -> str:
    """The id of an input, the same for every delivery.

    An input without event_id is known by its place and its record's own timestamp. The place alone
    is not unique: a topic that is made anew begins at offset 0 again.
    """
    return derived(event_id or f"{topic}/{partition}/{offset}/{timestamp_ms}")


def derived(name: str) -> str:
    """The UUID (version 5) of a name in posstream's namespace."""
    return derived_bytes(name.encode()).decode()


def derived_bytes(name: bytes) -> bytes:
    """`derived` for bytes of UTF-8; the objects of `uuid.uuid5` would take four times as long."""
    return b"5".join(derived_halves(name))


def derived_halves(name: bytes) -> tuple[bytes, bytes]:
    """The bytes of `derived_bytes` before and after its version, the digit `5`."""
    h = hexlify(sha1(_NAMESPACE_BYTES + name).digest())  # noqa: S324 - RFC 9562 says so
    a, b, c, d, e = _GROUPS(h)
    return b"".join((a, b"-", b, b"-")), b"".join((c, b"-", _VARIANTS[h[16]], d, b"-", e))
