"""Wire records <-> domain: what is written on each topic and how input is read. No I/O.

Input is read as the schemas of `event_schemas` describe it, no stricter and no laxer. What is
needed for an answer is judged: a bad message becomes a dead letter that names the field. Any other
field that cannot be read counts as absent. Output follows the contract's section 1 to the letter.
"""

import math
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import orjson

from agents.customer_lookup import topics
from agents.customer_lookup.answers import (
    Attempt,
    CustomerFound,
    Identification,
    LookupAnswer,
    LookupFailed,
)
from agents.customer_lookup.cache_commands import (
    CacheCommand,
    Cause,
    CustomerUpdate,
    Evict,
    EvictPrefix,
    Forget,
    ForgetCustomer,
    Refresh,
    Replace,
)
from posstream.domain.customer import Customer, InvalidCustomer, read_customer
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.identifier import Identifier, IdentifierKind, is_normal, normalise
from posstream.domain.payment_card import holds_payment_card
from posstream.domain.times import clamp_ms, iso_utc_ms
from posstream.events.envelope import Headers, event_record, traceparent, written_ms
from posstream.events.ids import derived, input_id
from posstream.events.reading import (
    _HOLDS_CARD,
    MAX_EVENT_BYTES,
    invalid,
    missing,
    read_event,
    read_id,
    read_moment_ms,
)
from posstream.json.reading import read_json_exactly, whole_number
from posstream.json.writing import write_json
from posstream.kafka.record import Record
from tables.freshness import CacheEntry

#: Largest command: the customer of an event of the largest size, with every field named.
_MAX_COMMAND_BYTES: Final = 2 * MAX_EVENT_BYTES
#: Longest `response_data` in an audit record, in bytes of JSON.
MAX_RESPONSE_DATA: Final = 4096
#: A till may ask for a later answer than configured, but not for a later one than this.
MAX_DEADLINE_MS: Final = 300_000

_KINDS: Final = tuple(IdentifierKind)
#: The `ce_source` of this plugin's events.
SOURCE: Final = b"/posstream/customer-lookup"
_record: Final = partial(event_record, source=SOURCE)


# -- ids


# -- input


def read_identification(  # noqa: PLR0913 - a message is its bytes and its coordinates
    value: bytes | None,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    headers: Headers = (),
    card_guard: bool = True,
    country_code: str | None = None,
) -> Identification:
    """Read one `customer-identified` message.

    Args:
        value: the message as received.
        topic: where it came from; with `partition`, `offset` and `timestamp_ms` its identity
            without event_id.
        partition: see `topic`.
        offset: see `topic`.
        timestamp_ms: the record's own timestamp. Without `occurred_at`, the event happened then,
            or, of a replayed message, when the message was first written.
        headers: Kafka headers; `traceparent` is handed on.
        card_guard: refuse payment-card numbers.
        country_code: see `normalise`.

    Raises:
        UnreadableEvent: if it is no such event; the message names the field.

    A readable event with a refused identifier is returned with `refused` set: it gets an answer.
    """
    event = read_event(value)
    basket_id = read_id(event, "basket_id", required=True, card_guard=card_guard)
    scanned = event.get("customer_identifier")
    if scanned is None:
        raise missing("customer_identifier")
    if not isinstance(scanned, str):
        raise invalid("customer_identifier", "must be text")
    event_type = event.get("event_type")
    if event_type is not None and event_type != "CUSTOMER_IDENTIFIED":
        raise invalid("event_type", "must be CUSTOMER_IDENTIFIED")
    if card_guard:
        for name in ("employee_id", "terminal_id"):
            if holds_payment_card(str(event.get(name))):
                raise invalid(name, _HOLDS_CARD)
    occurred_at = read_moment_ms(event, "occurred_at")
    if occurred_at is None:
        occurred_at = clamp_ms(written_ms(timestamp_ms, headers))
    found = normalise(scanned, card_guard=card_guard, kind=_kind(event), country_code=country_code)
    return Identification(
        lookup_id=input_id(read_id(event, "event_id"), topic, partition, offset, timestamp_ms),
        basket_id=basket_id or "",
        identifier=found.value if isinstance(found, Identifier) else found.masked,
        kind=found.kind if isinstance(found, Identifier) else None,
        identified_at_ms=occurred_at,
        deadline_ms=_deadline(event),
        refused=None if isinstance(found, Identifier) else found.why,
        traceparent=traceparent(headers),
    )


