"""The events on the topics as JSON Schemas (draft 7), each with an example. No I/O.

What is required is what the contract promises (section 1): consumers ignore unknown fields, and
producers only ever add optional ones.
"""

from dataclasses import dataclass
from typing import Any, Final

from agents.customer_lookup import topics
from agents.customer_lookup.answers import AttemptStatus, Reason, Source
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.events import MAX_DEADLINE_MS
from posstream.configuration.model import json_schema
from posstream.configuration.record import MAX_DESCRIPTION, MAX_NAME, MAX_VERSION
from posstream.domain.customer import TIERS
from posstream.domain.identifier import IdentifierKind
from posstream.domain.printable import CONTROL, VISIBLE
from posstream.events.reading import MAX_ID_LENGTH
from posstream.json.reading import MAX_WHOLE
from posstream.kafka.topics import PLUGIN_CONFIGURATION

Schema = dict[str, Any]

#: The attributes of CloudEvents 1.0 as they ride on Kafka headers.
CLOUD_EVENT: Final = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
)


@dataclass(frozen=True, slots=True)
class EventDescription:
    """What is written on one topic, and by whom."""

    topic: str
    #: In PascalCase, the words of the topic.
    name: str
    summary: str
    #: Of the value; None: any bytes.
    schema: Schema | None
    example: Schema | None
    #: Whether posstream reads it as an input.
    received: bool = False
    #: Whether posstream writes it.
    sent: bool = True
    #: Names of the headers; by default those of CloudEvents 1.0, and the W3C trace context.
    headers: tuple[str, ...] = (*CLOUD_EVENT, "traceparent")


def _optional(schema: Schema) -> Schema:
    """The same, or null, which counts as absent."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*kinds, "null"]}


def _object(required: tuple[str, ...], **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _given(name: str) -> Schema:
    """The schema of an object that has the field, and not as null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _one_of(values: Any, description: str) -> Schema:
    return {"enum": [str(value) for value in values], "description": description}


def _type(name: str) -> Schema:
    return {"enum": [name]}


_ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH}
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "integer", "minimum": 0}
_TIME: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "description": "ISO-8601 in UTC with Z and milliseconds.",
}
#: Of an input, as `domain.printable.is_id` reads it.
_KEY: Final[Schema] = {
    **_ID,
    "pattern": VISIBLE,
    "not": {"type": "string", "pattern": CONTROL},
    "description": "Not only blanks, and without control characters.",
}
#: Of an input: GraphQL's clients write a number.
_KEY_OR_NUMBER: Final[Schema] = {
    **_KEY,
    "type": ["string", "integer"],
    "minimum": -MAX_WHOLE,
    "maximum": MAX_WHOLE,
}
#: Of an input: an unreadable time does not refuse the event.
_TIME_IF_READABLE: Final[Schema] = {
    "description": "A time of RFC 3339, UTC if it has no offset. Anything else counts as absent.",
    "examples": ["2026-01-31T08:00:00.000Z"],
}
_NOT_READ: Final[Schema] = {"description": "Text.", "examples": ["5b1c7a52-6d0f-4f6e"]}
_NOT_USED: Final[Schema] = {
    "description": "Text or a number that changes no answer.",
    "examples": ["t1", 1],
}
_SCANNED: Final[Schema] = {
    "type": "string",
    "description": "A phone number, an e-mail address or a card, as scanned.",
}
_IDENTIFIER: Final[Schema] = {
    "type": "string",
    "description": "Normalised; masked where it was refused.",
}
_KIND: Final = _one_of(IdentifierKind, "Null where it was refused.")
_VERSION: Final[Schema] = {"type": "integer", "const": 1}

CUSTOMER: Final = _object(
    ("customer_id",),
    customer_id=_ID,
    first_name=_TEXT,
    last_name=_TEXT,
    email=_TEXT,
    phone=_TEXT,
    loyalty_points={"type": "integer"},
    tier={
        "type": "string",
        "description": f"{', '.join(TIERS)}, or what else the directory says.",
    },
    total_purchases={
        "type": "string",
        "pattern": r"^-?[0-9]+\.[0-9]{2}$",
        "description": "A decimal.",
    },
    last_purchase_date=_optional(_TIME),
    attributes={"type": "object", "description": "Whatever else the directory returned."},
)

