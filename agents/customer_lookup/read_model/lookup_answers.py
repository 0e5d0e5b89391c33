"""Read the terminal answers, page by page in both directions, newest first."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, TextClause, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.records import (
    AnswerFilter,
    AnswerOutcome,
    AnswerPosition,
    AnswerRow,
)
from agents.customer_lookup.read_model.schema import FAILED, LOOKUP_ANSWERS, STALE
from agents.customer_lookup.read_model.typed_rows import columns_of, read_rows
from agents.customer_lookup.reasons import Reason, Source

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


async def answers_beside(
    connection: AsyncConnection,
    wanted: AnswerFilter,
    *,
    first: int,
    older_than: AnswerPosition | None = None,
    newer_than: AnswerPosition | None = None,
) -> Sequence[AnswerRow]:
    """The answers next to a place in the list, newest first, at most `first` of them.

    Args:
        connection: to read with.
        wanted: all of its conditions hold.
        first: how many.
        older_than: those right after this one.
        newer_than: those right before it.
    """
    conditions = _conditions(wanted)
    # The event_id breaks ties; a row value is what an index can start at.
    place = tuple_(_ANSWERS.occurred_at, _ANSWERS.event_id)
    if newer_than is None:
        if older_than is not None:
            conditions.append(place < _row(older_than))
        return await newest_answers(connection, *conditions, first=first)
    statement = (
        _ALL.where(*conditions, place > _row(newer_than))
        .order_by(_ANSWERS.occurred_at, _ANSWERS.event_id)
        .limit(first)
    )
    return (await read_rows(connection, statement, AnswerRow))[::-1]


def _row(position: AnswerPosition) -> ColumnElement[tuple[object, ...]]:
    return tuple_(
        literal(position.occurred_at, _ANSWERS.occurred_at.type),
        literal(position.event_id, _ANSWERS.event_id.type),
    )


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
