"""Write the read model: topic values into rows, by upserts that no order can confuse.

Every row is a function of the set of events, not of their order: of two events for one row the
same one wins, whichever came first, so a replay into an empty database gives the same rows. Nor
does it matter whether a customer was forgotten before or after their events came (`forgotten`).
"""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, and_, case, or_
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream import topics
from posstream.adapters.sql import schema
from posstream.adapters.sql.engine import Insert, as_parameters, insert_rows_into
from posstream.adapters.sql.forgotten import ForgottenSubjects, trace_of_answer, trace_of_attempt
from posstream.adapters.sql.refusals import RowsRefused, refusals_told
from posstream.domain.customer import Customer, InvalidCustomer, read_customer, read_customer_id
from posstream.domain.forgetting import Marks, Trace
from posstream.domain.identifier import Identifier, IdentifierKind, normalise
from posstream.domain.payment_card import holds_payment_card
from posstream.domain.printable import is_id
from posstream.domain.search import folded
from posstream.domain.sent_number import SentNumber
from posstream.domain.times import parse_utc
from posstream.json_input import whole_number
from posstream.ports import ProjectedEvent, Projection

_log = logging.getLogger(__name__)

_Row = dict[str, Any]
_Columns = Any  # a table's columns, stored or excluded

_MAX_INT: Final = 2**63 - 1
_MAX_MONEY: Final = Decimal(10) ** 13
#: Digits of PostgreSQL's `numeric` before and after the point.
_MOST_WHOLE: Final = 131_072
_MOST_FRACTION: Final = 16_383
#: Seconds after which a transaction is given up: a connection that is dead without a word, or
#: somebody's lock, would hold it for ever.
_PATIENCE_SECONDS: Final = 60.0
_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)


class _UnusableError(ValueError):
    """An event that cannot become rows. The message names a field, never its content."""


@dataclass(frozen=True, slots=True)
class BasketStarted:
    """A valid `basket-started` event. `occurred_at` is None if it cannot be read."""

    basket_id: str
    employee_id: str
    terminal_id: str
    occurred_at: datetime | None


def read_basket_started(value: object, *, card_guard: bool = True) -> BasketStarted | None:
    """Judge the value of a `basket-started` event; any service may have written it.

    Returns None for what is no such event: a field missing or of a wrong type, an id that is
    empty, longer than 256 characters, has control characters, or holds a payment-card number. Ids
    may be whole numbers, but for `basket_id`, which is a key. An `occurred_at` that cannot be read
    counts as absent.
    """
    if not isinstance(value, Mapping):
        return None
    if value.get("event_type") not in (None, "BASKET_STARTED"):
        return None
    try:
        started = BasketStarted(
            basket_id=_key(value, "basket_id"),
            employee_id=_key(value, "employee_id", numbers=True),
            terminal_id=_key(value, "terminal_id", numbers=True),
            occurred_at=parse_utc(value.get("occurred_at")),
        )
    except _UnusableError:
        return None
    ids = (started.basket_id, started.employee_id, started.terminal_id)
    return None if card_guard and any(map(holds_payment_card, ids)) else started


