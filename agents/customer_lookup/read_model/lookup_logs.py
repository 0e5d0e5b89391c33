"""Read the audit: the attempts, page by page, newest first."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.records import AnswerRow, LookupLogRow, Position
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS
from agents.customer_lookup.read_model.typed_rows import bounded, columns_of, limited, read_rows
from agents.customer_lookup.reasons import AttemptStatus
from posstream.domain.printable import is_storable
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import read

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ALL: Final = select(*columns_of(CUSTOMER_LOOKUP_LOGS, LookupLogRow))
#: The event_id breaks ties: unlike the number of a row it outlives a rebuild.
_NEWEST_FIRST: Final = (_LOGS.request_timestamp.desc(), _LOGS.event_id.desc())


async def newest_attempts(
    connection: AsyncConnection, *conditions: ColumnElement[bool], first: int
) -> Sequence[LookupLogRow]:
    """The newest attempts that meet all conditions, newest first, at most `first`."""
    statement = _ALL.where(*conditions).order_by(*_NEWEST_FIRST).limit(first)
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


@cache
def _next_attempts(equal: tuple[str, ...], *, after: bool) -> Prepared:
    statement = limited(_ALL.order_by(*_NEWEST_FIRST))
    statement = statement.where(*(_LOGS[name] == bindparam(name) for name in equal))
    if after:
        order = (_LOGS.request_timestamp, _LOGS.event_id)
        place = (
            bindparam("after_at", type_=_LOGS.request_timestamp.type),
            bindparam("after_id", type_=_LOGS.event_id.type),
        )
        statement = statement.where(tuple_(*order) < tuple_(*place))
    return Prepared(statement)
