"""Writes the plugin's own types as records of the contract (section 1). No I/O."""

import uuid
from functools import partial
from typing import Any, Final

from msgspec import UNSET, Raw

from agents.customer_lookup import topics
from agents.customer_lookup.answers import Attempt, CustomerFound, Identification, LookupAnswer
from agents.customer_lookup.events.inputs import BasketStarted, CustomerIdentified
from agents.customer_lookup.events.outputs import (
    CustomerDataFetched,
    CustomerLookupFailed,
    CustomerLookupLogged,
)
from posstream.domain.identifier import IdentifierKind
from posstream.domain.times import iso_utc_ms
from posstream.events.envelope import event_record
from posstream.events.ids import derived
from posstream.json.writing import write_json
from posstream.kafka.record import Record

#: The `ce_source` of the plugin's events.
SOURCE: Final = b"/posstream/customer-lookup"
_record: Final = partial(event_record, source=SOURCE)
#: Where the text of a UUID has its version.
_VERSION_AT: Final = 14


def answer_id(lookup_id: bytes) -> bytes:
    """The event_id of a lookup's answer: its lookup_id as a UUID of version 8 (RFC 9562).

    No other id that posstream derives has this version, and it takes no second digest
    (docs/decisions/0018-the-id-of-an-answer.md).
    """
    return lookup_id[:_VERSION_AT] + b"8" + lookup_id[_VERSION_AT + 1 :]


def answered(answer: LookupAnswer, now_ms: int) -> Record:
    """The terminal answer: `customer-data-fetched` or `customer-lookup-failed`."""
    asked = answer.asked
    shared: dict[str, Any] = {
        "event_id": answer_id(asked.lookup_id.encode()).decode(),
        "occurred_at": iso_utc_ms(now_ms),
        "lookup_id": asked.lookup_id,
        "basket_id": asked.basket_id,
        "customer_identifier": asked.identifier,
        "identifier_kind": asked.kind,
        "identified_at": iso_utc_ms(asked.identified_at_ms),
        "source": answer.source,
        "attempts": answer.attempts,
        "duration_ms": answer.duration_ms,
        "config_version": answer.config_version,
    }
    event: CustomerDataFetched | CustomerLookupFailed
    if isinstance(answer, CustomerFound):
        topic = topics.CUSTOMER_DATA_FETCHED
        # The cached customer is spliced in as it is: a hit never decodes it.
        shared["customer"] = Raw(answer.document)
        event = CustomerDataFetched(
            **shared,
            fetched_at=iso_utc_ms(answer.fetched_at_ms),
            fresh_until=iso_utc_ms(answer.fresh_until_ms),
            age_ms=answer.age_ms,
        )
    else:
        topic = topics.CUSTOMER_LOOKUP_FAILED
        event = CustomerLookupFailed(
            **shared, reason=answer.reason, error_message=answer.error_message
        )
    return _record(topic, asked.basket_id, event, now_ms, asked.traceparent)


def attempted(
    asked: Identification,
    attempt: Attempt,
    waiters: int,
    now_ms: int,
    *,
    call_started_at_ms: int | None = None,
) -> Record:
    """The audit record of one HTTP attempt: `customer-lookup-logged`.

    Args:
        asked: the identification whose lookup led the call.
        attempt: what was asked and what came back.
        waiters: how many other events share the call.
        now_ms: wall time.
        call_started_at_ms: when the attempt's call began; None: when the attempt began.
    """
    if call_started_at_ms is None:
        call_started_at_ms = attempt.requested_at_ms
    event = CustomerLookupLogged(
        event_id=derived(f"{asked.lookup_id}/attempt/{attempt.number}"),
        lookup_id=asked.lookup_id,
        attempt=attempt.number,
        waiters=waiters,
        basket_id=asked.basket_id or UNSET,
        customer_identifier=asked.identifier,
        identifier_kind=asked.kind,
        api_endpoint=attempt.api_endpoint,
        call_started_at=iso_utc_ms(call_started_at_ms),
        request_timestamp=iso_utc_ms(attempt.requested_at_ms),
        response_timestamp=iso_utc_ms(attempt.responded_at_ms),
        status=attempt.status,
        http_status=attempt.http_status,
        # Its numbers stay as the directory sent them.
        response_data=Raw(write_json(attempt.response_data)),
        error_message=attempt.error_message,
        duration_ms=attempt.duration_ms,
        customer_id=UNSET if attempt.customer_id is None else attempt.customer_id,
    )
    return _record(
        topics.CUSTOMER_LOOKUP_LOGGED, asked.identifier, event, now_ms, asked.traceparent
    )


def identified(
    basket_id: str,
    customer_identifier: str,
    now_ms: int,
    *,
    event_id: str | None = None,
    kind: IdentifierKind | None = None,
) -> Record:
    """A `customer-identified` event of our own; the id is made up unless given.

    `kind` is the identifier's, if the caller gave one; without it, workers go by the syntax.
    """
    event = CustomerIdentified(
        event_id=event_id or str(uuid.uuid4()),
        event_type="CUSTOMER_IDENTIFIED",
        occurred_at=iso_utc_ms(now_ms),
        basket_id=basket_id,
        customer_identifier=customer_identifier,
        identifier_kind=kind,
    )
    return _record(topics.CUSTOMER_IDENTIFIED, basket_id, event, now_ms, key=customer_identifier)


def basket_started(
    basket_id: str,
    employee_id: int,
    terminal_id: str,
    now_ms: int,
    *,
    customer_identifier: str | None = None,
) -> Record:
    """A `basket-started` event of our own."""
    event = BasketStarted(
        event_id=str(uuid.uuid4()),
        event_type="BASKET_STARTED",
        occurred_at=iso_utc_ms(now_ms),
        basket_id=basket_id,
        employee_id=employee_id,
        terminal_id=terminal_id,
        customer_identifier=customer_identifier,
    )
    return _record(topics.BASKET_STARTED, basket_id, event, now_ms)
