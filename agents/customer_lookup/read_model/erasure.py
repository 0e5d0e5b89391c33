"""Delete the plugin's rows that are from before a customer was forgotten.

What several events made together (a customer's `created_at`, the owner of an identifier, the
customer of a basket) is computed again from `lookup_answers`, which has a row for each event.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.schema import (
    BASKETS,
    CUSTOMER_IDENTIFIERS,
    CUSTOMER_LOOKUP_LOGS,
    CUSTOMERS,
    LOOKUP_ANSWERS,
)
from agents.customer_lookup.read_model.traces import trace_of_answer, trace_of_attempt
from posstream.forgetting.forgotten import meant_names
from posstream.forgetting.marks import CUSTOMER_PREFIX, IDENTIFIER_PREFIX, Marks, Trace, Trail
from posstream.read_model.named_rows import Row, delete_rows, rows_named, update_rows

_ANSWER: Final = tuple(LOOKUP_ANSWERS.c)


async def erase_rows(connection: AsyncConnection, marks: Marks) -> None:
    """Delete what is from before the marks; tables in the order of `schema.READ_MODEL`."""
    trail = await _trail(connection, marks)
    answers = await rows_named(
        connection,
        _ANSWER,
        (LOOKUP_ANSWERS.c.customer_identifier, trail.identifiers),
        (LOOKUP_ANSWERS.c.customer_id, trail.customer_ids),
    )
    gone = [row for row in answers if marks.cover(trace_of_answer(row))]
    await _erase_customers(connection, marks, trail, gone)
    await _erase_identifiers(connection, marks, trail, gone)
    await _erase_from_baskets(connection, trail, gone)
    attempts = await rows_named(
        connection,
        (
            CUSTOMER_LOOKUP_LOGS.c.event_id,
            CUSTOMER_LOOKUP_LOGS.c.customer_identifier,
            CUSTOMER_LOOKUP_LOGS.c.customer_id,
            CUSTOMER_LOOKUP_LOGS.c.call_started_at,
            CUSTOMER_LOOKUP_LOGS.c.request_timestamp,
        ),
        (CUSTOMER_LOOKUP_LOGS.c.customer_identifier, trail.identifiers),
        (CUSTOMER_LOOKUP_LOGS.c.customer_id, trail.customer_ids),
    )
    made_before = [row for row in attempts if marks.cover(trace_of_attempt(row))]
    await delete_rows(connection, CUSTOMER_LOOKUP_LOGS.c.event_id, _of(made_before, "event_id"))
    await delete_rows(connection, LOOKUP_ANSWERS.c.event_id, _of(gone, "event_id"))


async def _trail(connection: AsyncConnection, marks: Marks) -> Trail:
    """The customers that the marks mean: each name that any table has is hashed and compared."""
    identifiers = (
        CUSTOMERS.c.identifier,
        CUSTOMER_IDENTIFIERS.c.identifier,
        CUSTOMER_LOOKUP_LOGS.c.customer_identifier,
        LOOKUP_ANSWERS.c.customer_identifier,
    )
    customer_ids = (
        CUSTOMERS.c.customer_id,
        CUSTOMER_IDENTIFIERS.c.customer_id,
        BASKETS.c.customer_id,
        CUSTOMER_LOOKUP_LOGS.c.customer_id,
        LOOKUP_ANSWERS.c.customer_id,
    )
    return Trail(
        await meant_names(connection, IDENTIFIER_PREFIX, identifiers, marks),
        await meant_names(connection, CUSTOMER_PREFIX, customer_ids, marks),
    )


async def _erase_customers(
    connection: AsyncConnection, marks: Marks, trail: Trail, gone: Sequence[Row]
) -> None:
    touched = _of(gone, "customer_id")
    asked = {*trail.customer_ids, *touched}
    columns = CUSTOMERS.c
    rows = await rows_named(
        connection,
        (columns.customer_id, columns.identifier, columns.fetched_at, columns.created_at),
        (columns.customer_id, asked),
    )
    left = await _answers_left(connection, LOOKUP_ANSWERS.c.customer_id, asked, gone)
    over, younger = [], []
    for row in rows:
        customer_id, fetched_at = row["customer_id"], row["fetched_at"]
        if marks.cover(Trace(row["identifier"], customer_id, fetched_at)):
            over.append(customer_id)
            continue
        if customer_id in touched:
            first = min([fetched_at, *(answer["fetched_at"] for answer in left[customer_id])])
            younger.append({"of": customer_id, "created_at": first})
    await delete_rows(connection, columns.customer_id, over)
    await update_rows(connection, columns.customer_id, ("created_at",), younger)


async def _erase_identifiers(
    connection: AsyncConnection, marks: Marks, trail: Trail, gone: Sequence[Row]
) -> None:
    columns = CUSTOMER_IDENTIFIERS.c
    found = [row for row in gone if row["customer_id"] is not None]
    touched = _of(found, "customer_identifier")
    rows = await rows_named(
        connection,
        tuple(columns),
        (columns.identifier, {*trail.identifiers, *touched}),
        (columns.customer_id, trail.customer_ids),
    )
    names = _of(rows, "identifier")
    left = await _answers_left(connection, LOOKUP_ANSWERS.c.customer_identifier, names, gone)
    over, changed = [], []
    for row in rows:
        identifier, answers = row["identifier"], left[row["identifier"]]
        if marks.cover(Trace(identifier, row["customer_id"], row["fetched_at"])):
            if not answers:
                over.append(identifier)
                continue
            last = max(answers, key=lambda answer: (answer["fetched_at"], answer["customer_id"]))
            kept = {
                "customer_id": last["customer_id"],
                "kind": last["identifier_kind"],
                "fetched_at": last["fetched_at"],
                "answer_digest": None,
            }
        elif identifier in touched:
            kept = {
                name: row[name] for name in ("customer_id", "kind", "fetched_at", "answer_digest")
            }
        else:
            continue
        first = min([kept["fetched_at"], *(answer["fetched_at"] for answer in answers)])
        changed.append({"of": identifier, "first_seen_at": first, **kept})
    await delete_rows(connection, columns.identifier, over)
    values = ("customer_id", "kind", "fetched_at", "answer_digest", "first_seen_at")
    await update_rows(connection, columns.identifier, values, changed)


async def _erase_from_baskets(
    connection: AsyncConnection, trail: Trail, gone: Sequence[Row]
) -> None:
    columns = BASKETS.c
    rows = await rows_named(
        connection,
        tuple(columns),
        (columns.basket_id, _of(gone, "basket_id")),
        (columns.customer_id, trail.customer_ids),
    )
    names = _of(rows, "basket_id")
    left = await _answers_left(connection, LOOKUP_ANSWERS.c.basket_id, names, gone)
    over, changed = [], []
    for row in rows:
        answers = left[row["basket_id"]]
        if row["identified_by"] in {None, *_of(answers, "event_id")}:
            continue
        last = max(
            answers,
            key=lambda answer: (answer["identified_at"], answer["event_id"]),
            default={"identified_at": None, "event_id": None, "customer_id": None},
        )
        if not answers and row["employee_id"] is None:
            over.append(row["basket_id"])  # no start was seen: only the identification made the row
            continue
        changed.append(
            {
                "of": row["basket_id"],
                "customer_id": last["customer_id"],
                "identified_at": last["identified_at"],
                "identified_by": last["event_id"],
            }
        )
    await delete_rows(connection, columns.basket_id, over)
    values = ("customer_id", "identified_at", "identified_by")
    await update_rows(connection, columns.basket_id, values, changed)


async def _answers_left(
    connection: AsyncConnection,
    column: Column[Any],
    names: Collection[str],
    gone: Sequence[Row],
) -> Mapping[str, list[Row]]:
    """The answers with a customer that stay, by what `column` has."""
    gone_ids = set(_of(gone, "event_id"))
    left: dict[str, list[Row]] = defaultdict(list)
    for row in await rows_named(connection, _ANSWER, (column, names)):
        if row["customer_id"] is not None and row["event_id"] not in gone_ids:
            left[row[column.name]].append(row)
    return left


def _of(rows: Iterable[Row], name: str) -> list[str]:
    """The values of one column, each once; what is missing is left out."""
    return sorted({row[name] for row in rows if row[name] is not None})