def read_rekeyed(value: bytes | None) -> Identification:
    """Read one message of the internal rekeyed topic, as `rekeyed` wrote it.

    Raises:
        UnreadableEvent: if somebody else wrote it.
    """
    event = read_event(value)
    try:
        for name in ("lookup_id", "basket_id", "identifier"):
            read_id(event, name, required=True)
        for name in ("identified_at_ms", "deadline_ms", "taken_at_ms"):
            number = event.get(name)
            if number is None and name != "identified_at_ms":
                continue
            if type(number) is not int or number != clamp_ms(number):
                raise invalid(name, "must be a whole number of milliseconds")
        for name in ("refused", "traceparent"):
            read_id(event, name)
        if not is_normal(event["identifier"]):
            raise invalid("identifier", "is not normalised")
        return Identification(**{**event, "kind": IdentifierKind(event["kind"])})
    except (TypeError, KeyError, ValueError) as why:
        raise UnreadableEvent(
            DeadLetterReason.INVALID_FIELD, "not a record that posstream wrote"
        ) from why


def read_customer_update(
    value: bytes | None,
    *,
    timestamp_ms: int,
    card_guard: bool = True,
    country_code: str | None = None,
) -> CustomerUpdate:
    """Read one `customer-updated` message.

    An invalid customer, or one with another customer_id than the event's, counts as absent: the
    cache entries are dropped, and the directory is asked again. A refused identifier has no
    entries.

    Args:
        value: the message as received.
        timestamp_ms: the broker's timestamp, used when `occurred_at` is absent.
        card_guard: refuse a payment-card number for an identifier, and mask those in the customer.
        country_code: see `normalise`.

    Raises:
        UnreadableEvent: if it is no such event; the message names the field.
    """
    event = read_event(value, read=read_json_exactly)
    event_type = event.get("event_type")
    if event_type is not None and event_type != "CUSTOMER_UPDATED":
        raise invalid("event_type", "must be CUSTOMER_UPDATED")
    customer_id = read_id(event, "customer_id", numbers=True, card_guard=card_guard)
    scanned = event.get("customer_identifier")
    if scanned is not None and not isinstance(scanned, str):
        raise invalid("customer_identifier", "must be text")
    if customer_id is None and scanned is None:
        raise UnreadableEvent(
            DeadLetterReason.MISSING_FIELD, "customer_id and customer_identifier are missing"
        )
    occurred_at = read_moment_ms(event, "occurred_at")
    customer = _customer(event, card_guard=card_guard)
    if customer is not None and customer_id not in {None, customer.customer_id}:
        customer = None
    found = None
    if scanned is not None:
        found = normalise(
            scanned, card_guard=card_guard, kind=_kind(event), country_code=country_code
        )
    return CustomerUpdate(
        customer_id=customer_id if customer is None else customer.customer_id,
        identifier=found.value if isinstance(found, Identifier) else None,
        customer=customer,
        occurred_at_ms=clamp_ms(timestamp_ms) if occurred_at is None else occurred_at,
    )


def _customer(event: Mapping[str, Any], *, card_guard: bool) -> Customer | None:
    customer = read_customer(event.get("customer"), card_guard=card_guard)
    return None if isinstance(customer, InvalidCustomer) else customer