_ENVELOPE: Final[Schema] = {
    "event_id": {**_ID, "description": "Derived (UUID version 5): a redelivery has the same."},
    "schema_version": _VERSION,
    "occurred_at": _TIME,
    "lookup_id": {**_ID, "description": "Derived from the input."},
    "basket_id": _ID,
    "customer_identifier": _IDENTIFIER,
    "identifier_kind": _optional(_KIND),
    "identified_at": _TIME,
    "attempts": _NUMBER,
    "duration_ms": _NUMBER,
    "config_version": _NUMBER,
}
_SOURCE: Final = _one_of(Source, "Where the answer came from.")
_EXAMPLE_ENVELOPE: Final[Schema] = {
    "event_id": "6f1a1f6e-2d1b-5c39-9d5d-0c7a7c1f9e11",
    "schema_version": 1,
    "occurred_at": "2026-01-31T08:00:00.042Z",
    "lookup_id": "0b0c5a53-8b8e-5a8c-8c8e-1f3a6f0f7f22",
    "basket_id": "basket_0123456789ab",
    "customer_identifier": "+1234567890",
    "identifier_kind": "PHONE",
    "identified_at": "2026-01-31T08:00:00.000Z",
    "attempts": 1,
    "duration_ms": 42,
    "config_version": 3,
}
_EXAMPLE_CUSTOMER: Final[Schema] = {
    "customer_id": "CUST_001",
    "first_name": "John",
    "last_name": "Doe",
    "email": "john@example.com",
    "phone": "+1234567890",
    "loyalty_points": 1250,
    "tier": "GOLD",
    "total_purchases": "3500.00",
    "last_purchase_date": "2026-01-15T10:30:00.000Z",
    "attributes": {},
}

_IDENTIFIED: Final = EventDescription(
    topics.CUSTOMER_IDENTIFIED,
    "CustomerIdentified",
    "A customer was scanned at a till. Each gets exactly one terminal answer.",
    _object(
        ("basket_id", "customer_identifier"),
        basket_id=_KEY,
        customer_identifier=_SCANNED,
        identifier_kind={
            "description": "PHONE, EMAIL or CARD: read as this kind and no other. Anything else "
            "counts as absent: the identifier is read by its syntax.",
            "examples": ["CARD"],
        },
        event_id=_optional(_KEY),
        event_type=_optional(_type("CUSTOMER_IDENTIFIED")),
        occurred_at=_TIME_IF_READABLE,
        employee_id=_NOT_USED,
        terminal_id=_NOT_USED,
        deadline_ms=_optional(
            {
                "type": "integer",
                "minimum": 1,
                "description": f"When the answer must be there; at most {MAX_DEADLINE_MS} counts.",
            }
        ),
    ),
    {
        "event_id": "5b1c7a52-6d0f-4f6e-9a58-3d1f4f0f3c01",
        "event_type": "CUSTOMER_IDENTIFIED",
        "occurred_at": "2026-01-31T08:00:00.000Z",
        "basket_id": "basket_0123456789ab",
        "customer_identifier": "+1 (234) 567-890",
        "employee_id": "1",
        "terminal_id": "t1",
        "deadline_ms": 3000,
    },
    received=True,
)
_STARTED: Final = EventDescription(
    topics.BASKET_STARTED,
    "BasketStarted",
    "A basket was started at a till.",
    _object(
        ("basket_id", "employee_id", "terminal_id"),
        basket_id=_KEY,
        employee_id=_KEY_OR_NUMBER,
        terminal_id=_KEY_OR_NUMBER,
        event_id=_NOT_READ,
        event_type=_optional(_type("BASKET_STARTED")),
        occurred_at=_TIME_IF_READABLE,
    ),
    {
        "event_id": "2f0d3a0e-3f5c-4a3f-8a11-7a2a2f1c4d05",
        "event_type": "BASKET_STARTED",
        "occurred_at": "2026-01-31T07:59:00.000Z",
        "basket_id": "basket_0123456789ab",
        "employee_id": 1,
        "terminal_id": "t1",
    },
    received=True,
)

_FETCHED: Final = EventDescription(
    topics.CUSTOMER_DATA_FETCHED,
    "CustomerDataFetched",
    "The terminal answer with a customer.",
    _object(
        ("event_id", "lookup_id", "basket_id", "customer_identifier", "source", "customer"),
        **_ENVELOPE,
        event_type=_type("CUSTOMER_DATA_FETCHED"),
        source=_SOURCE,
        fetched_at=_TIME,
        fresh_until=_TIME,
        age_ms=_NUMBER,
        customer=CUSTOMER,
    ),
    {
        **_EXAMPLE_ENVELOPE,
        "event_type": "CUSTOMER_DATA_FETCHED",
        "source": "API",
        "fetched_at": "2026-01-31T08:00:00.040Z",
        "fresh_until": "2026-01-31T09:00:00.040Z",
        "age_ms": 2,
        "customer": _EXAMPLE_CUSTOMER,
    },
)

_FAILED: Final = EventDescription(
    topics.CUSTOMER_LOOKUP_FAILED,
    "CustomerLookupFailed",
    "The terminal answer without a customer, and the reason.",
    _object(
        ("event_id", "lookup_id", "basket_id", "customer_identifier", "reason"),
        **_ENVELOPE,
        event_type=_type("CUSTOMER_LOOKUP_FAILED"),
        source=_optional(_SOURCE),
        reason=_one_of(Reason, "Why there is no customer."),
        error_message=_optional(_TEXT),
    ),
    {
        **_EXAMPLE_ENVELOPE,
        "event_type": "CUSTOMER_LOOKUP_FAILED",
        "source": None,
        "reason": "TIMEOUT",
        "error_message": "no answer within 5 s",
    },
)

