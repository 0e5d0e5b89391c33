"""The part of the projection that forgets: marks are kept, and rows from before them go.

A row is kept or goes by the time of the event that it was made of, so it does not matter whether
the event or the mark came first. What several events made together (a customer's `created_at`, the
owner of an identifier, the customer of a basket) is made again of `lookup_answers`, which has one
row for each.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Column,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.schema import (
    BASKET_IDENTIFICATIONS,
    BASKETS,
    CUSTOMER_IDENTIFIERS,
    CUSTOMER_LOOKUP_LOGS,
    CUSTOMERS,
    FORGOTTEN_SUBJECTS,
    LOOKUP_ANSWERS,
)
from posstream.forgetting.marks import (
    CUSTOMER_PREFIX,
    IDENTIFIER_PREFIX,
    Marks,
    Trace,
    Trail,
    subject_of,
    subjects_of,
)
from posstream.read_model.engine import insert_into

_Row = Mapping[str, Any]

#: PostgreSQL's advisory locks are numbers; this one is ours ("forgette" in ASCII).
_LOCK: Final = int.from_bytes(b"forgette")
#: Names that are hashed between two turns of the event loop, or named in one statement.
_SLICE: Final = 1_000

_ANSWER: Final = (
    LOOKUP_ANSWERS.c.event_id,
    LOOKUP_ANSWERS.c.basket_id,
    LOOKUP_ANSWERS.c.customer_identifier,
    LOOKUP_ANSWERS.c.identifier_kind,
    LOOKUP_ANSWERS.c.customer_id,
    LOOKUP_ANSWERS.c.fetched_at,
    LOOKUP_ANSWERS.c.identified_at,
    LOOKUP_ANSWERS.c.occurred_at,
    LOOKUP_ANSWERS.c.duration_ms,
)


def trace_of_answer(row: _Row) -> Trace:
    """Of a row of `lookup_answers`.

    A customer is as old as the directory's answer, by the worker's clock. A failure is as old as
    its event's coming to the worker: the call may have begun then, and the till's clock may be a
    year off.
    """
    if row["customer_id"] is not None:
        return Trace(row["customer_identifier"], row["customer_id"], row["fetched_at"])
    return Trace(
        row["customer_identifier"], None, _before(row["occurred_at"], row["duration_ms"] or 0)
    )


def trace_of_attempt(row: _Row) -> Trace:
    """Of a row of `customer_lookup_logs`: as old as the call that it is an attempt of."""
    began = row["call_started_at"] or row["request_timestamp"]
    asked_at = min(began, row["request_timestamp"])
    return Trace(row["customer_identifier"], row["customer_id"], asked_at)


def _before(moment: datetime, milliseconds: int) -> datetime:
    try:
        return moment - timedelta(milliseconds=max(0, milliseconds))
    except OverflowError:
        return moment


class ForgottenSubjects:
    """The table of marks, within the transactions of the projection.

    Args:
        engine: from `engine.create_engine`, migrated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        insert = insert_into(engine, FORGOTTEN_SUBJECTS)
        new, old = insert.excluded, FORGOTTEN_SUBJECTS.c
        self._upsert = insert.on_conflict_do_update(
            index_elements=["subject"],
            set_={name: new[name] for name in ("forgotten_at", "cache_entries")},
            where=or_(
                new.forgotten_at > old.forgotten_at,
                and_(new.forgotten_at == old.forgotten_at, new.cache_entries > old.cache_entries),
            ),
        )

    async def lock(self, connection: AsyncConnection, *, to_forget: bool) -> None:
        """Keep marks and rows apart until the transaction ends.

        Else a row could be written by one transaction that does not see the mark yet, while the
        mark's does not see the row. On SQLite there is one writer at a time anyway.
        """
        if connection.dialect.name == "postgresql":
            function = "pg_advisory_xact_lock" if to_forget else "pg_advisory_xact_lock_shared"
            await connection.execute(text(f"SELECT {function}(:lock)"), {"lock": _LOCK})

    async def marks(self, connection: AsyncConnection, traces: Collection[Trace]) -> Marks:
        """The marks that some of these traces may be covered by; mostly none."""
        if not traces:
            return Marks()
        earliest = min(trace.at for trace in traces)
        # As a rule all of them are younger than any mark: then nothing is hashed.
        any_later = select(exists().where(FORGOTTEN_SUBJECTS.c.forgotten_at >= earliest))
        if not await connection.scalar(any_later):
            return Marks()
        return await _known(connection, {s for trace in traces for s in subjects_of(trace)})

    async def forget(self, connection: AsyncConnection, marks: Iterable[_Row]) -> None:
        """Keep marks, and remove what is from before them. Known marks change nothing."""
        rows = sorted(marks, key=lambda row: str(row["subject"]))
        known = await _known(connection, {row["subject"] for row in rows})
        await connection.execute(self._upsert, rows)
        news = Marks(
            {
                row["subject"]: row["forgotten_at"]
                for row in rows
                if row["subject"] not in known.forgotten_at
                or row["forgotten_at"] > known.forgotten_at[row["subject"]]
            }
        )
        if news:
            await _erase(connection, news)


