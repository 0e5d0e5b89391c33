"""Takes the names of forgotten customers out of the rows, and finds rows by a customer's names.

Items and money stay: they are the shop's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.baskets.fold import fold
from agents.baskets.read_model.rows import names_of, stored_events
from agents.baskets.read_model.schema import TILL_BASKETS
from posstream.forgetting.forgotten import meant_names
from posstream.forgetting.marks import CUSTOMER_PREFIX, IDENTIFIER_PREFIX, Marks, Trail
from posstream.read_model.engine import read_only
from posstream.read_model.named_rows import as_json, rows_named, update_rows

_COLUMNS = TILL_BASKETS.c


async def erase_names(connection: AsyncConnection, marks: Marks) -> None:
    """Take out what is from before the marks."""
    identifier, customer_id = _COLUMNS.customer_identifier, _COLUMNS.customer_id
    rows = await rows_named(
        connection,
        (_COLUMNS.basket_id, _COLUMNS.events),
        (identifier, await meant_names(connection, IDENTIFIER_PREFIX, [identifier], marks)),
        (customer_id, await meant_names(connection, CUSTOMER_PREFIX, [customer_id], marks)),
    )
    named = []
    for row in sorted(rows, key=lambda row: str(row["basket_id"])):
        events = stored_events(row["events"])
        names = names_of(events, fold(events), marks).columns
        named.append({"of": row["basket_id"], **names})
    if named:
        changed = [name for name in named[0] if name != "of"]
        await update_rows(connection, _COLUMNS.basket_id, changed, named)


async def trail_of(engine: AsyncEngine, identifier: str) -> Trail:
    """The customers whose baskets name an identifier."""
    trail = Trail((identifier,))
    return Trail((identifier,), await _named_by(engine, _COLUMNS.customer_id, trail))


async def trail_of_customer(engine: AsyncEngine, customer_id: str) -> Trail:
    """The identifiers that the baskets of a customer name."""
    trail = Trail((), (customer_id,))
    found = await _named_by(engine, _COLUMNS.customer_identifier, trail)
    return Trail(found, (customer_id,))


async def counts(engine: AsyncEngine, trail: Trail) -> Mapping[str, int]:
    """How many baskets name a customer."""
    asked = select(func.count()).select_from(TILL_BASKETS).where(_named(trail))
    async with read_only(engine).connect() as connection:
        return {TILL_BASKETS.name: await connection.scalar(asked) or 0}


async def export(engine: AsyncEngine, trail: Trail) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The baskets that name a customer, as values for JSON."""
    asked = select(TILL_BASKETS).where(_named(trail)).order_by(_COLUMNS.basket_id)
    async with read_only(engine).connect() as connection:
        rows = (await connection.execute(asked)).mappings().all()
    return {TILL_BASKETS.name: [as_json(row) for row in rows]}


async def _named_by(engine: AsyncEngine, column: Column[str], trail: Trail) -> tuple[str, ...]:
    asked = select(column).where(_named(trail), column.is_not(None)).distinct().order_by(column)
    async with read_only(engine).connect() as connection:
        return tuple(await connection.scalars(asked))


def _named(trail: Trail) -> ColumnElement[bool]:
    return or_(
        _COLUMNS.customer_identifier.in_(trail.identifiers),
        _COLUMNS.customer_id.in_(trail.customer_ids),
    )
