"""Writes events into the plugin's tables, by upserts whose result is the same in any order.

Every row is a function of the set of events, not of their order: of two events for one row the same
one wins, whichever came first. So a replay into an empty database gives the same rows. It does not
matter either whether the mark of a forgotten customer came before or after the customer's events.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, and_, case, or_, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.event_rows import EventRows, Rule
from agents.customer_lookup.read_model.known_customers import known_of
from agents.customer_lookup.read_model.recent_customers import KNOWN_SECONDS, RecentCustomers
from agents.customer_lookup.read_model.rows import Batch, answer_rank, attempt_rank
from agents.customer_lookup.read_model.spans import spans_of
from agents.customer_lookup.read_model.told import Told
from agents.customer_lookup.read_model.uncounted import Uncounted
from agents.customer_lookup.read_model.written_answers import FoundAnswer, read_found
from agents.customer_lookup.topics import CUSTOMER_DATA_FETCHED
from posstream.forgetting.forgotten import ForgottenSubjects
from posstream.read_model.ahead import Ahead
from posstream.read_model.engine import Insert, read_only
from posstream.read_model.projection import BatchProjection, ProjectedEvent
from posstream.read_model.rows_writer import ReadyRows, RowsWriter, written_columns
from posstream.read_model.stored_time import time_of

_Columns = Any  # a table's columns, stored or excluded

#: Events whose rows are made without a pause for other tasks.
_TAKEN_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch and its prepared rows."""

    batch: Batch
    rows: Mapping[Table, ReadyRows]


@dataclass(frozen=True, slots=True)
class Newest:
    """The rule by which one of two rows wins: the newest, and the earliest time of both."""

    #: The column with the row's key.
    key: str
    #: The column that decides between two rows of the same `fetched_at`.
    tie: str
    #: The column that only goes back.
    earliest: str
    #: The column of a digest. If `fetched_at` and `tie` are equal, the greater digest stays.
    digest: str | None = None


class SqlProjection(BatchProjection):
    """The projection of customer_lookup, into SQLite or PostgreSQL."""

    decoders = MappingProxyType({CUSTOMER_DATA_FETCHED: read_found})

    def __init__(self, engine: AsyncEngine, **options: float) -> None:
        super().__init__(engine, **options)
        self._forgotten = ForgottenSubjects(engine)
        # Every transaction writes the tables in one order, and the rows by key: so two workers
        # cannot wait for each other.
        self._writers = [
            (table, RowsWriter(engine, table, _UPSERTS[table]))
            for table in schema.READ_MODEL
            if table not in _RULES
        ]
        # They come last in `schema.READ_MODEL`.
        self._event_writers = [
            (table, EventRows(engine, table, rule, _UPSERTS[table]))
            for table, rule in _RULES.items()
        ]
        self._uncounted = Uncounted(engine)
        self._customers = RecentCustomers()
        self._uncommitted: Mapping[Told, str] = {}
        self._ahead = Ahead[_Ready](seconds=KNOWN_SECONDS)

    async def prepare(self, events: Sequence[ProjectedEvent]) -> None:
        """Prepare the rows of a batch; reads unknown customers by a connection of its own."""
        if unsure := self._unsure(events):
            if self._has_one_connection:
                return
            async with read_only(self._engine).connect() as connection:
                self._customers.note(await known_of(connection, unsure))
        self._ahead.put(events, await self._ready(events))

    async def write(self, connection: AsyncConnection, events: Sequence[ProjectedEvent]) -> None:
        """Write the rows of a batch, but for those of customers who were forgotten since."""
        await self._forgotten.lock(connection, to_forget=False)
        ready = self._ahead.take(events)
        if ready is None:
            if unsure := self._unsure(events):
                self._customers.note(await known_of(connection, unsure))
            ready = await self._ready(events)
        batch = ready.batch
        earliest = batch.earliest
        if earliest is not None and await self._forgotten.any_since(connection, time_of(earliest)):
            marks = await self._forgotten.marks(connection, batch.traces())
            if marks:  # rows may have been erased since they were written: none is known
                batch = Batch(marks)
                for event in events:
                    batch.take(event)
                ready = _Ready(batch, self._rows(batch))
        for table, writer in self._writers:
            if rows := ready.rows.get(table):
                await writer.write_ready(connection, rows)
        replaced: list[str] = []
        for table, event_writer in self._event_writers:
            if rows := ready.rows.get(table):
                replaced.extend(await event_writer.write_ready(connection, rows))
        await self._uncounted.write(connection, batch.spans() | spans_of(replaced))
        self._uncommitted = batch.told

    def _unsure(self, events: Sequence[ProjectedEvent]) -> Collection[Told]:
        """What answers say about customers whom we do not know to be written."""
        answers = (event.value for event in events if isinstance(event.value, FoundAnswer))
        return {it.told for it in answers if not self._customers.customer_of(it.told)}

    async def _ready(self, events: Sequence[ProjectedEvent]) -> _Ready:
        batch = Batch(customers=self._customers)
        for start in range(0, len(events), _TAKEN_AT_ONCE):
            batch.take_all(events[start : start + _TAKEN_AT_ONCE])
            await asyncio.sleep(0)  # the batch that is being written comes first
        return _Ready(batch, self._rows(batch))

    def _rows(self, batch: Batch) -> Mapping[Table, ReadyRows]:
        writers = dict[Table, RowsWriter | EventRows]([*self._writers, *self._event_writers])
        return {
            table: writer.ready(batch.in_order(table))
            for table, writer in writers.items()
            if batch.rows[table]
        }

    def committed(self) -> None:
        """Remember which customers the database has now."""
        self._customers.note(self._uncommitted)


