"""Turns events into rows: of all events for one row the same one wins, whatever their order."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import orjson
from sqlalchemy import Table

from agents.customer_lookup import topics
from agents.customer_lookup.events.inputs import BasketStarted
from agents.customer_lookup.events.outputs import (
    CustomerDataFetched,
    CustomerLookupFailed,
    CustomerLookupLogged,
)
from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.fields import (
    Row,
    UnusableEventError,
    plain,
    read_row,
    readers,
)
from agents.customer_lookup.read_model.recent_customers import RecentCustomers, columns_of_customer
from agents.customer_lookup.read_model.spans import spans_of
from agents.customer_lookup.read_model.told import Told, digest_of, told_by
from agents.customer_lookup.read_model.traces import trace_of_answer, trace_of_attempt
from agents.customer_lookup.read_model.written_answers import FoundAnswer
from posstream.domain.customer import read_customer_id
from posstream.domain.errors import UnreadableEvent
from posstream.events.reading import event_of
from posstream.forgetting.marks import Marks, Trace
from posstream.json.writing import write_json
from posstream.read_model.projection import ProjectedEvent, log_skipped
from posstream.read_model.stored_time import stored, stored_from_json

_END_OF_TIME: Final = stored(datetime.max.replace(tzinfo=UTC))
_EMPTY_BASKET: Final = dict.fromkeys(map(str, schema.BASKETS.columns.keys()))
_ANSWER: Final = readers(schema.LOOKUP_ANSWERS, CustomerDataFetched, CustomerLookupFailed)
_LOG: Final = readers(schema.CUSTOMER_LOOKUP_LOGS, CustomerLookupLogged)


def read_basket_started(value: object) -> Row | None:
    """The columns of `baskets` in a `basket-started` event; any service may have written it.

    Returns None for what is no such event: a field missing or of a wrong type, an id that is
    empty, longer than 256 characters, has control characters, or holds a payment-card number. Ids
    may be whole numbers, but for `basket_id`, which is a key. An `occurred_at` that cannot be read
    counts as absent.
    """
    if not isinstance(value, Mapping):
        return None
    try:
        event = event_of(BasketStarted, value)
    except UnreadableEvent:
        return None
    return {
        "basket_id": event.basket_id,
        "employee_id": str(event.employee_id),
        "terminal_id": str(event.terminal_id),
        "started_at": stored_from_json(event.occurred_at),
    }


def row_keys(events: Iterable[ProjectedEvent]) -> Mapping[Table, Collection[str]]:
    """The keys of the rows that events become, for each table of the read model."""
    batch = Batch()
    for event in events:
        batch.take(event)
    return {table: rows.keys() for table, rows in batch.rows.items()}


@dataclass(slots=True)
class Batch:
    """The rows of a batch by table and key, one for each: the winner among its events."""

    #: No row is made from an event that one of these marks covers.
    marks: Marks = field(default_factory=Marks)
    #: Customers that need not be read or written again.
    customers: RecentCustomers = field(default_factory=RecentCustomers)
    rows: dict[Table, dict[str, Row]] = field(
        default_factory=lambda: {table: {} for table in schema.READ_MODEL}
    )
    #: What answers say about customers whose rows this batch writes, each with the customer's id.
    told: dict[Told, str] = field(default_factory=dict)

    @property
    def earliest(self) -> str | None:
        """The earliest time from which data of a customer is; None if there is no such data."""
        answers = self.rows[schema.LOOKUP_ANSWERS].values()
        found = (row["fetched_at"] for row in answers if row["customer_id"] is not None)
        failed = (trace_of_answer(row) for row in answers if row["customer_id"] is None)
        attempts = map(trace_of_attempt, self.rows[schema.CUSTOMER_LOOKUP_LOGS].values())
        others = (stored(trace.at) for trace in chain(failed, attempts))
        return min(chain(found, others), default=None)

    def in_order(self, table: Table) -> Sequence[Row]:
        """The rows of a table by their keys."""
        rows = self.rows[table]
        return [rows[key] for key in sorted(rows)]

    def traces(self) -> Iterator[Trace]:
        """One for each row of this batch that names a person."""
        yield from map(trace_of_answer, self.rows[schema.LOOKUP_ANSWERS].values())
        yield from map(trace_of_attempt, self.rows[schema.CUSTOMER_LOOKUP_LOGS].values())

    def spans(self) -> set[str]:
        """The spans of time in which the rows of this batch are counted."""
        answers = self.rows[schema.LOOKUP_ANSWERS].values()
        attempts = self.rows[schema.CUSTOMER_LOOKUP_LOGS].values()
        return spans_of(
            chain(
                (row["occurred_at"] for row in answers),
                (row["request_timestamp"] for row in attempts),
            )
        )

    def take_all(self, events: Iterable[ProjectedEvent]) -> None:
        """Take events in; an unusable one is logged and skipped."""
        for event in events:
            why_not = self.take(event)
            if why_not is not None:
                log_skipped(event, why_not)

    def take(self, event: ProjectedEvent) -> str | None:
        """Take one event in, wholly or not at all; returns why not, or None."""
        try:
            self._add(event)
        except UnusableEventError as why:
            return str(why)
        except Exception as why:  # noqa: BLE001 - one bad event must never fail a batch
            # The message of a foreign exception may quote the event.
            return type(why).__name__
        return None

    def _add(self, event: ProjectedEvent) -> None:
        if event.topic == topics.BASKET_STARTED:
            started = read_basket_started(event.value)
            if started is None:
                raise UnusableEventError("it is no basket-started event")
            self._start(started)
        elif event.topic == topics.CUSTOMER_DATA_FETCHED:
            self._found(event.value)
        elif event.topic == topics.CUSTOMER_LOOKUP_FAILED:
            answer = _answer_row(event.value, None)
            if not self._is_over(answer, trace_of_answer):
                self._answer(answer)
        elif event.topic == topics.CUSTOMER_LOOKUP_LOGGED:
            row = _log_row(event.value)
            if not self._is_over(row, trace_of_attempt):
                _keep_first(self.rows[schema.CUSTOMER_LOOKUP_LOGS], row, attempt_rank)
        else:
            raise UnusableEventError("the topic is not projected")

    def _start(self, started: Row) -> None:
        basket = self._basket(started["basket_id"])
        if basket["employee_id"] is None or _start_rank(started) < _start_rank(basket):
            basket.update(started)

    def _found(self, value: FoundAnswer | Mapping[str, Any]) -> None:
        known, customer = self.customers, None
        if isinstance(value, FoundAnswer):
            answer, told = value.row, value.told
            customer_id = self._written(told)
            if customer_id is None:
                customer = known.columns(value.document)
                customer_id = str(customer["customer_id"])
            answer["customer_id"] = customer_id
        else:
            document, sent = _document(value), value.get("customer")
            customer = known.columns(document) if document else columns_of_customer(sent)
            customer_id = str(customer["customer_id"])
            answer = _answer_row(value, customer_id)
            told = told_by(answer, document)
            if document and self._written(told) is not None:
                customer = None
        if answer["fetched_at"] is None:
            raise UnusableEventError("fetched_at is missing")
        if self._is_over(answer, trace_of_answer):
            return
        self._answer(answer)
        if customer is not None:
            self._customer(customer, answer, told)
            self.told[told] = customer_id
        basket = self._basket(answer["basket_id"])
        rank = answer["identified_at"], answer["event_id"], customer_id
        if basket["identified_at"] is None or rank > (
            basket["identified_at"],
            basket["identified_by"],
            basket["customer_id"],
        ):
            basket["identified_at"], basket["identified_by"], basket["customer_id"] = rank

    def _written(self, told: Told) -> str | None:
        """The customer's id if this batch or one before it writes the rows, else None."""
        return self.told.get(told) or self.customers.customer_of(told)

    def _customer(self, customer: Row, answer: Row, told: Told) -> None:
        identifier, fetched_at = answer["customer_identifier"], answer["fetched_at"]
        _keep_last(
            self.rows[schema.CUSTOMERS],
            answer["customer_id"],
            {
                **customer,
                "identifier": identifier,
                # From the data, not from the clock: a replay tomorrow must give today's rows.
                "created_at": fetched_at,
                "updated_at": fetched_at,
                "fetched_at": fetched_at,
            },
            rank=("fetched_at", "identifier"),
            earliest="created_at",
        )
        _keep_last(
            self.rows[schema.CUSTOMER_IDENTIFIERS],
            identifier,
            {
                "identifier": identifier,
                "customer_id": answer["customer_id"],
                "kind": answer["identifier_kind"],
                "first_seen_at": fetched_at,
                "fetched_at": fetched_at,
                "answer_digest": digest_of(told),
            },
            rank=("fetched_at", "customer_id", "answer_digest"),
            earliest="first_seen_at",
        )

    def _answer(self, row: Row) -> None:
        _keep_first(self.rows[schema.LOOKUP_ANSWERS], row, answer_rank)

    def _is_over(self, row: Row, trace_of: Callable[[Row], Trace]) -> bool:
        """Whether a row is from before its customer was forgotten."""
        return bool(self.marks) and self.marks.cover(trace_of(row))

    def _basket(self, basket_id: str) -> Row:
        baskets = self.rows[schema.BASKETS]
        if (known := baskets.get(basket_id)) is not None:
            return known
        baskets[basket_id] = basket = {**_EMPTY_BASKET, "basket_id": basket_id}
        return basket


