"""What the schema of a consumed topic accepts is read, and nothing else is."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from agents.baskets.events.reading import TYPES, Place, read_till_event
from agents.baskets.topics import POS_EVENTS
from agents.customer_lookup import topics
from agents.customer_lookup.events.reading import read_customer_update, read_identification
from agents.customer_lookup.read_model.rows import read_basket_started
from posstream.configuration.record import read_record
from posstream.domain.errors import InvalidConfiguration, UnreadableEvent
from posstream.events.asyncapi import events_of
from posstream.kafka.topics import PLUGIN_CONFIGURATION
from posstream.plugins.discovery import find_plugins

NOW = 1_769_846_400_000
AMOUNTS = ("amount", "quantity", "unit_price")
EVENTS = events_of(find_plugins())
SCHEMAS = {event.topic: Draft7Validator(event.schema) for event in EVENTS if event.schema}


def reads_identification(value: bytes) -> bool:
    try:
        read_identification(value, topic="t", partition=0, offset=0, timestamp_ms=NOW)
    except UnreadableEvent:
        return False
    return True


def reads_update(value: bytes) -> bool:
    try:
        read_customer_update(value, timestamp_ms=NOW)
    except UnreadableEvent:
        return False
    return True


def reads_basket(value: bytes) -> bool:
    return read_basket_started(json.loads(value)) is not None


def reads_till_event(value: bytes) -> bool:
    try:
        read_till_event(value, Place(POS_EVENTS, 0, 0, NOW))
    except UnreadableEvent:
        return False
    return True


def reads_configuration(value: bytes) -> bool:
    try:
        read_record(value)
    except (InvalidConfiguration, UnreadableEvent):
        return False
    return True


READERS: dict[str, Callable[[bytes], bool]] = {
    topics.CUSTOMER_IDENTIFIED: reads_identification,
    topics.CUSTOMER_UPDATED: reads_update,
    topics.BASKET_STARTED: reads_basket,
    PLUGIN_CONFIGURATION: reads_configuration,
}

#: No digits: a payment-card number in a field is beyond a schema.
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Nd"]), max_size=12),
    st.sampled_from(
        [
            *(
                "",
                " ",
                "\u00a0",
                "a\u00a0b",
                " a ",
                "\u3000",
                "\u2028",
                "a\u202eb",
                "\u200b",
                "\ufeff",
            ),
            *("x" * 256, "x" * 257, "x\n", "\n", "a\0b", "\x7f", "\x85", "\x1c", "😀" * 256, "é"),
            *("CUSTOMER_IDENTIFIED", "CUSTOMER_UPDATED", "BASKET_STARTED"),
            *("PHONE", "phone", "t1", "+12", "a@b.example", "2026-01-31t08:00:60z"),
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([3000, 3000.0, 7.0, 7.5, -0.0, 0.5, 1e3, 1e22, 10**30, -(10**30)]),
    st.sampled_from([edge + step for edge in (2**31, 2**63, 2**64) for step in (-2, -1, 0, 1)]),
    st.sampled_from([step - 2**63 for step in (-2, -1, 0, 1, 2)]),
    # A whole one may have the digits of a payment card, which is beyond a schema.
    st.floats(allow_nan=False, allow_infinity=False).filter(
        lambda number: not number.is_integer() or abs(number) < 10**12 or abs(number) > 10**19
    ),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(TEXTS, SCALARS, max_size=2)
)


@st.composite
def documents(draw: st.DrawFn, topic: str) -> dict[str, Any]:
    """The example of a topic, with fields changed and left out."""
    described = next(event for event in EVENTS if event.topic == topic)
    assert described.schema is not None
    names = sorted(described.schema["properties"])
    changes = draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=3))
    if topic == PLUGIN_CONFIGURATION and isinstance(changes.get("config"), dict):
        changes["config"] = {}  # its keys are judged by whoever puts them in force
    missing = draw(st.sets(st.sampled_from(names), max_size=2))
    document = {**(described.example or {}), **changes}
    return {name: value for name, value in document.items() if name not in missing}


@pytest.mark.parametrize("topic", READERS)
def test_what_the_schema_accepts_is_read_and_what_it_refuses_is_not(topic: str) -> None:
    @given(documents(topic))
    def agree(document: dict[str, Any]) -> None:
        accepted = SCHEMAS[topic].is_valid(document)
        assert READERS[topic](json.dumps(document).encode()) == accepted

    agree()


@given(VALUES)
@example([])
@example(None)
def test_what_is_no_object_is_neither_valid_nor_read(value: Any) -> None:
    if not isinstance(value, dict):
        assert not SCHEMAS[topics.CUSTOMER_IDENTIFIED].is_valid(value)
        assert not reads_identification(json.dumps(value).encode())


def test_every_topic_that_is_received_is_compared() -> None:
    """Those with one model; for the other one see below."""
    received = {event.topic for event in EVENTS if event.received}
    assert received == {*READERS, POS_EVENTS}


@pytest.mark.parametrize("event_type", TYPES)
def test_what_the_schema_of_a_tills_event_accepts_is_read_and_what_it_refuses_is_not(
    event_type: str,
) -> None:
    """Beyond the schema: the digits of an amount, and which of two fields is there."""
    (event,) = [it for it in EVENTS if it.model is TYPES[event_type]]
    validator = Draft7Validator(event.schema)
    names = sorted({*(event.schema or {})["properties"]} - {"event_type", *AMOUNTS})

    @given(
        st.dictionaries(st.sampled_from(names), VALUES, max_size=3),
        st.sets(st.sampled_from([*names, *AMOUNTS]), max_size=2),
    )
    def agree(changes: dict[str, Any], missing: set[str]) -> None:
        document = {**(event.example or {}), "product_id": "p1", **changes}
        document = {name: it for name, it in document.items() if name not in missing}
        if event_type == "ITEM_REMOVED":
            document |= {"item_id": "i1"}
        assert reads_till_event(json.dumps(document).encode()) == validator.is_valid(document)

    agree()


TILL = {"basket_id": "basket_1", "customer_identifier": "+1234567890"}


@pytest.mark.parametrize(
    "fields",
    [
        {"deadline_ms": 3000.0},
        {"employee_id": 7.0},
        {"employee_id": ""},
        {"employee_id": {"id": 7}, "terminal_id": [1]},
        {"occurred_at": "yesterday"},
        {"occurred_at": 1_769_846_400_000},
        {"basket_id": "basket\u00a01"},
        {"identifier_kind": "LOYALTY"},
    ],
)
def test_what_is_not_used_is_no_reason_to_refuse_a_till(fields: dict[str, Any]) -> None:
    document = TILL | fields
    assert SCHEMAS[topics.CUSTOMER_IDENTIFIED].is_valid(document)
    assert reads_identification(json.dumps(document).encode())
