"""Read the list of terminal answers, in either direction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, TextClause, select, union
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.records import AnswerFilter, AnswerOutcome, AnswerRow
from agents.customer_lookup.read_model.schema import (
    BASKETS,
    CUSTOMER_IDENTIFIERS,
    CUSTOMER_LOOKUP_LOGS,
    CUSTOMERS,
    FAILED,
    LOOKUP_ANSWERS,
    STALE,
    UNKNOWN,
)
from agents.customer_lookup.read_model.typed_rows import bounded, columns_of, read_rows
from agents.customer_lookup.reasons import Reason, Source
from posstream.domain.printable import is_storable
from posstream.read_model.listing import count_up_to, next_rows
from posstream.read_model.reading import reading

_ANSWERS: Final = LOOKUP_ANSWERS.c
_ALL: Final = select(*columns_of(LOOKUP_ANSWERS, AnswerRow))
#: The event_id breaks ties.
_ORDER: Final = (_ANSWERS.occurred_at, _ANSWERS.event_id)
_Condition = ColumnElement[bool] | TextClause


async def newest_answers(
    connection: AsyncConnection, *conditions: _Condition, first: int
) -> Sequence[AnswerRow]:
    """The newest answers that meet all conditions, newest first, at most `first`."""
    query = _ALL.where(*conditions)
    statement = next_rows(query, _ORDER, first=first, after=None, rising=False)
    return await read_rows(connection, statement, AnswerRow)


class AnswerQueries:
    """The part of `SqlReadModel` that lists the terminal answers."""

    _engine: AsyncEngine

    async def lookup_answers(
        self,
        wanted: AnswerFilter,
        *,
        first: int,
        after: tuple[datetime, str] | None = None,
        rising: bool = False,
    ) -> Sequence[AnswerRow]:
        """The terminal answers, newest first, at most `first` of them, each with its till.

        Args:
            wanted: all of its conditions hold.
            first: 1 to 1,000; what is outside counts as the nearer end.
            after: those that come right after this `occurred_at` and `event_id` in the list.
            rising: oldest first.
        """
        if not _is_storable(wanted) or not is_storable("" if after is None else after[1]):
            return []
        listed = next_rows(
            _ALL.where(*_conditions(wanted)),
            _ORDER,
            first=bounded(first),
            after=after,
            rising=rising,
        )
        statement = _with_baskets(listed, rising=rising)
        async with reading(self._engine) as connection:
            return await read_rows(connection, statement, AnswerRow)

    async def count_answers(self, wanted: AnswerFilter, *, most: int) -> int:
        """How many answers there are, at most `most`: a longer list costs no more."""
        if not _is_storable(wanted):
            return 0
        return await count_up_to(self._engine, _ALL.where(*_conditions(wanted)), most)


def _with_baskets(answers: Select[Any], *, rising: bool) -> Select[Any]:
    """The listed answers with their tills: only these are joined, not all that were sorted."""
    listed = answers.subquery("listed")
    order = (listed.c[column.name] for column in _ORDER)
    return (
        select(*listed.c, BASKETS.c.employee_id, BASKETS.c.terminal_id)
        .outerjoin_from(listed, BASKETS, BASKETS.c.basket_id == listed.c.basket_id)
        .order_by(*(it.asc() if rising else it.desc() for it in order))
    )


def _is_storable(wanted: AnswerFilter) -> bool:
    texts = (
        wanted.identifier,
        wanted.customer_id,
        wanted.basket_id,
        wanted.terminal_id,
        wanted.employee_id,
    )
    return all(is_storable(text or "") for text in texts)


def _conditions(wanted: AnswerFilter) -> list[_Condition]:
    """The conditions of a filter."""
    equal = (
        (_ANSWERS.source, wanted.source),
        (_ANSWERS.reason, wanted.reason),
        (_ANSWERS.customer_identifier, wanted.identifier),
        (_ANSWERS.customer_id, wanted.customer_id),
        (_ANSWERS.basket_id, wanted.basket_id),
        (_ANSWERS.config_version, wanted.config_version),
    )
    conditions: list[_Condition] = [column == value for column, value in equal if value is not None]
    # Before the baskets, as migrations lock them: PostgreSQL locks tables in the order of the text.
    if wanted.customer_id is not None:
        conditions.append(_ANSWERS.customer_identifier.in_(_led_to(wanted.customer_id)))
    for column, value in (
        (BASKETS.c.terminal_id, wanted.terminal_id),
        (BASKETS.c.employee_id, wanted.employee_id),
    ):
        if value is not None:
            started = select(BASKETS.c.basket_id).where(column == value)
            conditions.append(_ANSWERS.basket_id.in_(started))
    if wanted.since is not None:
        conditions.append(_ANSWERS.occurred_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_ANSWERS.occurred_at < wanted.until)
    if wanted.outcome is AnswerOutcome.FOUND:
        conditions.append(_ANSWERS.reason.is_(None))
    # The condition of the index, word for word: else a database does not use the index.
    if wanted.outcome is AnswerOutcome.UNKNOWN or wanted.reason is Reason.NOT_FOUND:
        conditions.append(UNKNOWN)
    if wanted.outcome is AnswerOutcome.FAILED or wanted.reason not in {None, Reason.NOT_FOUND}:
        conditions.append(FAILED)
    if wanted.source is Source.STALE_CACHE:
        conditions.append(STALE)
    return conditions


def _led_to(customer_id: str) -> Select[Any]:
    """Every identifier that led to a customer, those that lead to another one by now, too.

    Answers have an index by identifier; one by customer would cost each answer a write.
    """
    tables = (
        (CUSTOMERS, CUSTOMERS.c.identifier),
        (CUSTOMER_IDENTIFIERS, CUSTOMER_IDENTIFIERS.c.identifier),
        (CUSTOMER_LOOKUP_LOGS, CUSTOMER_LOOKUP_LOGS.c.customer_identifier),
    )
    led = union(
        *(
            select(identifier.label("identifier")).where(table.c.customer_id == customer_id)
            for table, identifier in tables
        )
    ).subquery()
    return select(led.c.identifier)
