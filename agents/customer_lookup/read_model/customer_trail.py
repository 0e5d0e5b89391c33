"""Finds the names and rows of a customer who is to be forgotten, or who asks for an export.

Only reads: the projection deletes the rows when the marks come (`erasure`).
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.schema import (
    BASKETS,
    CUSTOMER_IDENTIFIERS,
    CUSTOMER_LOOKUP_LOGS,
    CUSTOMERS,
    LOOKUP_ANSWERS,
    READ_MODEL,
)
from posstream.forgetting.marks import Trail
from posstream.read_model.engine import read_only
from posstream.read_model.named_rows import as_json

#: Columns that say nothing about a customer.
_OF_OURS: Final = frozenset({CUSTOMER_IDENTIFIERS.c.answer_digest})


class CustomerTrails:
    """Trails and rows in SQLite or PostgreSQL; every method may raise the database's errors.

    Args:
        engine: from `engine.create_engine`, migrated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = read_only(engine)

    async def trail(self, identifier: str) -> Trail:
        """The customer of a normalised identifier, with all identifiers that lead there now.

        The given identifier is the last one, and the only one if it is unknown.
        """
        columns = CUSTOMER_IDENTIFIERS.c
        owner = select(columns.customer_id).where(columns.identifier == identifier)
        async with self._engine.connect() as connection:
            customer_ids = tuple(await connection.scalars(owner))
            aliases = await connection.scalars(
                select(columns.identifier)
                .where(columns.customer_id.in_(customer_ids), columns.identifier != identifier)
                .order_by(columns.identifier)
            )
            return Trail((*aliases, identifier), customer_ids)

    async def trail_of_customer(self, customer_id: str) -> Trail:
        """A customer with all identifiers that lead there now; there may be none."""
        columns = CUSTOMER_IDENTIFIERS.c
        statement = (
            select(columns.identifier)
            .where(columns.customer_id == customer_id)
            .order_by(columns.identifier)
        )
        async with self._engine.connect() as connection:
            return Trail(tuple(await connection.scalars(statement)), (customer_id,))

    async def rows(self, trail: Trail) -> Mapping[str, int]:
        """Count each table's rows about a customer, and those of `baskets` that refer to one."""
        conditions = _conditions(trail)
        async with self._engine.connect() as connection:
            return {
                table.name: await connection.scalar(
                    select(func.count()).select_from(table).where(conditions[table.name])
                )
                or 0
                for table in READ_MODEL
            }

    async def export(self, trail: Trail) -> Mapping[str, list[dict[str, Any]]]:
        """The rows of each table about a customer, as values for JSON."""
        conditions = _conditions(trail)
        async with self._engine.connect() as connection:
            return {
                table.name: [
                    as_json(row)
                    for row in (
                        await connection.execute(
                            select(*(it for it in table.columns if it not in _OF_OURS))
                            .where(conditions[table.name])
                            .order_by(*table.primary_key.columns)
                        )
                    ).mappings()
                ]
                for table in READ_MODEL
            }


def _conditions(trail: Trail) -> Mapping[str, ColumnElement[bool]]:
    identifiers, customer_ids = trail.identifiers, trail.customer_ids
    answers = LOOKUP_ANSWERS.c
    told = or_(answers.customer_identifier.in_(identifiers), answers.customer_id.in_(customer_ids))
    found = select(answers.event_id).where(and_(told, answers.customer_id.is_not(None)))
    return {
        CUSTOMERS.name: or_(
            CUSTOMERS.c.customer_id.in_(customer_ids), CUSTOMERS.c.identifier.in_(identifiers)
        ),
        CUSTOMER_IDENTIFIERS.name: or_(
            CUSTOMER_IDENTIFIERS.c.identifier.in_(identifiers),
            CUSTOMER_IDENTIFIERS.c.customer_id.in_(customer_ids),
        ),
        BASKETS.name: or_(
            BASKETS.c.customer_id.in_(customer_ids), BASKETS.c.identified_by.in_(found)
        ),
        CUSTOMER_LOOKUP_LOGS.name: or_(
            CUSTOMER_LOOKUP_LOGS.c.customer_identifier.in_(identifiers),
            CUSTOMER_LOOKUP_LOGS.c.customer_id.in_(customer_ids),
        ),
        LOOKUP_ANSWERS.name: told,
    }