def read_cache_command(value: bytes | None) -> CacheCommand:
    """Read one message of the internal topic of cache commands, as `commanded` wrote it.

    Raises:
        UnreadableEvent: if somebody else wrote it.
    """
    command = read_event(value, most=_MAX_COMMAND_BYTES, read=read_json_exactly)
    try:
        match command:
            case {"op": "evict", "prefix": str(prefix)}:
                return EvictPrefix(prefix, int(command.get("sent_to", 0)))
            case {"op": "evict", "identifier": str(identifier), "cause": str(cause)}:
                return Evict(identifier, Cause(cause))
            case {
                "op": "replace",
                "identifier": str(identifier),
                "customer": dict(document),
                "fetched_at_ms": int(fetched_at_ms),
            }:
                entry = CacheEntry(clamp_ms(fetched_at_ms), write_json(document))
                return Replace(identifier, entry)
            case {"op": "refresh", "identifier": str(identifier), "lookup_id": str(lookup)}:
                return Refresh(identifier, lookup)
            case {
                "op": "forget",
                "identifier": str(identifier),
                "customer_ids": list(ids),
                "after_ms": int(after_ms),
            }:
                return Forget(identifier, tuple(map(str, ids)), clamp_ms(after_ms))
            case {"op": "forget", "customer_id": str(customer_id), "after_ms": int(after_ms)}:
                return ForgetCustomer(customer_id, clamp_ms(after_ms))
    except (TypeError, ValueError):
        pass
    raise UnreadableEvent(DeadLetterReason.INVALID_FIELD, "not a command that posstream wrote")


def _kind(event: Mapping[str, Any]) -> IdentifierKind | None:
    """The kind in `identifier_kind`; None if it is absent, or no kind of ours."""
    said = event.get("identifier_kind")
    return IdentifierKind(said) if said in _KINDS else None


def _deadline(event: Mapping[str, Any]) -> int | None:
    value = event.get("deadline_ms")
    if value is None:
        return None
    whole = whole_number(value, most=math.inf)
    if whole is None or whole < 1:
        raise invalid("deadline_ms", "must be a whole number of milliseconds, at least 1")
    return min(whole, MAX_DEADLINE_MS)


# -- output


