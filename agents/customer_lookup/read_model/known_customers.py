"""Finds customers that the database already has as an answer says, so that none is written again.

Each row of `customer_identifiers` holds a digest of what the answer that wrote it said. An answer
with the same digest changes neither that row nor the customer's.
"""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.schema import CUSTOMER_IDENTIFIERS, CUSTOMERS
from agents.customer_lookup.read_model.told import Told, digest_of
from posstream.read_model.named_rows import SLICE
from posstream.read_model.stored_time import stored

_IDENTIFIERS: Final = CUSTOMER_IDENTIFIERS.c
#: The row of the customer may be gone, or made again from an older answer.
_KNOWN: Final = select(
    _IDENTIFIERS.identifier,
    _IDENTIFIERS.answer_digest,
    _IDENTIFIERS.fetched_at,
    _IDENTIFIERS.customer_id,
).join(
    CUSTOMERS,
    and_(
        CUSTOMERS.c.customer_id == _IDENTIFIERS.customer_id,
        CUSTOMERS.c.fetched_at >= _IDENTIFIERS.fetched_at,
    ),
)


async def known_of(connection: AsyncConnection, told: Collection[Told]) -> Mapping[Told, str]:
    """Which of these `Told` the database already has, each with its customer's id."""
    by_identifier: dict[str, list[Told]] = {}
    for it in told:
        by_identifier.setdefault(it[1], []).append(it)
    known: dict[Told, str] = {}
    identifiers = sorted(by_identifier)
    for start in range(0, len(identifiers), SLICE):
        some = _KNOWN.where(_IDENTIFIERS.identifier.in_(identifiers[start : start + SLICE]))
        for identifier, digest, fetched_at, customer_id in await connection.execute(some):
            for it in by_identifier[identifier] if digest is not None else ():
                # An older posstream changes a row and leaves the digest.
                if digest_of(it) == digest and stored(fetched_at) == it[-1]:
                    known[it] = customer_id
    return known