_LOGGED: Final = EventDescription(
    topics.CUSTOMER_LOOKUP_LOGGED,
    "CustomerLookupLogged",
    "The audit: one record per HTTP attempt.",
    _object(
        (),
        event_id=_ID,
        event_type=_type("CUSTOMER_LOOKUP_LOGGED"),
        schema_version=_VERSION,
        lookup_id=_ID,
        attempt={"type": "integer", "minimum": 1},
        waiters={**_NUMBER, "description": "Other events that shared the call."},
        basket_id=_ID,
        customer_identifier=_IDENTIFIER,
        identifier_kind=_optional(_KIND),
        api_endpoint=_TEXT,
        call_started_at={**_TIME, "description": "Of the call that it is an attempt of."},
        request_timestamp=_TIME,
        response_timestamp=_TIME,
        status=_one_of(AttemptStatus, "A 404 is NOT_FOUND: a right answer."),
        http_status=_optional({"type": "integer"}),
        response_data={"description": "What came back, any JSON, cut to a bounded size."},
        customer_id={**_ID, "description": "Of whom it tells, if it names a customer."},
        error_message=_optional(_TEXT),
        duration_ms=_NUMBER,
    ),
    {
        "event_id": "c0a2b2d0-6c3c-5b0a-9a52-0f6f7f0f1a33",
        "event_type": "CUSTOMER_LOOKUP_LOGGED",
        "schema_version": 1,
        "lookup_id": "0b0c5a53-8b8e-5a8c-8c8e-1f3a6f0f7f22",
        "attempt": 1,
        "waiters": 0,
        "basket_id": "basket_0123456789ab",
        "customer_identifier": "+1234567890",
        "identifier_kind": "PHONE",
        "api_endpoint": "http://directory.example/customers/",
        "call_started_at": "2026-01-31T08:00:00.001Z",
        "request_timestamp": "2026-01-31T08:00:00.001Z",
        "response_timestamp": "2026-01-31T08:00:00.040Z",
        "status": "SUCCESS",
        "http_status": 200,
        "response_data": {"customer_id": "CUST_001", "tier": "GOLD"},
        "customer_id": "CUST_001",
        "error_message": None,
        "duration_ms": 39,
    },
)

_UPDATED: Final = EventDescription(
    topics.CUSTOMER_UPDATED,
    "CustomerUpdated",
    "A customer changed: their cache entries are refreshed or dropped.",
    _object(
        (),
        customer_id=_optional(_KEY_OR_NUMBER),
        customer_identifier=_optional(_SCANNED),
        event_id=_NOT_READ,
        event_type=_optional(_type("CUSTOMER_UPDATED")),
        occurred_at=_TIME_IF_READABLE,
        customer={
            "description": "As the directory describes one; only its customer_id is required. An "
            "invalid customer, or one of another customer_id, counts as absent: the cache entries "
            "are dropped then, and the directory is asked again.",
        },
    )
    | {"anyOf": [_given("customer_id"), _given("customer_identifier")]},
    {
        "event_id": "9a0f5d1c-2e6b-4f0b-8f57-5d2f0a6b7c44",
        "event_type": "CUSTOMER_UPDATED",
        "occurred_at": "2026-01-31T08:05:00.000Z",
        "customer_id": "CUST_001",
        "customer": _EXAMPLE_CUSTOMER,
    },
    received=True,
    sent=False,
)

_CONFIGURATION: Final = EventDescription(
    PLUGIN_CONFIGURATION,
    "PluginConfiguration",
    "The live configuration of a plugin; a tombstone is the defaults.",
    _object(
        ("version", "enabled", "config"),
        version={"type": "integer", "minimum": 1, "maximum": MAX_VERSION},
        enabled={"type": "boolean"},
        config={
            "type": "object",
            "description": "Only the keys that were set.",
            "properties": json_schema(LookupConfiguration(api_endpoint=""), "")["properties"],
        },
        description=_optional({**_TEXT, "maxLength": MAX_DESCRIPTION, "not": _KEY["not"]}),
        updated_at=_TIME_IF_READABLE,
        updated_by=_optional({**_KEY, "maxLength": MAX_NAME}),
    ),
    {
        "version": 3,
        "enabled": True,
        "config": {"timeout_seconds": 2.5},
        "description": "the directory is slow today",
        "updated_at": "2026-01-31T07:00:00.000Z",
        "updated_by": "olga",
    },
    received=True,
    headers=(),
)

_DEAD: Final = EventDescription(
    topics.DEAD_LETTERS,
    "DeadLetter",
    "A message that cannot be read: byte for byte as received, payment-card numbers masked.",
    None,
    None,
    headers=tuple(
        f"posstream.dlq.{name}"
        for name in ("topic", "partition", "offset", "timestamp", "reason", "error", "truncated")
    ),
)

#: Every topic that others may rely on; posstream's own are no one else's.
EVENTS: Final = (
    _IDENTIFIED,
    _FETCHED,
    _FAILED,
    _LOGGED,
    _STARTED,
    _UPDATED,
    _CONFIGURATION,
    _DEAD,
)
