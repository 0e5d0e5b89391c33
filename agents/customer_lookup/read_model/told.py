"""What an answer says of its customer: the same once more need not be written. Pure."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

#: Document, identifier and its kind, `fetched_at` as it is stored.
Told = tuple[bytes, str, str | None, str | None]


def told_by(answer: Mapping[str, Any], document: bytes) -> Told:
    """What an answer says, from its row and the JSON of its customer."""
    return (
        document,
        answer["customer_identifier"],
        answer["identifier_kind"],
        answer["fetched_at"],
    )


def digest_of(told: Told) -> int:
    """64 bits of it, with a sign, as SQL stores whole numbers."""
    document, *others = told
    digest = blake2b(document, digest_size=8)
    digest.update(repr(others).encode())
    return int.from_bytes(digest.digest(), signed=True)
