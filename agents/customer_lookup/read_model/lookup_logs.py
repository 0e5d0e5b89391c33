"""Read the audit: the attempts, page by page, newest first."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, and_, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.records import AnswerRow, LogPosition, LookupLogRow
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS
from agents.customer_lookup.read_model.typed_rows import columns_of, read_rows

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


def is_older_than(position: LogPosition) -> ColumnElement[bool]:
    """What comes after `position` in the list: a row value, which an index can start at."""
    return tuple_(_LOGS.request_timestamp, _LOGS.event_id) < tuple_(
        literal(position.request_timestamp, _LOGS.request_timestamp.type),
        literal(position.event_id, _LOGS.event_id.type),
    )


def has(
    *, status: str | None = None, identifier: str | None = None, basket_id: str | None = None
) -> list[ColumnElement[bool]]:
    """A condition for each argument that is given."""
    wanted = (
        (_LOGS.status, status),
        (_LOGS.customer_identifier, identifier),
        (_LOGS.basket_id, basket_id),
    )
    return [column == value for column, value in wanted if value is not None]
