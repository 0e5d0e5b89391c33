"""Read the read model: customers and baskets for the web view, in a few statements."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.adapters.sql.engine import read_only
from posstream.adapters.sql.schema import BASKETS, CUSTOMER_IDENTIFIERS, CUSTOMERS
from posstream.ports import BasketRow, CustomerRow, ReadModel

#: Most customers that one call returns.
MAX_LIMIT: Final = 1_000

_CUSTOMER: Final = (
    CUSTOMERS.c.customer_id,
    CUSTOMERS.c.identifier,
    CUSTOMERS.c.first_name,
    CUSTOMERS.c.last_name,
    CUSTOMERS.c.email,
    CUSTOMERS.c.phone,
    CUSTOMERS.c.loyalty_points,
    CUSTOMERS.c.tier,
    CUSTOMERS.c.total_purchases,
    CUSTOMERS.c.last_purchase_date,
    CUSTOMERS.c.created_at,
    CUSTOMERS.c.updated_at,
)
_BASKET: Final = (
    BASKETS.c.basket_id,
    BASKETS.c.employee_id,
    BASKETS.c.terminal_id,
    BASKETS.c.customer_id,
    BASKETS.c.started_at,
    BASKETS.c.identified_at,
)


class SqlReadModel(ReadModel):
    """The read model in SQLite or PostgreSQL; every method may raise the database's errors.

    Args:
        engine: from `engine.create_engine`, migrated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = read_only(engine)

    async def customer(self, customer_id: str) -> CustomerRow | None:
        """One customer by id; None if there is none."""
        return (await self.customers_by_ids([customer_id])).get(customer_id)

    async def customers_by_ids(self, ids: Iterable[str]) -> Mapping[str, CustomerRow]:
        """The customers among `ids` that exist, by id; for a data loader."""
        asked = sorted({one for one in ids if _storable(one)})
        if not asked:
            return {}
        found = await self._customers(CUSTOMERS.c.customer_id.in_(asked), limit=len(asked))
        return {row.customer_id: row for row in found}

    async def customer_by_identifier(self, identifier: str) -> CustomerRow | None:
        """One customer by a normalised identifier, any of the known ones."""
        if not _storable(identifier):
            return None
        owner = select(CUSTOMER_IDENTIFIERS.c.customer_id).where(
            CUSTOMER_IDENTIFIERS.c.identifier == identifier
        )
        found = await self._customers(CUSTOMERS.c.customer_id.in_(owner), limit=1)
        return found[0] if found else None

    async def all_customers(
        self, *, tier: str | None = None, search: str | None = None, limit: int = 100
    ) -> Sequence[CustomerRow]:
        """Customers by customer_id, at most `limit`.

        Args:
            tier: exactly this tier.
            search: part of a name, e-mail, phone or identifier, in any case; blank = all.
            limit: 1 to 1,000; what is outside counts as the nearer end.
        """
        if not _storable(tier or "") or not _storable(search or ""):
            return []
        conditions: list[ColumnElement[bool]] = []
        if tier is not None:
            conditions.append(CUSTOMERS.c.tier == tier)
        part = (search or "").strip().casefold()
        if part:
            aliases = select(CUSTOMER_IDENTIFIERS.c.customer_id).where(
                func.lower(CUSTOMER_IDENTIFIERS.c.identifier).contains(part, autoescape=True)
            )
            conditions.append(
                or_(
                    CUSTOMERS.c.search_text.contains(part, autoescape=True),
                    CUSTOMERS.c.customer_id.in_(aliases),
                )
            )
        return await self._customers(*conditions, limit=max(1, min(limit, MAX_LIMIT)))

    async def basket(self, basket_id: str) -> BasketRow | None:
        """One basket by id; None if nothing of it was seen."""
        if not _storable(basket_id):
            return None
        statement = select(*_BASKET).where(BASKETS.c.basket_id == basket_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else BasketRow(**row._mapping)  # noqa: SLF001 - public in SQLAlchemy

    async def _customers(self, *conditions: ColumnElement[bool], limit: int) -> list[CustomerRow]:
        statement = (
            select(*_CUSTOMER).where(*conditions).order_by(CUSTOMERS.c.customer_id).limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
            identifiers = await _identifiers(connection, [row.customer_id for row in rows])
        return [
            CustomerRow(**row._mapping, identifiers=tuple(identifiers.get(row.customer_id, ())))  # noqa: SLF001 - public in SQLAlchemy
            for row in rows
        ]


async def _identifiers(
    connection: AsyncConnection, customer_ids: Sequence[str]
) -> dict[str, list[str]]:
    """The identifiers of each customer, sorted, in one statement for all of them."""
    found: dict[str, list[str]] = {}
    if not customer_ids:
        return found
    statement = (
        select(CUSTOMER_IDENTIFIERS.c.customer_id, CUSTOMER_IDENTIFIERS.c.identifier)
        .where(CUSTOMER_IDENTIFIERS.c.customer_id.in_(customer_ids))
        .order_by(CUSTOMER_IDENTIFIERS.c.identifier)
    )
    for customer_id, identifier in await connection.execute(statement):
        found.setdefault(customer_id, []).append(identifier)
    return found


def _storable(text: str) -> bool:
    """Whether a database could hold it: no NUL, no lone surrogate. What it cannot, is not there."""
    return "\0" not in text and text == text.encode(errors="replace").decode()
