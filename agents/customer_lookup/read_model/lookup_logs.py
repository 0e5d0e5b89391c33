"""Read the audit: the attempts, page by page, newest first."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.records import AnswerRow, LookupLogRow, Position
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS
from agents.customer_lookup.read_model.typed_rows import bounded, columns_of, read_rows, row_value
from agents.customer_lookup.reasons import AttemptStatus
from posstream.domain.printable import is_storable
from posstream.read_model.reading import reading

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
        wanted = (
            (_LOGS.status, status),
            (_LOGS.customer_identifier, identifier),
            (_LOGS.basket_id, basket_id),
        )
        conditions = [column == value for column, value in wanted if value is not None]
        if after is not None:
            order = (_LOGS.request_timestamp, _LOGS.event_id)
            conditions.append(tuple_(*order) < row_value(after, *order))
        async with reading(self._engine) as connection:
            return await newest_attempts(connection, *conditions, first=bounded(first))
