"""Lists that are ordered by a time and a key: the rows next to a place, and how many there are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Select, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.read_model.reading import reading

#: The columns that order a list; the last one breaks ties.
Order = Sequence[Column[Any]]


def next_rows(
    query: Select[Any], order: Order, *, first: int, after: Sequence[Any] | None, rising: bool
) -> Select[Any]:
    """The first rows of a list, or those that come right after a place in it.

    Args:
        query: all rows of the list.
        order: its columns.
        first: how many rows, at least 1.
        after: the place: a value for each column of the order.
        rising: smallest first.
    """
    if after is not None:
        # A row value, which an index can start at.
        place = tuple_(*(literal(it, column.type) for it, column in zip(after, order, strict=True)))
        query = query.where(tuple_(*order) > place if rising else tuple_(*order) < place)
    return query.order_by(*(it.asc() if rising else it.desc() for it in order)).limit(first)


async def count_up_to(engine: AsyncEngine, query: Select[Any], most: int) -> int:
    """How many rows a query has, at most `most`: a longer list costs no more."""
    # Without its columns a query keeps its tables only if told so.
    some = query.with_only_columns(literal(1), maintain_column_froms=True).limit(most).subquery()
    async with reading(engine) as connection:
        return await connection.scalar(select(func.count()).select_from(some)) or 0
