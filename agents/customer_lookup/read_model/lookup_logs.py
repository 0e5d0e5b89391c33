"""Read the audit: the attempts, page by page, newest first."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from sqlalchemy import ColumnElement, TextClause, and_, bindparam, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.records import (
    NO_RESPONSE,
    AnswerRow,
    AttemptFilter,
    LookupLogRow,
    Position,
)
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, UNUSUAL
from agents.customer_lookup.read_model.typed_rows import bounded, columns_of, limited, read_rows
from agents.customer_lookup.reasons import AttemptStatus
from posstream.domain.printable import is_storable
from posstream.read_model.listing import count_up_to, next_rows
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import read, reading

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ALL: Final = select(*columns_of(CUSTOMER_LOOKUP_LOGS, LookupLogRow))
#: The event_id breaks ties: unlike the number of a row it outlives a rebuild.
_ORDER: Final = (_LOGS.request_timestamp, _LOGS.event_id)


async def newest_attempts(
    connection: AsyncConnection, *conditions: ColumnElement[bool], first: int
) -> Sequence[LookupLogRow]:
    """The newest attempts that meet all conditions, newest first, at most `first`."""
    query = _ALL.where(*conditions)
    statement = next_rows(query, _ORDER, first=first, after=None, rising=False)
    return await read_rows(connection, statement, LookupLogRow)


async def origins_of(
    connection: AsyncConnection, answers: Iterable[AnswerRow], *, first: int
) -> Sequence[LookupLogRow]:
    """The attempts, of any basket, that brought the customers of these answers.

    An entry of the cache is as old as the request that brought it, to the millisecond.
    """
    calls = {
        (answer.customer_identifier, answer.fetched_at)
        for answer in answers
        if answer.fetched_at is not None
    }
    if not calls:
        return []
    made_one_of_them = or_(
        *(
            and_(_LOGS.customer_identifier == identifier, _LOGS.request_timestamp == asked_at)
            for identifier, asked_at in sorted(calls)
        )
    )
    return await newest_attempts(connection, made_one_of_them, first=first)


class AttemptQueries:
    """The part of `SqlReadModel` that lists the attempts."""

    _engine: AsyncEngine

    async def lookup_logs(
        self,
        *,
        first: int,
        after: Position | None = None,
        status: AttemptStatus | None = None,
        identifier: str | None = None,
        basket_id: str | None = None,
    ) -> Sequence[LookupLogRow]:
        """The next attempts, newest first, at most `first` of them.

        Args:
            first: 1 to 1,000; what is outside counts as the nearer end.
            after: only those that come after this one in the list, so are older.
            status: exactly this one.
            identifier: exactly this one, normalised.
            basket_id: those of the lookups of this basket.
        """
        place = "" if after is None else after.event_id
        if not all(is_storable(text or "") for text in (place, identifier, basket_id)):
            return []
        values: dict[str, Any] = {"first": bounded(first)}
        if after is not None:
            values |= {"after_at": after.at, "after_id": after.event_id}
        wanted = (("status", status), ("customer_identifier", identifier), ("basket_id", basket_id))
        equal = {name: value for name, value in wanted if value is not None}
        query = _next_attempts(tuple(equal), after=after is not None)
        rows = await read(self._engine, query, values | equal)
        return [LookupLogRow(*row) for row in rows]

    async def attempts(
        self,
        wanted: AttemptFilter,
        *,
        first: int,
        after: tuple[datetime, str] | None = None,
        rising: bool = False,
    ) -> Sequence[LookupLogRow]:
        """The attempts that a filter lets through, newest first, at most `first` of them.

        Args:
            wanted: all of its conditions hold.
            first: 1 to 1,000; what is outside counts as the nearer end.
            after: those that come right after this `request_timestamp` and `event_id` in the list.
            rising: oldest first.
        """
        if not (_is_storable(wanted) and is_storable("" if after is None else after[1])):
            return []
        query = _ALL.where(*_conditions(wanted))
        statement = next_rows(query, _ORDER, first=bounded(first), after=after, rising=rising)
        async with reading(self._engine) as connection:
            return await read_rows(connection, statement, LookupLogRow)

    async def count_attempts(self, wanted: AttemptFilter, *, most: int) -> int:
        """How many attempts there are, at most `most`: a longer list costs no more."""
        if not _is_storable(wanted):
            return 0
        return await count_up_to(self._engine, _ALL.where(*_conditions(wanted)), most)


def _is_storable(wanted: AttemptFilter) -> bool:
    texts = (
        wanted.api_endpoint,
        wanted.customer_identifier,
        wanted.customer_id,
        wanted.basket_id,
    )
    return all(is_storable(text or "") for text in texts)


def _conditions(wanted: AttemptFilter) -> list[ColumnElement[bool] | TextClause]:
    equal = ("status", "api_endpoint", "customer_identifier", "customer_id", "basket_id")
    conditions: list[ColumnElement[bool] | TextClause] = [
        _LOGS[name] == value for name in equal if (value := getattr(wanted, name)) is not None
    ]
    if wanted.http_status == NO_RESPONSE:
        conditions += [_LOGS.http_status.is_(None), UNUSUAL]
    elif wanted.http_status is not None:
        conditions.append(_LOGS.http_status == wanted.http_status)
        # The condition of the index, word for word: else a database does not use the index.
        conditions += [UNUSUAL] if wanted.http_status != HTTPStatus.OK else []
    if wanted.since is not None:
        conditions.append(_LOGS.request_timestamp >= wanted.since)
    if wanted.until is not None:
        conditions.append(_LOGS.request_timestamp < wanted.until)
    return conditions


@cache
def _next_attempts(equal: tuple[str, ...], *, after: bool) -> Prepared:
    statement = limited(_ALL.order_by(*(column.desc() for column in _ORDER)))
    statement = statement.where(*(_LOGS[name] == bindparam(name) for name in equal))
    if after:
        place = (
            bindparam("after_at", type_=_LOGS.request_timestamp.type),
            bindparam("after_id", type_=_LOGS.event_id.type),
        )
        statement = statement.where(tuple_(*_ORDER) < tuple_(*place))
    return Prepared(statement)