class SqlProjection(Projection):
    """The read model, written to SQLite or PostgreSQL.

    Args:
        engine: from `engine.create_engine`, migrated.
        patience_seconds: after so long a transaction is given up.
    """

    def __init__(self, engine: AsyncEngine, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._engine = engine
        self._patience_seconds = patience_seconds
        self._forgotten = ForgottenSubjects(engine)
        upserts = {
            schema.CUSTOMERS: _upsert_customers,
            schema.CUSTOMER_IDENTIFIERS: _upsert_identifiers,
            schema.BASKETS: _upsert_baskets,
            schema.BASKET_IDENTIFICATIONS: _upsert_answers,
            schema.CUSTOMER_LOOKUP_LOGS: _upsert_logs,
            schema.LOOKUP_ANSWERS: _upsert_answers,
        }
        # Every transaction takes the tables in their order and the rows by key: two workers
        # cannot wait for each other.
        self._upserts = [
            (table, upserts[table](insert_rows_into(engine, table, _written(table))))
            for table in schema.READ_MODEL
        ]

    async def apply(self, events: Sequence[ProjectedEvent]) -> None:
        """Write a batch in one transaction; order within the batch does not matter.

        An event that cannot be turned into rows, or whose rows the database refuses, is logged
        without its content and skipped. To find the latter a batch is halved, each half in a
        transaction of its own.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: from the database, for what may pass: try again.
        """
        try:
            await self._write(events)
        except RowsRefused as why:
            if len(events) == 1:
                _log_skipped(events[0], str(why))
                return
            middle = len(events) // 2
            await self.apply(events[:middle])
            await self.apply(events[middle:])

    async def _write(self, events: Sequence[ProjectedEvent]) -> None:
        batch = _batch(events)
        if not batch.forgotten and not any(batch.of(table) for table in schema.READ_MODEL):
            return
        async with asyncio.timeout(self._patience_seconds), self._engine.begin() as connection:
            with refusals_told():
                await self._forgotten.lock(connection, to_forget=bool(batch.forgotten))
                if batch.forgotten:
                    await self._forgotten.forget(connection, batch.forgotten.values())
                marks = await self._forgotten.marks(connection, batch.traces)
                if marks:
                    batch = _Batch(marks)
                    for event in events:
                        batch.take(event)
                for table, upsert in self._upserts:
                    if rows := batch.of(table):
                        ordered = [row for _, row in sorted(rows.items())]
                        await connection.execute(upsert, as_parameters(self._engine, ordered))


def row_keys(events: Iterable[ProjectedEvent]) -> Mapping[Table, Collection[str]]:
    """The keys of the rows that events become, for each table of the read model."""
    batch = _Batch()
    for event in events:
        batch.take(event)
    return {table: batch.of(table).keys() for table in schema.READ_MODEL}


def _log_skipped(event: ProjectedEvent, why: str) -> None:
    _log.warning("skipped an event of %s: %s", event.place or event.topic, why)


# -- events into rows


@dataclass(slots=True)
class _Batch:
    """The rows of a batch by their key, one for each: the winner among its events."""

    #: Whoever is covered by them leaves no row.
    marks: Marks = field(default_factory=Marks)
    #: Of every event that tells of a person.
    traces: list[Trace] = field(default_factory=list)
    #: New marks, by their subject.
    forgotten: dict[str, _Row] = field(default_factory=dict)
    customers: dict[str, _Row] = field(default_factory=dict)
    identifiers: dict[str, _Row] = field(default_factory=dict)
    baskets: dict[str, _Row] = field(default_factory=dict)
    identifications: dict[str, _Row] = field(default_factory=dict)
    logs: dict[str, _Row] = field(default_factory=dict)
    answers: dict[str, _Row] = field(default_factory=dict)

    def of(self, table: Table) -> Mapping[str, _Row]:
        """The rows of one table by their key."""
        rows: Mapping[Table, Mapping[str, _Row]] = {
            schema.CUSTOMERS: self.customers,
            schema.CUSTOMER_IDENTIFIERS: self.identifiers,
            schema.BASKETS: self.baskets,
            schema.BASKET_IDENTIFICATIONS: self.identifications,
            schema.CUSTOMER_LOOKUP_LOGS: self.logs,
            schema.LOOKUP_ANSWERS: self.answers,
        }
        return rows[table]

    def take(self, event: ProjectedEvent) -> str | None:
        """Take one event in, wholly or not at all; then the result says why not."""
        try:
            self._add(event)
        except _UnusableError as why:
            return str(why)
        except Exception as why:  # noqa: BLE001 - one bad event must never fail a batch
            # The message of a foreign exception may quote the event.
            return type(why).__name__
        return None

    def _add(self, event: ProjectedEvent) -> None:
        if event.topic == topics.BASKET_STARTED:
            started = read_basket_started(event.value)
            if started is None:
                raise _UnusableError("it is no basket-started event")
            self._start(started)
        elif event.topic == topics.CUSTOMER_DATA_FETCHED:
            self._found(event.value)
        elif event.topic == topics.CUSTOMER_LOOKUP_FAILED:
            answer = _answer_row(event.value, None)
            if not self._is_over(trace_of_answer(answer)):
                self._answer(answer)
        elif event.topic == topics.CUSTOMER_LOOKUP_LOGGED:
            row = _log_row(event.value)
            if not self._is_over(trace_of_attempt(row)):
                _keep_first(self.logs, row, lambda row: row["request_timestamp"])
        elif event.topic == topics.CUSTOMER_FORGOTTEN:
            self._forget(_mark_row(event.value))
        else:
            raise _UnusableError("the topic is not projected")

    def _start(self, started: BasketStarted) -> None:
        row = self._basket(started.basket_id)
        if row["employee_id"] is None or _start_rank(
            started.occurred_at, started.employee_id, started.terminal_id
        ) < _start_rank(row["started_at"], row["employee_id"], row["terminal_id"]):
            row["employee_id"] = started.employee_id
            row["terminal_id"] = started.terminal_id
            row["started_at"] = started.occurred_at

    def _found(self, value: Mapping[str, Any]) -> None:
        customer = _customer(value)
        answer = _answer_row(value, customer.customer_id)
        identifier, fetched_at = answer["customer_identifier"], answer["fetched_at"]
        if fetched_at is None:
            raise _UnusableError("fetched_at is missing")
        customer_row = _customer_row(customer, value, identifier, fetched_at)
        if self._is_over(trace_of_answer(answer)):
            return
        self._answer(answer)
        _keep_last(
            self.customers,
            customer.customer_id,
            customer_row,
            rank=("fetched_at", "identifier"),
            earliest="created_at",
        )
        _keep_last(
            self.identifiers,
            identifier,
            {
                "identifier": identifier,
                "customer_id": customer.customer_id,
                "kind": answer["identifier_kind"],
                "first_seen_at": fetched_at,
                "fetched_at": fetched_at,
            },
            rank=("fetched_at", "customer_id"),
            earliest="first_seen_at",
        )
        identified = {
            "identified_at": answer["identified_at"],
            "identified_by": answer["event_id"],
            "customer_id": customer.customer_id,
        }
        basket = self._basket(answer["basket_id"])
        if basket["identified_at"] is None or tuple(identified.values()) > tuple(
            basket[name] for name in identified
        ):
            basket.update(identified)

    def _answer(self, row: _Row) -> None:
        def rank(row: _Row) -> tuple[bool, datetime]:
            return row["reason"] is not None, row["occurred_at"]

        _keep_first(self.answers, row, rank)
        columns = schema.BASKET_IDENTIFICATIONS.columns.keys()
        _keep_first(self.identifications, {name: row[name] for name in columns}, rank)

    def _is_over(self, trace: Trace) -> bool:
        """Whether an event is from before its customer was forgotten."""
        self.traces.append(trace)
        return self.marks.cover(trace)

    def _forget(self, row: _Row) -> None:
        def rank(row: _Row) -> tuple[datetime, int]:
            return row["forgotten_at"], row["cache_entries"]

        known = self.forgotten.setdefault(row["subject"], row)
        if rank(row) > rank(known):
            self.forgotten[row["subject"]] = row

    def _basket(self, basket_id: str) -> _Row:
        return self.baskets.setdefault(
            basket_id,
            dict.fromkeys(schema.BASKETS.columns.keys()) | {"basket_id": basket_id},
        )


def _batch(events: Iterable[ProjectedEvent]) -> _Batch:
    batch = _Batch()
    for event in events:
        why_not = batch.take(event)
        if why_not is not None:
            _log_skipped(event, why_not)
    return batch


def _start_rank(
    occurred_at: datetime | None, employee_id: str, terminal_id: str
) -> tuple[datetime, bool, str, str]:
    return occurred_at or _END_OF_TIME, occurred_at is None, employee_id, terminal_id


def _keep_first(rows: dict[str, _Row], row: _Row, rank: Callable[[_Row], Any]) -> None:
    known = rows.setdefault(row["event_id"], row)
    if rank(row) < rank(known):
        rows[row["event_id"]] = row


def _keep_last(
    rows: dict[str, _Row], key: str, row: _Row, *, rank: Iterable[str], earliest: str
) -> None:
    known = rows.setdefault(key, row)
    first = min(row[earliest], known[earliest])
    if [row[name] for name in rank] > [known[name] for name in rank]:
        rows[key] = row
    rows[key][earliest] = first


def _customer(value: Mapping[str, Any]) -> Customer:
    document = value.get("customer")
    # The guard on payment cards did its work before the event was written.
    customer = read_customer(_plain(document), card_guard=False)
    if isinstance(customer, InvalidCustomer):
        raise _UnusableError(f"customer: {customer.why}")
    if abs(customer.total_purchases) >= _MAX_MONEY:
        raise _UnusableError("customer: total_purchases is out of range")
    return customer


def _customer_row(
    customer: Customer, value: Mapping[str, Any], identifier: str, fetched_at: datetime
) -> _Row:
    attributes = _plain(value["customer"].get("attributes"))
    return {
        "customer_id": customer.customer_id,
        "identifier": identifier,
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "email": customer.email,
        "phone": customer.phone,
        "loyalty_points": customer.loyalty_points,
        "tier": customer.tier,
        "total_purchases": customer.total_purchases,
        "last_purchase_date": customer.last_purchase_date,
        # Of the data, not of the clock: a replay tomorrow must give today's rows.
        "created_at": fetched_at,
        "updated_at": fetched_at,
        "attributes": attributes if isinstance(attributes, dict) else {},
        "fetched_at": fetched_at,
        "search_text": search_text(customer),
    }


def search_text(customer: Customer) -> str:
    """The text that `search` looks through, folded: name, e-mail and phone, a line each."""
    phone, normal = customer.phone, normalise(customer.phone, card_guard=False)
    if isinstance(normal, Identifier) and normal.kind is IdentifierKind.PHONE:
        phone = phone if normal.value == phone else f"{phone} {normal.value}"
    lines = (f"{customer.first_name} {customer.last_name}", customer.email, phone)
    return "\n".join(folded(line) for line in lines)


def _answer_row(value: Mapping[str, Any], customer_id: str | None) -> _Row:
    fetched_at = _moment(value, "fetched_at")
    occurred_at = _moment(value, "occurred_at") or fetched_at
    identified_at = _moment(value, "identified_at") or occurred_at
    if occurred_at is None or identified_at is None:
        raise _UnusableError("occurred_at is missing")
    found = customer_id is not None
    return {
        "event_id": _key(value, "event_id"),
        "lookup_id": _text(value, "lookup_id"),
        "event_type": "CUSTOMER_DATA_FETCHED" if found else "CUSTOMER_LOOKUP_FAILED",
        "basket_id": _key(value, "basket_id"),
        "customer_identifier": _key(value, "customer_identifier"),
        "identifier_kind": _text(value, "identifier_kind"),
        "customer_id": customer_id,
        "source": _text(value, "source"),
        # Never empty on a failure: it is what tells one from an answer with a customer.
        "reason": None if found else _text(value, "reason") or "UNKNOWN",
        "error_message": None if found else _text(value, "error_message", limit=None),
        "attempts": _whole(value, "attempts"),
        "duration_ms": _whole(value, "duration_ms"),
        "age_ms": _whole(value, "age_ms"),
        "config_version": _whole(value, "config_version"),
        "fetched_at": fetched_at,
        "fresh_until": _moment(value, "fresh_until"),
        "identified_at": identified_at,
        "occurred_at": occurred_at,
    }


def _log_row(value: Mapping[str, Any]) -> _Row:
    requested_at = _moment(value, "request_timestamp")
    if requested_at is None:
        raise _UnusableError("request_timestamp is missing")
    response = _plain(value.get("response_data"))
    return {
        "event_id": _key(value, "event_id"),
        "lookup_id": _text(value, "lookup_id"),
        "attempt": _whole(value, "attempt"),
        "waiters": _whole(value, "waiters"),
        "basket_id": _text(value, "basket_id"),
        "customer_identifier": _key(value, "customer_identifier"),
        "identifier_kind": _text(value, "identifier_kind"),
        "api_endpoint": _text(value, "api_endpoint", limit=None),
        "call_started_at": _moment(value, "call_started_at"),
        "request_timestamp": requested_at,
        "response_timestamp": _moment(value, "response_timestamp"),
        "status": _text(value, "status"),
        "http_status": _whole(value, "http_status"),
        "response_data": response,
        "error_message": _text(value, "error_message", limit=None),
        "duration_ms": _whole(value, "duration_ms"),
        "customer_id": _customer_told_of(value, response),
    }


def _customer_told_of(value: Mapping[str, Any], response: Any) -> str | None:
    if (named := read_customer_id(_plain(value.get("customer_id")))) is not None:
        return named
    # Older events do not name the customer beside the response.
    return read_customer_id(response.get("customer_id")) if isinstance(response, dict) else None


def _mark_row(value: Mapping[str, Any]) -> _Row:
    forgotten_at = _moment(value, "forgotten_at")
    if forgotten_at is None:
        raise _UnusableError("forgotten_at is missing")
    return {
        "subject": _key(value, "subject"),
        "forgotten_at": forgotten_at,
        "cache_entries": _whole(value, "cache_entries") or 0,
    }


# -- fields


def _key(value: Mapping[str, Any], name: str, *, numbers: bool = False) -> str:
    raw = value.get(name)
    if numbers and (whole := whole_number(raw)) is not None:
        return str(whole)
    # `is_id` also refuses NUL and lone surrogates, which no database stores.
    if not isinstance(raw, str) or not is_id(raw, schema.MAX_TEXT):
        raise _UnusableError(f"{name} is missing or no id")
    return raw


def _text(
    value: Mapping[str, Any], name: str, *, limit: int | None = schema.MAX_TEXT
) -> str | None:
    raw = value.get(name)
    return _storable(raw)[:limit] if isinstance(raw, str) else None


def _storable(text: str) -> str:
    # NUL is unknown to PostgreSQL, and a lone surrogate to UTF-8.
    return text.replace("\0", "").encode(errors="replace").decode()


def _whole(value: Mapping[str, Any], name: str) -> int | None:
    raw = value.get(name)
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) > _MAX_INT:
        return None
    return int(raw)


