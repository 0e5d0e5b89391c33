"""What an answer says about its customer, and the digest that shows a repeat. Pure."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

#: The customer's JSON, the identifier, its kind, and `fetched_at` as stored.
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
    """A 64-bit digest; signed, as SQL's BIGINT is."""
    document, *others = told
    digest = blake2b(document, digest_size=8)
    digest.update(repr(others).encode())
    return int.from_bytes(digest.digest(), signed=True)
