"""Finds customers that the database already has as an answer says, so that none is written again.

Each row of `customer_identifiers` holds a digest of what the answer that wrote it said. An answer
with the same digest changes neither that row nor the customer's.
"""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.schema import CUSTOMER_IDENTIFIERS, CUSTOMERS
from agents.customer_lookup.read_model.told import Told, digest_of
from posstream.read_model.named_rows import SLICE

_IDENTIFIERS: Final = CUSTOMER_IDENTIFIERS.c
_KNOWN: Final = select(
    _IDENTIFIERS.identifier, _IDENTIFIERS.answer_digest, _IDENTIFIERS.customer_id
).join(CUSTOMERS, CUSTOMERS.c.customer_id == _IDENTIFIERS.customer_id)


async def known_of(connection: AsyncConnection, told: Collection[Told]) -> Mapping[Told, str]:
    """Which of these `Told` the database already has, each with its customer's id."""
    by_identifier: dict[str, list[Told]] = {}
    for it in told:
        by_identifier.setdefault(it[1], []).append(it)
    known: dict[Told, str] = {}
    identifiers = sorted(by_identifier)
    for start in range(0, len(identifiers), SLICE):
        some = _KNOWN.where(_IDENTIFIERS.identifier.in_(identifiers[start : start + SLICE]))
        for identifier, digest, customer_id in await connection.execute(some):
            for it in by_identifier[identifier] if digest is not None else ():
                if digest_of(it) == digest:
                    known[it] = customer_id
    return known
