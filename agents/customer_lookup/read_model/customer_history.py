"""Reads the identifiers of one customer, and the newest answers to tills about them."""

from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.lookup_answers import newest_answers
from agents.customer_lookup.read_model.records import CustomerHistory, CustomerRow, IdentifierRow
from agents.customer_lookup.read_model.schema import (
    CUSTOMER_IDENTIFIERS,
    CUSTOMER_LOOKUP_LOGS,
    CUSTOMERS,
    LOOKUP_ANSWERS,
)
from agents.customer_lookup.read_model.typed_rows import columns_of
from agents.customer_lookup.reasons import AttemptStatus
from posstream.domain.printable import is_storable
from posstream.read_model.reading import reading

#: Most answers that are shown.
MAX_ANSWERS: Final = 50
#: Most identifiers; people have a few.
MAX_IDENTIFIERS: Final = 100

ALL_CUSTOMERS: Final = select(*columns_of(CUSTOMERS, CustomerRow))
_IDENTIFIERS: Final = CUSTOMER_IDENTIFIERS.c
_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c


#: How old the entry of an identifier is: a refresh brings no answer, only an attempt.
_ASKED_AT: Final = (
    select(func.max(_LOGS.request_timestamp))
    .where(
        _LOGS.customer_identifier == _IDENTIFIERS.identifier,
        # Of an expression, so that no database takes the index by status for the newest of all.
        func.coalesce(_LOGS.status, "") == AttemptStatus.SUCCESS,
    )
    .scalar_subquery()
)


class CustomerHistoryQueries:
    """The part of `SqlReadModel` that tells of one customer."""

    _engine: AsyncEngine

    async def customer_history(self, customer_id: str) -> CustomerHistory | None:
        """One customer with identifiers and the newest answers; None if there is none."""
        if not is_storable(customer_id):
            return None
        one = ALL_CUSTOMERS.where(CUSTOMERS.c.customer_id == customer_id)
        leading = (
            select(
                _IDENTIFIERS.identifier,
                _IDENTIFIERS.kind,
                _IDENTIFIERS.first_seen_at,
                _IDENTIFIERS.fetched_at,
                _ASKED_AT.label("asked_at"),
            )
            .where(_IDENTIFIERS.customer_id == customer_id)
            .order_by(_IDENTIFIERS.identifier)
            .limit(MAX_IDENTIFIERS)
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(one)).mappings().one_or_none()
            if row is None:
                return None
            identifiers = [
                IdentifierRow(
                    identifier=row.identifier,
                    kind=row.kind,
                    first_seen_at=row.first_seen_at,
                    fetched_at=max(row.fetched_at, row.asked_at or row.fetched_at),
                )
                for row in await connection.execute(leading)
            ]
            names = tuple(it.identifier for it in identifiers)
            # None with another customer.
            theirs = or_(_ANSWERS.customer_id == customer_id, _ANSWERS.customer_id.is_(None))
            led = _ANSWERS.customer_identifier.in_(names)
            answers = await newest_answers(connection, led, theirs, first=MAX_ANSWERS)
        return CustomerHistory(CustomerRow(**row, identifiers=names), identifiers, answers)