def answered(answer: LookupAnswer, now_ms: int) -> Record:
    """The terminal answer: `customer-data-fetched` or `customer-lookup-failed`."""
    asked = answer.asked
    found = isinstance(answer, CustomerFound)
    topic = topics.CUSTOMER_DATA_FETCHED if found else topics.CUSTOMER_LOOKUP_FAILED
    event_type = "CUSTOMER_DATA_FETCHED" if found else "CUSTOMER_LOOKUP_FAILED"
    event_id = derived(f"{asked.lookup_id}/answer")
    envelope = {
        "event_id": event_id,
        "event_type": event_type,
        "schema_version": 1,
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
    if isinstance(answer, LookupFailed):
        envelope |= {"reason": answer.reason, "error_message": answer.error_message}
        value = orjson.dumps(envelope)
    else:
        envelope |= {
            "fetched_at": iso_utc_ms(answer.fetched_at_ms),
            "fresh_until": iso_utc_ms(answer.fresh_until_ms),
            "age_ms": answer.age_ms,
        }
        # The cached customer is spliced in as it is: a hit never decodes it.
        value = orjson.dumps(envelope)[:-1] + b',"customer":' + answer.document + b"}"
    return _record(topic, asked.basket_id, event_id, event_type, now_ms, value, asked.traceparent)


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
        call_started_at_ms: when the call began that it is an attempt of; without, the attempt
            is all of it.
    """
    event_id = derived(f"{asked.lookup_id}/attempt/{attempt.number}")
    if call_started_at_ms is None:
        call_started_at_ms = attempt.requested_at_ms
    value = {
        "event_id": event_id,
        "event_type": "CUSTOMER_LOOKUP_LOGGED",
        "schema_version": 1,
        "lookup_id": asked.lookup_id,
        "attempt": attempt.number,
        "waiters": waiters,
        "basket_id": asked.basket_id,
        "customer_identifier": asked.identifier,
        "identifier_kind": asked.kind,
        "api_endpoint": attempt.api_endpoint,
        "call_started_at": iso_utc_ms(call_started_at_ms),
        "request_timestamp": iso_utc_ms(attempt.requested_at_ms),
        "response_timestamp": iso_utc_ms(attempt.responded_at_ms),
        "status": attempt.status,
        "http_status": attempt.http_status,
        "response_data": attempt.response_data,
        "error_message": attempt.error_message,
        "duration_ms": attempt.duration_ms,
    }
    if attempt.customer_id is not None:
        value["customer_id"] = attempt.customer_id
    if not asked.basket_id:
        del value["basket_id"]  # nobody scanned: a refresh by hand
    return _record(
        topics.CUSTOMER_LOOKUP_LOGGED,
        asked.identifier,
        event_id,
        "CUSTOMER_LOOKUP_LOGGED",
        now_ms,
        write_json(value),
        asked.traceparent,
    )


def rekeyed(asked: Identification, partition: int) -> Record:
    """An identification under its own key, for the partition that holds its cache entry.

    Only what was read is written: an unknown field could hold what must not be copied.
    """
    return Record(
        topics.REKEYED, asked.identifier.encode(), orjson.dumps(asked), partition=partition
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
    event_id = event_id or str(uuid.uuid4())
    value = {
        "event_id": event_id,
        "event_type": "CUSTOMER_IDENTIFIED",
        "occurred_at": iso_utc_ms(now_ms),
        "basket_id": basket_id,
        "customer_identifier": customer_identifier,
    }
    if kind is not None:
        value["identifier_kind"] = kind
    return _record(
        topics.CUSTOMER_IDENTIFIED,
        basket_id,
        event_id,
        "CUSTOMER_IDENTIFIED",
        now_ms,
        orjson.dumps(value),
        key=customer_identifier,
    )


def basket_started(basket_id: str, employee_id: int, terminal_id: str, now_ms: int) -> Record:
    """A `basket-started` event of our own."""
    event_id = str(uuid.uuid4())
    value = {
        "event_id": event_id,
        "event_type": "BASKET_STARTED",
        "occurred_at": iso_utc_ms(now_ms),
        "basket_id": basket_id,
        "employee_id": employee_id,
        "terminal_id": terminal_id,
    }
    return _record(
        topics.BASKET_STARTED,
        basket_id,
        event_id,
        "BASKET_STARTED",
        now_ms,
        orjson.dumps(value),
    )


def commanded(command: CacheCommand, partitions: int) -> list[Record]:
    """A cache command, for each partition that it concerns.

    A command for one identifier has it as its key, so it comes to the partition of its cache
    entry; one for a prefix goes once to each of the `partitions`, one for a customer to any.
    """
    match command:
        case EvictPrefix(prefix):
            value = orjson.dumps({"op": "evict", "prefix": prefix, "sent_to": partitions})
            return [
                Record(topics.CACHE_COMMANDS, None, value, partition=number)
                for number in range(partitions)
            ]
        case ForgetCustomer(customer_id, after_ms):
            value = orjson.dumps({"op": "forget", "customer_id": customer_id, "after_ms": after_ms})
            return [Record(topics.CACHE_COMMANDS, customer_id.encode(), value)]
        case Evict(identifier, cause):
            value = orjson.dumps({"op": "evict", "identifier": identifier, "cause": cause})
        case Replace(identifier, entry):
            document = orjson.Fragment(entry.document or b"null")
            value = orjson.dumps(
                {
                    "op": "replace",
                    "identifier": identifier,
                    "customer": document,
                    "fetched_at_ms": entry.fetched_at_ms,
                }
            )
        case Refresh(identifier, lookup):
            value = orjson.dumps({"op": "refresh", "identifier": identifier, "lookup_id": lookup})
        case Forget(identifier, customer_ids, after_ms):
            value = orjson.dumps(
                {
                    "op": "forget",
                    "identifier": identifier,
                    "customer_ids": customer_ids,
                    "after_ms": after_ms,
                }
            )
    return [Record(topics.CACHE_COMMANDS, identifier.encode(), value)]