async def _known(connection: AsyncConnection, subjects: Collection[str]) -> Marks:
    columns = FORGOTTEN_SUBJECTS.c
    rows = await _rows(
        connection, (columns.subject, columns.forgotten_at), (columns.subject, subjects)
    )
    return Marks({row["subject"]: row["forgotten_at"] for row in rows})


async def _erase(connection: AsyncConnection, marks: Marks) -> None:
    """Remove what is from before the marks; tables in the order of `schema.READ_MODEL`."""
    trail = await _trail(connection, marks)
    answers = await _rows(
        connection,
        _ANSWER,
        (LOOKUP_ANSWERS.c.customer_identifier, trail.identifiers),
        (LOOKUP_ANSWERS.c.customer_id, trail.customer_ids),
    )
    gone = [row for row in answers if marks.cover(trace_of_answer(row))]
    await _erase_customers(connection, marks, trail, gone)
    await _erase_identifiers(connection, marks, trail, gone)
    await _erase_from_baskets(connection, trail, gone)
    await _delete(connection, BASKET_IDENTIFICATIONS.c.event_id, _of(gone, "event_id"))
    attempts = await _rows(
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
    await _delete(connection, CUSTOMER_LOOKUP_LOGS.c.event_id, _of(made_before, "event_id"))
    await _delete(connection, LOOKUP_ANSWERS.c.event_id, _of(gone, "event_id"))


async def _trail(connection: AsyncConnection, marks: Marks) -> Trail:
    """Whom the marks mean: each name that any table has is hashed and compared."""
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
        await _meant(connection, IDENTIFIER_PREFIX, identifiers, marks),
        await _meant(connection, CUSTOMER_PREFIX, customer_ids, marks),
    )


async def _meant(
    connection: AsyncConnection, prefix: str, columns: Sequence[Column[Any]], marks: Marks
) -> tuple[str, ...]:
    """The names in these columns whose hash has a mark."""
    subjects = marks.forgotten_at
    if connection.dialect.name == "postgresql":  # it can do it itself, in a fraction of the time
        chosen = [
            select(column).where(
                func.encode(
                    func.sha256(func.convert_to(literal(prefix).concat(column), "UTF8")), "hex"
                ).in_(subjects)
            )
            for column in columns
        ]
        return tuple(await connection.scalars(union(*chosen)))
    names = union(*(select(column).where(column.is_not(None)) for column in columns))
    found = await connection.stream_scalars(names)
    return tuple(
        [
            name
            async for slice_ in found.partitions(_SLICE)
            for name in slice_
            if subject_of(prefix, name) in subjects
        ]
    )


