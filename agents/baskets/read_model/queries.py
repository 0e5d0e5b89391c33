"""Reads baskets: by their ids, and page by page, newest first."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Select, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.baskets.read_model.records import BasketFilter, Position, TillBasket
from agents.baskets.read_model.schema import TILL_BASKETS
from posstream.domain.printable import is_storable
from posstream.read_model.engine import read_only
from posstream.read_model.reading import reading

_COLUMNS: Final = TILL_BASKETS.c
#: The basket_id breaks ties.
_ORDER: Final = (_COLUMNS.started_at, _COLUMNS.basket_id)


class TillBaskets:
    """The baskets in SQLite or PostgreSQL.

    Every method may raise the database's errors, and `ReadModelBusy` where too many read at once
    or one asks too much.

    Args:
        engine: from `engine.create_engine`, migrated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = read_only(engine)

    async def by_ids(self, ids: Collection[str]) -> Mapping[str, TillBasket]:
        """The baskets among `ids` that are known, by id."""
        asked = [one for one in ids if is_storable(one)]
        found = await self._read(select(TILL_BASKETS).where(_COLUMNS.basket_id.in_(asked)))
        return {row.basket_id: row for row in found}

    async def listed(
        self,
        wanted: BasketFilter,
        *,
        first: int,
        after: Position | None = None,
    ) -> Sequence[TillBasket]:
        """The newest baskets, or those after a place, newest first, at most `first` of them.

        Args:
            wanted: all of its conditions hold.
            first: at least 1.
            after: those that come right after it in the list.
        """
        named = (wanted.terminal_id, wanted.employee_id, wanted.customer_id)
        if not all(is_storable(it or "") for it in (*named, after and after.basket_id)):
            return []
        query = select(TILL_BASKETS).where(*_conditions(wanted)).limit(first)
        if after is not None:
            # A row value, which an index can start at.
            place = (literal(it, column.type) for it, column in zip(after, _ORDER, strict=True))
            query = query.where(tuple_(*_ORDER) < tuple_(*place))
        return await self._read(query.order_by(*(column.desc() for column in _ORDER)))

    async def _read(self, query: Select[tuple[object, ...]]) -> Sequence[TillBasket]:
        async with reading(self._engine) as connection:
            return [TillBasket(**row) for row in (await connection.execute(query)).mappings()]


def _conditions(wanted: BasketFilter) -> list[ColumnElement[bool]]:
    equal = (
        (_COLUMNS.status, wanted.status),
        (_COLUMNS.terminal_id, wanted.terminal_id),
        (_COLUMNS.employee_id, wanted.employee_id),
        (_COLUMNS.customer_id, wanted.customer_id),
    )
    conditions = [column == value for column, value in equal if value is not None]
    if wanted.since is not None:
        conditions.append(_COLUMNS.started_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_COLUMNS.started_at < wanted.until)
    return conditions
