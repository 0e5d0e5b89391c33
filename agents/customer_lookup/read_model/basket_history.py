"""Read all that is known of one basket: what its timeline is made of."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.lookup_logs import has, made_one_of, newest_attempts
from agents.customer_lookup.read_model.records import AnswerRow, LookupLogRow
from agents.customer_lookup.read_model.schema import LOOKUP_ANSWERS

#: Most answers of one basket that are shown; a till scans a few times.
MAX_ANSWERS: Final = 50
#: Most attempts; each lookup has a few.
MAX_ATTEMPTS: Final = 200

_ANSWERS: Final = LOOKUP_ANSWERS.c
_COLUMNS: Final = tuple(_ANSWERS[field.name] for field in fields(AnswerRow))


async def newest_answers(connection: AsyncConnection, basket_id: str) -> Sequence[AnswerRow]:
    """The newest answers of a basket, oldest first."""
    statement = (
        select(*_COLUMNS)
        .where(_ANSWERS.basket_id == basket_id)
        .order_by(_ANSWERS.occurred_at.desc(), _ANSWERS.event_id.desc())
        .limit(MAX_ANSWERS)
    )
    rows = (await connection.execute(statement)).all()
    return [AnswerRow(**row._mapping) for row in reversed(rows)]  # noqa: SLF001 - public in SQLAlchemy


async def attempts_for(connection: AsyncConnection, basket_id: str) -> Sequence[LookupLogRow]:
    """The newest attempts of a basket's own lookups, oldest first."""
    rows = await newest_attempts(connection, *has(basket_id=basket_id), first=MAX_ATTEMPTS)
    return list(reversed(rows))


async def origins_of(
    connection: AsyncConnection, answers: Iterable[AnswerRow]
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
    return await newest_attempts(connection, made_one_of(sorted(calls)), first=MAX_ATTEMPTS)