def _upsert_newest(insert: Insert, rule: Newest) -> Insert:
    """The newest `fetched_at` wins (at a tie the greater `tie`); `earliest` only goes back."""
    key, tie, earliest = rule.key, rule.tie, rule.earliest
    new, old = insert.excluded, _table(insert).c
    newer = tuple_(new.fetched_at, new[tie]) > tuple_(old.fetched_at, old[tie])
    earlier = new[earliest] < old[earliest]
    if rule.digest is not None:
        tied = tuple_(new.fetched_at, new[tie]) == tuple_(old.fetched_at, old[tie])
        digest = old[rule.digest]
        newer = or_(newer, and_(tied, or_(digest.is_(None), new[rule.digest] > digest)))
    changes = {
        name: _either(newer, new, old, name)
        for name in written_columns(_table(insert))
        if name not in {key, earliest}
    }
    changes[earliest] = _either(earlier, new, old, earliest)
    return insert.on_conflict_do_update(
        index_elements=[key], set_=changes, where=or_(newer, earlier)
    )


def _upsert_baskets(insert: Insert) -> Insert:
    """The earliest start and the last identification win, each for its own columns.

    One statement for both: with two, workers could lock each other's baskets crosswise.
    """
    new, old = insert.excluded, _table(insert).c
    started = and_(
        new.employee_id.is_not(None),
        or_(
            old.employee_id.is_(None),
            and_(
                new.started_at.is_not(None),
                or_(old.started_at.is_(None), new.started_at < old.started_at),
            ),
            and_(
                new.started_at.is_not_distinct_from(old.started_at),
                tuple_(new.employee_id, new.terminal_id) < tuple_(old.employee_id, old.terminal_id),
            ),
        ),
    )
    identified = and_(
        new.identified_at.is_not(None),
        or_(
            old.identified_at.is_(None),
            tuple_(new.identified_at, new.identified_by, new.customer_id)
            > tuple_(old.identified_at, old.identified_by, old.customer_id),
        ),
    )
    changes = {
        name: _either(started, new, old, name)
        for name in ("employee_id", "terminal_id", "started_at")
    } | {
        name: _either(identified, new, old, name)
        for name in ("customer_id", "identified_at", "identified_by")
    }
    return insert.on_conflict_do_update(
        index_elements=["basket_id"], set_=changes, where=or_(started, identified)
    )


def _upsert_first(
    insert: Insert, *, better: Callable[[_Columns, _Columns], ColumnElement[bool]]
) -> Insert:
    """One row per event; a repeat of the event, written after a crash, replaces it if better."""
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["event_id"],
        set_={name: new[name] for name in written_columns(_table(insert)) if name != "event_id"},
        where=better(new, _table(insert).c),
    )


def _better_answer(new: _Columns, old: _Columns) -> ColumnElement[bool]:
    # A customer beats a failure, as it does in the basket; else the first one counts.
    return tuple_(new.reason.is_not(None), new.occurred_at) < tuple_(
        old.reason.is_not(None), old.occurred_at
    )


def _either(
    wins: ColumnElement[bool], new: _Columns, old: _Columns, name: str
) -> ColumnElement[Any]:
    return case((wins, new[name]), else_=old[name])


def _table(insert: Insert) -> Table:
    table = insert.table
    if not isinstance(table, Table):
        raise TypeError("only tables are written")
    return table


_NEWEST: Final[Mapping[Table, Newest]] = {
    schema.CUSTOMERS: Newest("customer_id", tie="identifier", earliest="created_at"),
    schema.CUSTOMER_IDENTIFIERS: Newest(
        "identifier", tie="customer_id", earliest="first_seen_at", digest="answer_digest"
    ),
}
#: Makes an insert into a table the upsert by which its rows are written.
_UPSERTS: Final[Mapping[Table, Callable[[Insert], Insert]]] = {
    **{table: partial(_upsert_newest, rule=rule) for table, rule in _NEWEST.items()},
    schema.BASKETS: _upsert_baskets,
    schema.CUSTOMER_LOOKUP_LOGS: partial(
        _upsert_first, better=lambda new, old: new.request_timestamp < old.request_timestamp
    ),
    schema.LOOKUP_ANSWERS: partial(_upsert_first, better=_better_answer),
}
#: The same rules for the tables with a row for each event, in the order of `schema.READ_MODEL`.
_RULES: Final[Mapping[Table, Rule]] = {
    schema.CUSTOMER_LOOKUP_LOGS: Rule(
        schema.CUSTOMER_LOOKUP_LOGS.c.request_timestamp, (), attempt_rank
    ),
    schema.LOOKUP_ANSWERS: Rule(
        schema.LOOKUP_ANSWERS.c.occurred_at, (schema.LOOKUP_ANSWERS.c.reason,), answer_rank
    ),
}
