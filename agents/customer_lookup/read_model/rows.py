"""Turns events into rows: of all events for one row the same one wins, whatever their order."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Table

from agents.customer_lookup import topics
from agents.customer_lookup.events.inputs import BasketStarted
from agents.customer_lookup.events.outputs import (
    CustomerDataFetched,
    CustomerLookupFailed,
    CustomerLookupLogged,
)
from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.customer_columns import CustomerColumns
from agents.customer_lookup.read_model.fields import (
    Row,
    UnusableEventError,
    plain,
    read_row,
    readers,
)
from agents.customer_lookup.read_model.traces import trace_of_answer, trace_of_attempt
from posstream.domain.customer import read_customer_id
from posstream.domain.errors import UnreadableEvent
from posstream.domain.times import parse_utc
from posstream.events.reading import event_of
from posstream.forgetting.marks import Marks, Trace
from posstream.read_model.projection import ProjectedEvent, log_skipped

_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
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
        "started_at": parse_utc(event.occurred_at),
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
    #: One for each event that names a person.
    traces: list[Trace] = field(default_factory=list)
    customers: CustomerColumns = field(default_factory=CustomerColumns)
    rows: dict[Table, dict[str, Row]] = field(
        default_factory=lambda: {table: {} for table in schema.READ_MODEL}
    )

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
            if not self._is_over(trace_of_answer(answer)):
                self._answer(answer)
        elif event.topic == topics.CUSTOMER_LOOKUP_LOGGED:
            row = _log_row(event.value)
            if not self._is_over(trace_of_attempt(row)):
                _keep_first(
                    self.rows[schema.CUSTOMER_LOOKUP_LOGS],
                    row,
                    lambda row: row["request_timestamp"],
                )
        else:
            raise UnusableEventError("the topic is not projected")

    def _start(self, started: Row) -> None:
        basket = self._basket(started["basket_id"])
        if basket["employee_id"] is None or _start_rank(started) < _start_rank(basket):
            basket.update(started)

    def _found(self, value: Mapping[str, Any]) -> None:
        customer = self.customers.read(value.get("customer"))
        customer_id = customer["customer_id"]
        answer = _answer_row(value, customer_id)
        identifier, fetched_at = answer["customer_identifier"], answer["fetched_at"]
        if fetched_at is None:
            raise UnusableEventError("fetched_at is missing")
        if self._is_over(trace_of_answer(answer)):
            return
        self._answer(answer)
        _keep_last(
            self.rows[schema.CUSTOMERS],
            customer_id,
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
                "customer_id": customer_id,
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
            "customer_id": customer_id,
        }
        basket = self._basket(answer["basket_id"])
        if basket["identified_at"] is None or tuple(identified.values()) > tuple(
            basket[name] for name in identified
        ):
            basket.update(identified)

    def _answer(self, row: Row) -> None:
        def rank(row: Row) -> tuple[bool, datetime]:
            return row["reason"] is not None, row["occurred_at"]

        _keep_first(self.rows[schema.LOOKUP_ANSWERS], row, rank)

    def _is_over(self, trace: Trace) -> bool:
        """Whether an event is from before its customer was forgotten."""
        self.traces.append(trace)
        return self.marks.cover(trace)

    def _basket(self, basket_id: str) -> Row:
        return self.rows[schema.BASKETS].setdefault(
            basket_id,
            dict.fromkeys(schema.BASKETS.columns.keys()) | {"basket_id": basket_id},
        )


def batch_of(events: Iterable[ProjectedEvent], customers: CustomerColumns) -> Batch:
    """The rows of events; an unusable event is logged and skipped."""
    batch = Batch(customers=customers)
    for event in events:
        why_not = batch.take(event)
        if why_not is not None:
            log_skipped(event, why_not)
    return batch


def _start_rank(row: Row) -> tuple[datetime, bool, str, str]:
    started_at = row["started_at"]
    return started_at or _END_OF_TIME, started_at is None, row["employee_id"], row["terminal_id"]


def _keep_first(rows: dict[str, Row], row: Row, rank: Callable[[Row], Any]) -> None:
    known = rows.setdefault(row["event_id"], row)
    if rank(row) < rank(known):
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
