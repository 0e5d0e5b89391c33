"""Reads baskets: by their ids, and page by page, newest first."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.baskets.read_model.records import BasketFilter, TillBasket
from agents.baskets.read_model.schema import TILL_BASKETS
from posstream.domain.printable import is_storable
from posstream.read_model.engine import read_only
from posstream.read_model.listing import count_up_to, next_rows
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
        after: tuple[datetime, str] | None = None,
        rising: bool = False,
    ) -> Sequence[TillBasket]:
        """The newest baskets, or those after a place, newest first, at most `first` of them.

        Args:
            wanted: all of its conditions hold.
            first: at least 1.
            after: those that come right after this `started_at` and `basket_id` in the list.
            rising: oldest first.
        """
        if not (_is_storable(wanted) and is_storable("" if after is None else after[1])):
            return []
        query = select(TILL_BASKETS).where(*_conditions(wanted))
        return await self._read(next_rows(query, _ORDER, first=first, after=after, rising=rising))

    async def count(self, wanted: BasketFilter, *, most: int) -> int:
        """How many baskets there are, at most `most`: a longer list costs no more."""
        if not _is_storable(wanted):
            return 0
        return await count_up_to(
            self._engine, select(TILL_BASKETS).where(*_conditions(wanted)), most
        )

    async def _read(self, query: Select[tuple[object, ...]]) -> Sequence[TillBasket]:
        async with reading(self._engine) as connection:
            return [TillBasket(**row) for row in (await connection.execute(query)).mappings()]


def _is_storable(wanted: BasketFilter) -> bool:
    named = (wanted.basket_id, wanted.terminal_id, wanted.employee_id, wanted.customer_id)
    return all(is_storable(it or "") for it in named)


def _conditions(wanted: BasketFilter) -> list[ColumnElement[bool]]:
    equal = (
        (_COLUMNS.status, wanted.status),
        (_COLUMNS.basket_id, wanted.basket_id),
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