def _start_rank(row: Row) -> tuple[str, bool, str, str]:
    started_at = row["started_at"]
    return started_at or _END_OF_TIME, started_at is None, row["employee_id"], row["terminal_id"]


def answer_rank(row: Mapping[str, Any]) -> tuple[bool, str]:
    """The lower rank of two answers to one event wins: a customer beats a failure."""
    return row["reason"] is not None, row["occurred_at"]


def attempt_rank(row: Mapping[str, Any]) -> str:
    """The lower rank of two records of one attempt wins: the earlier one."""
    at: str = row["request_timestamp"]
    return at


def _keep_first(rows: dict[str, Row], row: Row, rank: Callable[[Row], Any]) -> None:
    known = rows.setdefault(row["event_id"], row)
    if known is not row and rank(row) < rank(known):
        rows[row["event_id"]] = row


def _keep_last(
    rows: dict[str, Row], key: str, row: Row, *, rank: Iterable[str], earliest: str
) -> None:
    known = rows.setdefault(key, row)
    first = min(row[earliest], known[earliest])
    if [row[name] for name in rank] > [known[name] for name in rank]:
        rows[key] = row
    rows[key][earliest] = first


def _answer_row(value: Mapping[str, Any], customer_id: str | None) -> Row:
    row = read_row(_ANSWER, value)
    occurred_at = row["occurred_at"] or row["fetched_at"]
    if occurred_at is None:
        raise UnusableEventError("occurred_at is missing")
    found = customer_id is not None
    return row | {
        "event_type": "CUSTOMER_DATA_FETCHED" if found else "CUSTOMER_LOOKUP_FAILED",
        "customer_id": customer_id,
        # Never empty on a failure: an answer without a reason has a customer.
        "reason": None if found else row["reason"] or "UNKNOWN",
        "error_message": None if found else row["error_message"],
        "identified_at": row["identified_at"] or occurred_at,
        "occurred_at": occurred_at,
    }


def _document(value: Mapping[str, Any]) -> bytes:
    """The customer's document as JSON; empty for a lone surrogate, which is read all the same."""
    try:
        return write_json(value.get("customer"))
    except orjson.JSONEncodeError:
        return b""


def _log_row(value: Mapping[str, Any]) -> Row:
    row = read_row(_LOG, value)
    if row["request_timestamp"] is None:
        raise UnusableEventError("request_timestamp is missing")
    return row | {"customer_id": _customer_in_response(value)}


def _customer_in_response(value: Mapping[str, Any]) -> str | None:
    if (named := read_customer_id(plain(value.get("customer_id")))) is not None:
        return named
    # Older events do not name the customer beside the response.
    response = plain(value.get("response_data"))
    return read_customer_id(response.get("customer_id")) if isinstance(response, dict) else None
