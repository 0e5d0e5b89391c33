"""Reads the identifiers of one customer, and the newest answers to tills about them."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.lookup_answers import newest_answers
from agents.customer_lookup.read_model.records import AnswerRow, IdentifierRow
from agents.customer_lookup.read_model.schema import (
    CUSTOMER_IDENTIFIERS,
    CUSTOMER_LOOKUP_LOGS,
    LOOKUP_ANSWERS,
)
from agents.customer_lookup.reasons import AttemptStatus

#: Most answers that are shown.
MAX_ANSWERS: Final = 50
#: Most identifiers; people have a few.
MAX_IDENTIFIERS: Final = 100

_IDENTIFIERS: Final = CUSTOMER_IDENTIFIERS.c
_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c


async def identifiers_of(connection: AsyncConnection, customer_id: str) -> Sequence[IdentifierRow]:
    """The identifiers that lead to a customer now, sorted."""
    # A refresh writes an attempt but no answer, so a cache entry may be newer than the last answer:
    # it is as old as the newest successful attempt.
    asked_at = (
        select(func.max(_LOGS.request_timestamp))
        .where(
            _LOGS.customer_identifier == _IDENTIFIERS.identifier,
            _LOGS.status == AttemptStatus.SUCCESS,
        )
        .scalar_subquery()
    )
    statement = (
        select(
            _IDENTIFIERS.identifier,
            _IDENTIFIERS.kind,
            _IDENTIFIERS.first_seen_at,
            _IDENTIFIERS.fetched_at,
            asked_at.label("asked_at"),
        )
        .where(_IDENTIFIERS.customer_id == customer_id)
        .order_by(_IDENTIFIERS.identifier)
        .limit(MAX_IDENTIFIERS)
    )
    return [
        IdentifierRow(
            identifier=row.identifier,
            kind=row.kind,
            first_seen_at=row.first_seen_at,
            fetched_at=max(row.fetched_at, row.asked_at or row.fetched_at),
        )
        for row in await connection.execute(statement)
    ]


async def answers_to(
    connection: AsyncConnection, customer_id: str, identifiers: Sequence[str]
) -> Sequence[AnswerRow]:
    """The newest answers for these identifiers, newest first; none with another customer."""
    if not identifiers:
        return []
    return await newest_answers(
        connection,
        _ANSWERS.customer_identifier.in_(identifiers),
        or_(_ANSWERS.customer_id == customer_id, _ANSWERS.customer_id.is_(None)),
        first=MAX_ANSWERS,
    )