async def _erase_customers(
    connection: AsyncConnection, marks: Marks, trail: Trail, gone: Sequence[_Row]
) -> None:
    touched = _of(gone, "customer_id")
    asked = {*trail.customer_ids, *touched}
    columns = CUSTOMERS.c
    rows = await _rows(
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
    await _delete(connection, columns.customer_id, over)
    await _update(connection, columns.customer_id, ("created_at",), younger)


async def _erase_identifiers(
    connection: AsyncConnection, marks: Marks, trail: Trail, gone: Sequence[_Row]
) -> None:
    columns = CUSTOMER_IDENTIFIERS.c
    found = [row for row in gone if row["customer_id"] is not None]
    touched = _of(found, "customer_identifier")
    rows = await _rows(
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
            }
        elif identifier in touched:
            kept = {name: row[name] for name in ("customer_id", "kind", "fetched_at")}
        else:
            continue
        first = min([kept["fetched_at"], *(answer["fetched_at"] for answer in answers)])
        changed.append({"of": identifier, "first_seen_at": first, **kept})
    await _delete(connection, columns.identifier, over)
    values = ("customer_id", "kind", "fetched_at", "first_seen_at")
    await _update(connection, columns.identifier, values, changed)


async def _erase_from_baskets(
    connection: AsyncConnection, trail: Trail, gone: Sequence[_Row]
) -> None:
    columns = BASKETS.c
    rows = await _rows(
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
            over.append(row["basket_id"])  # nobody started it: the identification was all
            continue
        changed.append(
            {
                "of": row["basket_id"],
                "customer_id": last["customer_id"],
                "identified_at": last["identified_at"],
                "identified_by": last["event_id"],
            }
        )
    await _delete(connection, columns.basket_id, over)
    values = ("customer_id", "identified_at", "identified_by")
    await _update(connection, columns.basket_id, values, changed)


async def _answers_left(
    connection: AsyncConnection,
    column: Column[Any],
    names: Collection[str],
    gone: Sequence[_Row],
) -> Mapping[str, list[_Row]]:
    """The answers with a customer that stay, by what `column` has."""
    gone_ids = set(_of(gone, "event_id"))
    left: dict[str, list[_Row]] = defaultdict(list)
    for row in await _rows(connection, _ANSWER, (column, names)):
        if row["customer_id"] is not None and row["event_id"] not in gone_ids:
            left[row[column.name]].append(row)
    return left


async def _rows(
    connection: AsyncConnection,
    columns: Sequence[Column[Any]],
    *wanted: tuple[Column[Any], Collection[str]],
) -> Sequence[_Row]:
    """The rows that have one of the wanted names, each once; the first column is their key."""
    rows: dict[str, _Row] = {}
    for column, names in wanted:
        ordered = sorted(names)
        for start in range(0, len(ordered), _SLICE):  # a statement takes some 32,000 parameters
            some = select(*columns).where(column.in_(ordered[start : start + _SLICE]))
            for row in (await connection.execute(some)).mappings():
                rows[row[columns[0].name]] = dict(row)
    return list(rows.values())


def _of(rows: Iterable[_Row], name: str) -> list[str]:
    """The values of one column, each once; what is missing is left out."""
    return sorted({row[name] for row in rows if row[name] is not None})


async def _delete(connection: AsyncConnection, key: Column[Any], names: Collection[str]) -> None:
    if names:
        statement = delete(_table(key)).where(key == bindparam("of"))
        await connection.execute(statement, [{"of": name} for name in names])


async def _update(
    connection: AsyncConnection,
    key: Column[Any],
    values: Sequence[str],
    rows: Sequence[_Row],
) -> None:
    if rows:
        statement = _table(key).update().where(key == bindparam("of"))
        await connection.execute(
            statement.values({name: bindparam(f"new_{name}") for name in values}),
            [{"of": row["of"], **{f"new_{name}": row[name] for name in values}} for row in rows],
        )


def _table(column: Column[Any]) -> Table:
    table = column.table
    if not isinstance(table, Table):
        raise TypeError("only columns of tables")
    return table
