"""Read the terminal answers, page by page in both directions, newest first."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, TextClause, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.records import (
    AnswerFilter,
    AnswerOutcome,
    AnswerRow,
    Position,
)
from agents.customer_lookup.read_model.schema import FAILED, LOOKUP_ANSWERS, STALE
from agents.customer_lookup.read_model.typed_rows import bounded, columns_of, read_rows, row_value
from agents.customer_lookup.reasons import Reason, Source
from posstream.domain.printable import is_storable
from posstream.read_model.reading import reading

_ANSWERS: Final = LOOKUP_ANSWERS.c
_ALL: Final = select(*columns_of(LOOKUP_ANSWERS, AnswerRow))
_Condition = ColumnElement[bool] | TextClause


async def newest_answers(
    connection: AsyncConnection, *conditions: _Condition, first: int
) -> Sequence[AnswerRow]:
    """The newest answers that meet all conditions, newest first, at most `first`."""
    statement = (
        _ALL.where(*conditions)
        .order_by(_ANSWERS.occurred_at.desc(), _ANSWERS.event_id.desc())
        .limit(first)
    )
    return await read_rows(connection, statement, AnswerRow)


class AnswerQueries:
    """The part of `SqlReadModel` that lists the terminal answers."""

    _engine: AsyncEngine

    async def lookup_answers(
        self,
        wanted: AnswerFilter,
        *,
        first: int,
        older_than: Position | None = None,
        newer_than: Position | None = None,
    ) -> Sequence[AnswerRow]:
        """The terminal answers next to a place, newest first, at most `first` of them.

        Args:
            wanted: all of its conditions hold.
            first: 1 to 1,000; what is outside counts as the nearer end.
            older_than: those that come right after this one in the list.
            newer_than: those that come right before it; not together with `older_than`.
        """
        position = older_than or newer_than
        named = ("" if position is None else position.event_id, wanted.identifier, wanted.basket_id)
        if not all(is_storable(text or "") for text in named):
            return []
        conditions = _conditions(wanted)
        # The event_id breaks ties.
        order = (_ANSWERS.occurred_at, _ANSWERS.event_id)
        place = tuple_(*order)
        async with reading(self._engine) as connection:
            if newer_than is None:
                if older_than is not None:
                    conditions.append(place < row_value(older_than, *order))
                return await newest_answers(connection, *conditions, first=bounded(first))
            statement = (
                _ALL.where(*conditions, place > row_value(newer_than, *order))
                .order_by(*order)
                .limit(bounded(first))
            )
            return (await read_rows(connection, statement, AnswerRow))[::-1]


def _conditions(wanted: AnswerFilter) -> list[_Condition]:
    """The conditions of a filter."""
    equal = (
        (_ANSWERS.source, wanted.source),
        (_ANSWERS.reason, wanted.reason),
        (_ANSWERS.customer_identifier, wanted.identifier),
        (_ANSWERS.basket_id, wanted.basket_id),
    )
    conditions: list[_Condition] = [column == value for column, value in equal if value is not None]
    if wanted.since is not None:
        conditions.append(_ANSWERS.occurred_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_ANSWERS.occurred_at < wanted.until)
    if wanted.outcome is AnswerOutcome.FOUND:
        conditions.append(_ANSWERS.reason.is_(None))
    if wanted.outcome is AnswerOutcome.UNKNOWN:
        conditions.append(_ANSWERS.reason == Reason.NOT_FOUND)
    # The condition of the index, word for word: else a database does not use the index.
    if wanted.outcome is AnswerOutcome.FAILED or wanted.reason not in {None, Reason.NOT_FOUND}:
        conditions.append(FAILED)
    if wanted.source is Source.STALE_CACHE:
        conditions.append(STALE)
    return conditions