def _moment(value: Mapping[str, Any], name: str) -> datetime | None:
    moment = parse_utc(value.get(name))
    if moment is None and value.get(name) is not None:
        raise _UnusableError(f"{name} is no ISO-8601 time")
    return moment


def _plain(value: Any) -> Any:
    """A JSON value that both databases take."""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, Mapping):
        return {_storable(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, SentNumber) and not _fits(value):
        return str(value)
    if value is None or isinstance(value, int | float | SentNumber):
        return value
    raise _UnusableError("a value is not JSON")


def _fits(number: SentNumber) -> bool:
    """Whether a number fits into PostgreSQL's `numeric`, which `jsonb` uses, too."""
    exponent = number.as_tuple().exponent
    return number.adjusted() < _MOST_WHOLE and -int(exponent) <= _MOST_FRACTION


# -- upserts


def _upsert_customers(insert: Insert) -> Insert:
    return _upsert_last(insert, "customer_id", tie="identifier", earliest="created_at")


def _upsert_identifiers(insert: Insert) -> Insert:
    return _upsert_last(insert, "identifier", tie="customer_id", earliest="first_seen_at")


def _upsert_last(insert: Insert, key: str, *, tie: str, earliest: str) -> Insert:
    """The newest `fetched_at` wins (at a tie the greater `tie`); `earliest` only goes back."""
    new, old = insert.excluded, _table(insert).c
    newer = or_(
        new.fetched_at > old.fetched_at,
        and_(new.fetched_at == old.fetched_at, new[tie] > old[tie]),
    )
    earlier = new[earliest] < old[earliest]
    changes = {
        name: _either(newer, new, old, name)
        for name in _written(_table(insert))
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
                or_(
                    new.employee_id < old.employee_id,
                    and_(new.employee_id == old.employee_id, new.terminal_id < old.terminal_id),
                ),
            ),
        ),
    )
    identified = and_(
        new.identified_at.is_not(None),
        or_(
            old.identified_at.is_(None),
            new.identified_at > old.identified_at,
            and_(
                new.identified_at == old.identified_at,
                or_(
                    new.identified_by > old.identified_by,
                    and_(
                        new.identified_by == old.identified_by,
                        new.customer_id > old.customer_id,
                    ),
                ),
            ),
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
    insert: Insert, better: Callable[[_Columns, _Columns], ColumnElement[bool]]
) -> Insert:
    """One row per event; a repeat of it, written after a crash, replaces it only if better."""
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["event_id"],
        set_={name: new[name] for name in _written(_table(insert)) if name != "event_id"},
        where=better(new, _table(insert).c),
    )


def _upsert_answers(insert: Insert) -> Insert:
    return _upsert_first(insert, _better_answer)


def _upsert_logs(insert: Insert) -> Insert:
    return _upsert_first(insert, lambda new, old: new.request_timestamp < old.request_timestamp)


def _better_answer(new: _Columns, old: _Columns) -> ColumnElement[bool]:
    # A customer beats a failure, as it does in the basket; else the first one counts.
    return or_(
        and_(new.reason.is_(None), old.reason.is_not(None)),
        and_(
            or_(new.reason.is_(None), old.reason.is_not(None)),
            new.occurred_at < old.occurred_at,
        ),
    )


def _either(
    wins: ColumnElement[bool], new: _Columns, old: _Columns, name: str
) -> ColumnElement[Any]:
    return case((wins, new[name]), else_=old[name])


def _written(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "id"]


def _table(insert: Insert) -> Table:
    table = insert.table
    if not isinstance(table, Table):
        raise TypeError("only tables are written")
    return table
