"""Wire records <-> domain: what is written on each topic and how input is read. No I/O.

Input is read as the schemas of `event_schemas` describe it, no stricter and no laxer. What is
needed for an answer is judged: a bad message becomes a dead letter that names the field. Any other
field that cannot be read counts as absent. Output follows the contract's section 1 to the letter.
"""

import math
import re
import struct
import uuid
from binascii import hexlify
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from posstream import topics
from posstream.domain.cache_maintenance import (
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
from posstream.domain.forgetting import Forgotten
from posstream.domain.freshness import CacheEntry
from posstream.domain.identifier import Identifier, IdentifierKind, is_normal, normalise
from posstream.domain.lookup import (
    Attempt,
    CustomerFound,
    Identification,
    LookupAnswer,
    LookupFailed,
)
from posstream.domain.payment_card import holds_payment_card, mask_payment_cards_in_bytes
from posstream.domain.printable import is_id
from posstream.domain.times import clamp_ms, iso_utc_ms, parse_utc, to_ms
from posstream.json_input import read_json, read_json_exactly, whole_number
from posstream.json_output import write_json
from posstream.ports import Record

try:
    # Python's own, in a third of the time of `hashlib.sha1`, which sets OpenSSL up anew each time.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha1

#: Largest `customer-identified` that is read: real ones are under 1 KB.
MAX_EVENT_BYTES: Final = 64 * 1024
#: Largest command: the customer of an event of the largest size, with every field named.
_MAX_COMMAND_BYTES: Final = 2 * MAX_EVENT_BYTES
#: Longest id on a topic; SQL columns are made for it.
MAX_ID_LENGTH: Final = 256
#: Longest `response_data` in an audit record, in bytes of JSON.
MAX_RESPONSE_DATA: Final = 4096
#: A dead letter's longest key and value: a decompressed message can be larger than any that the
#: broker takes from us (`topics.DEAD_LETTER_MAX_BYTES`).
MAX_DEAD_KEY: Final = 64 * 1024
MAX_DEAD_VALUE: Final = 1024 * 1024 + 512 * 1024
#: Bytes that are kept of the key and of the value of a dead letter that the broker refuses whole.
_SHORT: Final = 256
#: The header of a dead letter that was cut: how many bytes its value had.
_TRUNCATED: Final = "posstream.dlq.truncated"
#: On a dead letter and its replay: when the message was first written, in milliseconds since 1970.
FIRST_WRITTEN: Final = "posstream.dlq.timestamp"
#: A till may ask for a later answer than configured, but not for a later one than this.
MAX_DEADLINE_MS: Final = 300_000

#: Namespace of every id that posstream derives (RFC 9562, UUID version 5).
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:posstream")
_NAMESPACE_BYTES: Final = _NAMESPACE.bytes
#: A digit of the digest -> the digit with the variant's bits set (RFC 9562, 4.1).
_VARIANTS: Final = {
    ord(digit): b"89ab"[number & 3 : (number & 3) + 1]
    for number, digit in enumerate("0123456789abcdef")
}
#: The digits of a digest that an id keeps; two are not its own.
_GROUPS: Final = struct.Struct("8s4sx3sx3s12s").unpack_from
_KINDS: Final = tuple(IdentifierKind)
_HOLDS_CARD: Final = "holds a payment-card number"
_SOURCE: Final = b"/posstream/customer-lookup"
_LONGEST_TIME: Final = 18
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Headers = Iterable[tuple[str, bytes]]


# -- ids


def lookup_id(
    event_id: str | None, topic: str, partition: int, offset: int, timestamp_ms: int
) -> str:
    """The lookup's id: the same for every delivery of one input.

    Without event_id the id is derived from the input's place and its record's own timestamp. The
    place alone is not unique: a topic that is made anew begins at offset 0 again.
    """
    return derived(event_id or f"{topic}/{partition}/{offset}/{timestamp_ms}")


def derived(name: str) -> str:
    """A UUIDv5 in our namespace: the same for the same name."""
    return derived_bytes(name.encode()).decode()


def derived_bytes(name: bytes) -> bytes:
    """The same for UTF-8, without the objects of `uuid.uuid5`, which take four times as long."""
    h = hexlify(sha1(_NAMESPACE_BYTES + name).digest())  # noqa: S324 - RFC 9562 says so
    a, b, c, d, e = _GROUPS(h)
    return b"".join((a, b"-", b, b"-5", c, b"-", _VARIANTS[h[16]], d, b"-", e))


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
    event = _decode(value)
    basket_id = _id(event, "basket_id", required=True, card_guard=card_guard)
    scanned = event.get("customer_identifier")
    if scanned is None:
        raise _missing("customer_identifier")
    if not isinstance(scanned, str):
        raise _invalid("customer_identifier", "must be text")
    event_type = event.get("event_type")
    if event_type is not None and event_type != "CUSTOMER_IDENTIFIED":
        raise _invalid("event_type", "must be CUSTOMER_IDENTIFIED")
    if card_guard:
        for name in ("employee_id", "terminal_id"):
            if holds_payment_card(str(event.get(name))):
                raise _invalid(name, _HOLDS_CARD)
    occurred_at = _moment_ms(event, "occurred_at")
    if occurred_at is None:
        occurred_at = clamp_ms(written_ms(timestamp_ms, headers))
    found = normalise(scanned, card_guard=card_guard, kind=_kind(event), country_code=country_code)
    return Identification(
        lookup_id=lookup_id(_id(event, "event_id"), topic, partition, offset, timestamp_ms),
        basket_id=basket_id or "",
        identifier=found.value if isinstance(found, Identifier) else found.masked,
        kind=found.kind if isinstance(found, Identifier) else None,
        identified_at_ms=occurred_at,
        deadline_ms=_deadline(event),
        refused=None if isinstance(found, Identifier) else found.why,
        traceparent=_traceparent(headers),
    )


def read_rekeyed(value: bytes | None) -> Identification:
    """Read one message of the internal rekeyed topic, as `rekeyed` wrote it.

    Raises:
        UnreadableEvent: if somebody else wrote it.
    """
    event = _decode(value)
    try:
        for name in ("lookup_id", "basket_id", "identifier"):
            _id(event, name, required=True)
        for name in ("identified_at_ms", "deadline_ms", "taken_at_ms"):
            number = event.get(name)
            if number is None and name != "identified_at_ms":
                continue
            if type(number) is not int or number != clamp_ms(number):
                raise _invalid(name, "must be a whole number of milliseconds")
        for name in ("refused", "traceparent"):
            _id(event, name)
        if not is_normal(event["identifier"]):
            raise _invalid("identifier", "is not normalised")
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
    event = _decode(value, read=read_json_exactly)
    event_type = event.get("event_type")
    if event_type is not None and event_type != "CUSTOMER_UPDATED":
        raise _invalid("event_type", "must be CUSTOMER_UPDATED")
    customer_id = _id(event, "customer_id", numbers=True, card_guard=card_guard)
    scanned = event.get("customer_identifier")
    if scanned is not None and not isinstance(scanned, str):
        raise _invalid("customer_identifier", "must be text")
    if customer_id is None and scanned is None:
        raise UnreadableEvent(
            DeadLetterReason.MISSING_FIELD, "customer_id and customer_identifier are missing"
        )
    occurred_at = _moment_ms(event, "occurred_at")
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
    command = _decode(value, most=_MAX_COMMAND_BYTES, read=read_json_exactly)
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


def _decode(
    value: bytes | None,
    *,
    most: int = MAX_EVENT_BYTES,
    read: Callable[[bytes], Any] = read_json,
) -> dict[str, Any]:
    if value is None:
        raise UnreadableEvent(DeadLetterReason.TOMBSTONE, "the message has no value")
    if len(value) > most:
        raise UnreadableEvent(
            DeadLetterReason.TOO_LARGE, f"the message has {len(value)} bytes, more than {most}"
        )
    try:
        event = read(value)
    except orjson.JSONEncodeError as why:
        raise UnreadableEvent(DeadLetterReason.NOT_JSON, "the message is nested too deep") from why
    except orjson.JSONDecodeError as why:
        if not value.strip():
            raise UnreadableEvent(DeadLetterReason.EMPTY, "the message is empty") from why
        try:
            value.decode()
        except UnicodeDecodeError:
            raise UnreadableEvent(DeadLetterReason.NOT_UTF8, "the message is not UTF-8") from why
        raise UnreadableEvent(
            DeadLetterReason.NOT_JSON, f"the message is not JSON (at character {why.pos})"
        ) from why
    if not isinstance(event, dict):
        raise UnreadableEvent(
            DeadLetterReason.NOT_AN_OBJECT, "the message is JSON, but not an object"
        )
    return event


def first_written_ms(headers: Headers) -> int | None:
    """When a replayed message was first written, in milliseconds since 1970; None if it is none."""
    for name, value in headers:
        if name == FIRST_WRITTEN and value and value.isdigit() and len(value) <= _LONGEST_TIME:
            return int(value)
    return None


def written_ms(timestamp_ms: int, headers: Headers) -> int:
    """When a message was written, in milliseconds since 1970; of a replay, the first time."""
    first = first_written_ms(headers)
    return timestamp_ms if first is None else first


def _id(
    event: Mapping[str, Any],
    name: str,
    *,
    required: bool = False,
    numbers: bool = False,
    card_guard: bool = False,
) -> str | None:
    value = event.get(name)
    if value is None:
        if required:
            raise _missing(name)
        return None
    if numbers and (whole := whole_number(value)) is not None:
        value = str(whole)
    if not isinstance(value, str):
        raise _invalid(name, "must be text")
    if not is_id(value, MAX_ID_LENGTH):
        raise _invalid(name, f"must be 1 to {MAX_ID_LENGTH} printable characters")
    if card_guard and holds_payment_card(value):
        raise _invalid(name, _HOLDS_CARD)
    return value


def _kind(event: Mapping[str, Any]) -> IdentifierKind | None:
    """The kind in `identifier_kind`; None if it is absent, or no kind of ours."""
    said = event.get("identifier_kind")
    return IdentifierKind(said) if said in _KINDS else None


def _moment_ms(event: Mapping[str, Any], name: str) -> int | None:
    """A field's time; None if it has none that can be read."""
    moment = parse_utc(event.get(name))
    return None if moment is None else to_ms(moment)


def _deadline(event: Mapping[str, Any]) -> int | None:
    value = event.get("deadline_ms")
    if value is None:
        return None
    whole = whole_number(value, most=math.inf)
    if whole is None or whole < 1:
        raise _invalid("deadline_ms", "must be a whole number of milliseconds, at least 1")
    return min(whole, MAX_DEADLINE_MS)


def _missing(name: str) -> UnreadableEvent:
    return UnreadableEvent(DeadLetterReason.MISSING_FIELD, f"{name} is missing")


def _invalid(name: str, why: str) -> UnreadableEvent:
    return UnreadableEvent(DeadLetterReason.INVALID_FIELD, f"{name} {why}")


def _traceparent(headers: Headers) -> str | None:
    for name, value in headers:
        if name == "traceparent" and value and _TRACEPARENT.fullmatch(value):
            text = value.decode()
            return None if holds_payment_card(text) else text
    return None


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


def forgotten(mark: Forgotten) -> Record:
    """The mark of a forgotten identifier or customer; of one subject the last one counts."""
    event_id = derived(f"forgotten/{mark.subject}/{mark.forgotten_at_ms}")
    value = {
        "event_id": event_id,
        "event_type": "CUSTOMER_FORGOTTEN",
        "schema_version": 1,
        "subject": mark.subject,
        "forgotten_at": iso_utc_ms(mark.forgotten_at_ms),
        "cache_entries": mark.cache_entries,
    }
    return _record(
        topics.CUSTOMER_FORGOTTEN,
        mark.subject,
        event_id,
        "CUSTOMER_FORGOTTEN",
        mark.forgotten_at_ms,
        orjson.dumps(value),
    )


def dead_letter(  # noqa: PLR0913 - a message is its bytes and its coordinates
    key: bytes | None,
    value: bytes | None,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    error: UnreadableEvent,
) -> Record:
    """A message that cannot be read, byte for byte but for masked payment-card numbers.

    A larger one than the topic takes is cut, and the header `posstream.dlq.truncated` says how
    many bytes it had.
    """
    if key is None and value is None:
        value = b""  # aiokafka's producer refuses a record without both
    size = len(value or b"")
    cut = ((_TRUNCATED, str(size).encode()),) if size > MAX_DEAD_VALUE else ()
    return Record(
        topics.DEAD_LETTERS,
        _masked(key, MAX_DEAD_KEY),
        _masked(value, MAX_DEAD_VALUE),
        (
            *cut,
            ("posstream.dlq.topic", topic.encode()),
            ("posstream.dlq.partition", str(partition).encode()),
            ("posstream.dlq.offset", str(offset).encode()),
            (FIRST_WRITTEN, str(timestamp_ms).encode()),
            ("posstream.dlq.reason", error.reason.encode()),
            ("posstream.dlq.error", str(error).encode()),
        ),
    )


def cut_short(letter: Record) -> Record:
    """A dead letter cut to the beginning of its key and value; a header tells the full length."""
    key, value, headers = letter.key, letter.value or b"", letter.headers
    if len(value) > _SHORT and not any(name == _TRUNCATED for name, _ in headers):
        headers = ((_TRUNCATED, str(len(value)).encode()), *headers)
    return Record(letter.topic, key and key[:_SHORT], letter.value and value[:_SHORT], headers)


def _masked(raw: bytes | None, most: int) -> bytes | None:
    # A card number across the cut must still be seen whole.
    return None if raw is None else mask_payment_cards_in_bytes(raw[: most + 128])[:most]


def _record(  # noqa: PLR0913 - one place that knows how CloudEvents ride on Kafka headers
    topic: str,
    subject: str,
    event_id: str,
    event_type: str,
    now_ms: int,
    value: bytes,
    traceparent: str | None = None,
    *,
    key: str | None = None,
) -> Record:
    headers = ce_headers(event_id, event_type, now_ms, subject)
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return Record(topic, (key or subject).encode(), value, headers)


def ce_headers(
    event_id: str, event_type: str, now_ms: int, subject: str
) -> list[tuple[str, bytes]]:
    """The CloudEvents attributes of a record (Kafka protocol binding, binary mode)."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", _SOURCE),
        ("ce_type", event_type.encode()),
        ("ce_time", iso_utc_ms(now_ms).encode()),
        ("ce_subject", subject.encode()),
    ]
