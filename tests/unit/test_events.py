import hashlib
import importlib.util
import json
import sys
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer_lookup import topics
from agents.customer_lookup.answers import Attempt, CustomerFound, Identification, LookupFailed
from agents.customer_lookup.events.inputs import MAX_DEADLINE_MS
from agents.customer_lookup.events.reading import read_identification
from agents.customer_lookup.events.rekeyed import read_rekeyed, rekeyed
from agents.customer_lookup.events.writing import (
    answer_id,
    answered,
    attempted,
    basket_started,
    identified,
)
from agents.customer_lookup.reasons import AttemptStatus, Reason, Source
from posstream.dead_letters.record import MAX_DEAD_KEY, MAX_DEAD_VALUE, dead_letter
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.identifier import IdentifierKind
from posstream.domain.payment_card import mask_payment_cards_in_bytes
from posstream.events.envelope import FIRST_WRITTEN, Headers, first_written_ms, written_ms
from posstream.events.ids import derived, derived_bytes, input_id
from posstream.events.reading import MAX_EVENT_BYTES
from posstream.kafka.record import Record

NOW = 1_700_000_000_000
NOW_ISO = "2023-11-14T22:13:20.000Z"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVENT = {"basket_id": "basket_1", "customer_identifier": "+1 234 567 890"}
R = DeadLetterReason


def read_raw(
    value: bytes | None,
    *,
    partition: int = 3,
    offset: int = 42,
    timestamp_ms: int = NOW,
    headers: Headers = (),
    card_guard: bool = True,
) -> Identification:
    return read_identification(
        value,
        topic="customer-identified",
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp_ms,
        headers=headers,
        card_guard=card_guard,
    )


def read(**fields: object) -> Identification:
    return read_raw(json.dumps({**EVENT, **fields}).encode())


def value_of(record: Record) -> dict[str, Any]:
    assert record.value is not None
    return json.loads(record.value)  # type: ignore[no-any-return]


def found(asked: Identification) -> CustomerFound:
    return CustomerFound(
        asked=asked,
        source=Source.CACHE,
        document=b'{"customer_id":"CUST_001"}',
        fetched_at_ms=NOW - 1000,
        fresh_until_ms=NOW + 2000,
        age_ms=1000,
        attempts=0,
        duration_ms=2,
        config_version=7,
    )


def failed(asked: Identification) -> LookupFailed:
    return LookupFailed(asked, Reason.TIMEOUT, "too late", 2, 1500, 7)


def an_attempt(number: int = 1) -> Attempt:
    return Attempt(
        number, "http://crm/", NOW, NOW + 5, 5, AttemptStatus.SUCCESS, 200, {"customer_id": "C"}
    )


# -- input that is read


def test_two_fields_are_enough() -> None:
    expected = Identification(
        lookup_id=input_id(None, "customer-identified", 3, 42, NOW),
        basket_id="basket_1",
        identifier="+1234567890",
        kind=IdentifierKind.PHONE,
        identified_at_ms=NOW,
    )
    assert expected == read()


def test_every_field_of_the_contract_is_read() -> None:
    expected = Identification(
        lookup_id=derived("e-1"),
        basket_id="basket_1",
        identifier="john@example.com",
        kind=IdentifierKind.EMAIL,
        identified_at_ms=NOW + 500,
        deadline_ms=800,
        traceparent=TRACE,
    )
    event = {
        **EVENT,
        "customer_identifier": "John@Example.com",
        "event_id": "e-1",
        "event_type": "CUSTOMER_IDENTIFIED",
        "occurred_at": "2023-11-14T22:13:20.500Z",
        "employee_id": 1,
        "terminal_id": "t1",
        "deadline_ms": 800,
    }
    headers = [("other", b"x"), ("traceparent", TRACE.encode())]
    assert expected == read_raw(json.dumps(event).encode(), headers=headers)


def test_unknown_fields_are_ignored() -> None:
    assert read() == read(colour="red", nested={"a": [1]})


@pytest.mark.parametrize(
    "name", ["event_id", "event_type", "occurred_at", "employee_id", "terminal_id", "deadline_ms"]
)
def test_an_optional_field_may_be_null(name: str) -> None:
    assert read() == read(**{name: None})


@pytest.mark.parametrize("name", ["employee_id", "terminal_id"])
@pytest.mark.parametrize("value", [17, "17", 7.0, 1.5, "", True, {"id": 1}, [1], "x" * 257])
def test_an_employee_or_a_terminal_is_no_reason_to_refuse_a_till(name: str, value: object) -> None:
    assert read() == read(**{name: value})


@pytest.mark.parametrize("value", ["now", NOW, "2026-13-01T00:00:00Z", [], "", True])
def test_a_time_that_cannot_be_read_counts_as_absent(value: object) -> None:
    assert read() == read(occurred_at=value)


@pytest.mark.parametrize("value", ["a\u00a0b", "a b", "\u00a0a", "käse", "\u200b", "😀" * 256])
def test_a_basket_id_may_have_any_characters_that_can_be_shown(value: str) -> None:
    assert read(basket_id=value).basket_id == value


def test_a_whole_number_may_be_written_with_a_fraction_of_nothing() -> None:
    assert read(deadline_ms=3000.0) == read(deadline_ms=3000)


def test_a_time_without_an_offset_is_utc() -> None:
    assert read(occurred_at="2023-11-14T22:13:20").identified_at_ms == NOW


def test_a_till_may_not_ask_for_an_endless_deadline() -> None:
    assert read(deadline_ms=10**15).deadline_ms == MAX_DEADLINE_MS


@pytest.mark.parametrize("scanned", ["", "CARD/1", "4111 1111 1111 1111", "+1234567890123456"])
def test_a_refused_identifier_is_no_dead_letter_but_masked_and_answered(scanned: str) -> None:
    asked = read(customer_identifier=scanned)
    assert asked.refused
    assert asked.kind is None
    assert "******" in asked.identifier


def test_a_card_number_is_read_as_a_card_when_the_guard_is_off() -> None:
    event = {**EVENT, "customer_identifier": "4111 1111 1111 1111"}
    asked = read_raw(json.dumps(event).encode(), card_guard=False)
    assert asked.identifier == "4111111111111111"
    assert asked.refused is None


@pytest.mark.parametrize("trace", [b"", b"x", TRACE.upper().encode(), TRACE.encode() + b"-1"])
def test_a_malformed_traceparent_is_dropped(trace: bytes) -> None:
    assert (
        read_raw(json.dumps(EVENT).encode(), headers=[("traceparent", trace)]).traceparent is None
    )


# -- input that is not


def unreadable(value: bytes | None) -> tuple[DeadLetterReason, str]:
    with pytest.raises(UnreadableEvent) as error:
        read_raw(value)
    return error.value.reason, str(error.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, R.TOMBSTONE),
        (b"", R.EMPTY),
        (b" \r\n\t", R.EMPTY),
        (b" " * (MAX_EVENT_BYTES + 1) + b"x", R.TOO_LARGE),
        (b"\xff\xfe\x00", R.NOT_UTF8),
        (b'{"basket_id":"\xe9"}', R.NOT_UTF8),
        (b"basket_1", R.NOT_JSON),
        (b'{"basket_id":', R.NOT_JSON),
        (b"{'basket_id': 1}", R.NOT_JSON),
        (b'{"basket_id":NaN}', R.NOT_JSON),
        (b"\x00\x00\x00\x00\x01avro", R.NOT_JSON),
        (b"[" * 5000 + b"]" * 5000, R.NOT_JSON),
        (b"[]", R.NOT_AN_OBJECT),
        (b"null", R.NOT_AN_OBJECT),
        (b'"text"', R.NOT_AN_OBJECT),
        (b"17", R.NOT_AN_OBJECT),
    ],
)
def test_what_is_no_json_object_has_its_own_reason(
    value: bytes | None, expected: DeadLetterReason
) -> None:
    assert expected is unreadable(value)[0]


@pytest.mark.parametrize("name", ["basket_id", "customer_identifier"])
@pytest.mark.parametrize("absent", [True, False])
def test_a_missing_field_is_named(name: str, absent: bool) -> None:  # noqa: FBT001
    event: dict[str, Any] = {**EVENT, name: None}
    if absent:
        del event[name]
    expected = (R.MISSING_FIELD, f"{name} is missing")
    assert expected == unreadable(json.dumps(event).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("basket_id", 7),
        ("basket_id", True),
        ("basket_id", ""),
        ("basket_id", "  "),
        ("basket_id", "a\nb"),
        ("basket_id", "a\0b"),
        ("basket_id", "x" * 257),
        ("basket_id", []),
        ("customer_identifier", 1234567890),
        ("customer_identifier", ["+1"]),
        ("customer_identifier", {}),
        ("customer_identifier", False),
        ("event_id", 7),
        ("event_id", ""),
        ("event_id", "x" * 257),
        ("event_id", {}),
        ("event_type", "BASKET_STARTED"),
        ("event_type", "customer_identified"),
        ("event_type", 1),
        ("event_type", []),
        ("event_type", {}),
        ("basket_id", "\u00a0"),
        ("basket_id", "a\u202eb"),
        ("event_id", "a\u2028b"),
        ("deadline_ms", 0),
        ("deadline_ms", -1),
        ("deadline_ms", 1.5),
        ("deadline_ms", "800"),
        ("deadline_ms", True),
        ("deadline_ms", []),
    ],
)
def test_an_invalid_field_is_named(name: str, value: object) -> None:
    reason, message = unreadable(json.dumps({**EVENT, name: value}).encode())
    assert reason is R.INVALID_FIELD
    assert message.startswith(f"{name} must be ")


@pytest.mark.parametrize("name", ["basket_id", "employee_id", "terminal_id"])
@pytest.mark.parametrize(
    "card",
    [
        "4111111111111111",
        "a-4111 1111 1111 1111-b",
        "4111%201111%201111%201111",
        "\uff14" + "1" * 15,
    ],
)
def test_an_id_that_holds_a_payment_card_is_named_and_not_said_again(name: str, card: str) -> None:
    expected = (R.INVALID_FIELD, f"{name} holds a payment-card number")
    assert expected == unreadable(json.dumps({**EVENT, name: card}).encode())


@pytest.mark.parametrize("name", ["employee_id", "terminal_id"])
def test_a_number_that_is_a_payment_card_is_no_id(name: str) -> None:
    expected = (R.INVALID_FIELD, f"{name} holds a payment-card number")
    assert expected == unreadable(json.dumps({**EVENT, name: 4111111111111111}).encode())


def test_without_the_guard_an_id_may_be_what_it_likes() -> None:
    event = {**EVENT, "basket_id": "4111111111111111"}
    asked = read_raw(json.dumps(event).encode(), card_guard=False)
    assert asked.basket_id == "4111111111111111"


def test_a_uuid_is_no_payment_card_whatever_its_digits() -> None:
    basket_id = "c4111111-1111-4111-8111-1411111111111a"[:36]
    for unlucky in (basket_id, "b4111111-1111-4111-9113-0000000000ab"):
        assert read(basket_id=unlucky).basket_id == unlucky


def test_a_trace_that_holds_a_payment_card_is_dropped() -> None:
    trace = b"00-a4111111111111111bcdefabcdefabcd-b7ad6b7169203331-01"
    asked = read_raw(json.dumps(EVENT).encode(), headers=[("traceparent", trace)])
    assert asked.traceparent is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("CARD", ("0012345678905", "CARD")),
        ("PHONE", ("+12345678905", "PHONE")),
        (None, ("+12345678905", "PHONE")),
        ("card", ("+12345678905", "PHONE")),
        (["CARD"], ("+12345678905", "PHONE")),
    ],
)
def test_an_identifier_is_read_as_the_kind_that_the_event_says(
    kind: object, expected: tuple[str, str]
) -> None:
    asked = read(customer_identifier="0012345678905", identifier_kind=kind)
    assert expected == (asked.identifier, asked.kind)


def test_what_is_not_of_the_kind_that_the_event_says_is_refused() -> None:
    assert read(customer_identifier="CARD_1", identifier_kind="PHONE").refused is not None


def test_a_national_number_gets_the_country_code_in_force() -> None:
    value = json.dumps({**EVENT, "customer_identifier": "030 123"}).encode()
    asked = read_identification(
        value, topic="t", partition=0, offset=0, timestamp_ms=NOW, country_code="49"
    )
    assert asked.identifier == "+4930123"


def test_our_own_event_says_the_kind_that_was_asked_for() -> None:
    card = identified("b", "0012345678905", NOW, kind=IdentifierKind.CARD)
    assert value_of(card)["identifier_kind"] == "CARD"
    assert "identifier_kind" not in value_of(identified("b", "+123", NOW))


def test_an_error_does_not_echo_the_message() -> None:
    _, message = unreadable(json.dumps({**EVENT, "deadline_ms": "4111111111111111"}).encode())
    assert "4111" not in message


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(value: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_raw(value)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)
FIELDS = [
    *EVENT,
    "event_id",
    "event_type",
    "occurred_at",
    "employee_id",
    "terminal_id",
    "deadline_ms",
]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_every_object_is_an_identification_or_unreadable(fields: dict[str, Any]) -> None:
    try:
        asked = read_raw(json.dumps({**EVENT, **fields}).encode())
    except UnreadableEvent as error:
        reason = error.reason
        assert reason in {R.MISSING_FIELD, R.INVALID_FIELD, R.NOT_JSON, R.NOT_UTF8}
    else:
        assert asked.basket_id


# -- ids


def test_a_redelivered_input_has_the_same_lookup_id() -> None:
    assert read() == read()
    assert read(event_id="e-1") == read(event_id="e-1")


def test_an_event_id_makes_the_lookup_id_wherever_the_message_lies() -> None:
    value = json.dumps({**EVENT, "event_id": "e-1"}).encode()
    assert read_raw(value, partition=0, offset=0) == read_raw(value, partition=7, offset=9)


@pytest.mark.parametrize(("partition", "offset"), [(3, 43), (4, 42)])
def test_without_an_event_id_each_message_has_its_own(partition: int, offset: int) -> None:
    value = json.dumps(EVENT).encode()
    other = read_raw(value, partition=partition, offset=offset)
    assert read_raw(value).lookup_id != other.lookup_id


def test_the_same_place_in_a_topic_made_anew_has_another_lookup_id() -> None:
    value = json.dumps(EVENT).encode()
    first, anew = (read_raw(value, timestamp_ms=ms).lookup_id for ms in (NOW, NOW + 1))
    assert first != anew


def test_an_event_id_makes_the_lookup_id_whenever_the_message_was_written() -> None:
    value = json.dumps({**EVENT, "event_id": "e-1"}).encode()
    ids = {read_raw(value, timestamp_ms=ms).lookup_id for ms in (NOW, NOW + 1)}
    assert {derived("e-1")} == ids


def test_a_replayed_message_is_known_by_its_own_time_and_happened_when_it_was_first_written() -> (
    None
):
    headers = [(FIRST_WRITTEN, b"1700000000000")]
    again = read_raw(json.dumps(EVENT).encode(), headers=headers)
    assert (read().lookup_id, 1_700_000_000_000) == (again.lookup_id, again.identified_at_ms)


def test_an_event_that_is_sent_on_keeps_the_id_of_its_first_place_and_time() -> None:
    asked = read()
    assert asked == read_rekeyed(rekeyed(asked, 1).value)


@given(st.none() | st.text(min_size=1, max_size=30), st.integers(0, 99), st.integers(0, 2**62))
def test_the_ids_of_an_answer_are_the_same_for_a_redelivered_input(
    event_id: str | None, partition: int, offset: int
) -> None:
    ids = set()
    for later in (0, 1, 60_000):
        lookup_id = input_id(event_id, "customer-identified", partition, offset, NOW)
        asked = Identification(lookup_id, "b", "+1", IdentifierKind.PHONE, NOW)
        record = answered(failed(asked), NOW + later)
        ids.add((lookup_id, value_of(record)["event_id"], dict(record.headers)["ce_id"]))
    assert len(ids) == 1


def test_an_answer_has_the_same_id_whether_it_succeeded_or_failed() -> None:
    asked = read()
    good, bad = answered(found(asked), NOW), answered(failed(asked), NOW)
    assert value_of(good)["event_id"] == value_of(bad)["event_id"]


def test_every_derived_id_is_a_uuid_and_another_one() -> None:
    asked = read()
    ids = [
        asked.lookup_id,
        value_of(answered(found(asked), NOW))["event_id"],
        value_of(attempted(asked, an_attempt(1), 0, NOW))["event_id"],
        value_of(attempted(asked, an_attempt(2), 0, NOW))["event_id"],
    ]
    assert [uuid.UUID(text).version for text in ids] == [5, 8, 5, 5]
    assert len(set(ids)) == 4


# -- output


def test_a_found_customer_is_written_as_the_contract_says() -> None:
    asked = read(event_id="e-1")
    record = answered(found(asked), NOW)
    assert record.topic == "customer-data-fetched"
    assert record.key == b"basket_1"
    value = value_of(record)
    value.pop("event_id")
    assert value == {
        "event_type": "CUSTOMER_DATA_FETCHED",
        "schema_version": 1,
        "occurred_at": NOW_ISO,
        "lookup_id": asked.lookup_id,
        "basket_id": "basket_1",
        "customer_identifier": "+1234567890",
        "identifier_kind": "PHONE",
        "identified_at": NOW_ISO,
        "source": "CACHE",
        "fetched_at": "2023-11-14T22:13:19.000Z",
        "fresh_until": "2023-11-14T22:13:22.000Z",
        "age_ms": 1000,
        "attempts": 0,
        "duration_ms": 2,
        "config_version": 7,
        "customer": {"customer_id": "CUST_001"},
    }


@pytest.mark.parametrize("reason", list(Reason))
def test_a_failed_lookup_is_written_with_its_reason_and_no_customer(reason: Reason) -> None:
    asked = read()
    record = answered(LookupFailed(asked, reason, "why", 1, 2, 3), NOW)
    assert record.topic == "customer-lookup-failed"
    assert record.key == b"basket_1"
    value = value_of(record)
    assert value["event_type"] == "CUSTOMER_LOOKUP_FAILED"
    assert reason.value == value["reason"]
    assert value["error_message"] == "why"
    assert "customer" not in value


def test_an_answer_to_a_payment_card_never_shows_its_number() -> None:
    asked = read(customer_identifier="4111 1111 1111 1111")
    record = answered(
        LookupFailed(asked, Reason.INVALID_IDENTIFIER, asked.refused or "", 0, 0, 0), NOW
    )
    assert record.value is not None
    assert b"1111 1111" not in record.value
    assert b"4111111111111111" not in record.value


def test_an_attempt_is_written_as_the_contract_says() -> None:
    asked = read()
    record = attempted(asked, an_attempt(), 4, NOW)
    assert record.topic == "customer-lookup-logged"
    assert record.key == b"+1234567890"
    value = value_of(record)
    value.pop("event_id")
    assert value == {
        "event_type": "CUSTOMER_LOOKUP_LOGGED",
        "schema_version": 1,
        "lookup_id": asked.lookup_id,
        "attempt": 1,
        "waiters": 4,
        "basket_id": "basket_1",
        "customer_identifier": "+1234567890",
        "identifier_kind": "PHONE",
        "api_endpoint": "http://crm/",
        "call_started_at": NOW_ISO,
        "request_timestamp": NOW_ISO,
        "response_timestamp": "2023-11-14T22:13:20.005Z",
        "status": "SUCCESS",
        "http_status": 200,
        "response_data": {"customer_id": "C"},
        "error_message": None,
        "duration_ms": 5,
    }


def test_an_audit_record_names_the_customer_that_the_response_tells_of() -> None:
    attempt = Attempt(
        1, "http://crm/", NOW, NOW, 0, AttemptStatus.FAILED, 200, {"no": 1}, customer_id="C"
    )
    assert value_of(attempted(read(), attempt, 0, NOW))["customer_id"] == "C"


def test_cloudevents_ride_on_the_headers() -> None:
    record = answered(found(read()), NOW)
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": value_of(record)["event_id"].encode(),
        "ce_source": b"/posstream/customer-lookup",
        "ce_type": b"CUSTOMER_DATA_FETCHED",
        "ce_time": NOW_ISO.encode(),
        "ce_subject": b"basket_1",
    }


def test_a_trace_is_handed_on_to_every_output() -> None:
    asked = read_raw(json.dumps(EVENT).encode(), headers=[("traceparent", TRACE.encode())])
    for record in (
        answered(found(asked), NOW),
        answered(failed(asked), NOW),
        attempted(asked, an_attempt(), 0, NOW),
    ):
        assert dict(record.headers)["traceparent"] == TRACE.encode()


def test_an_own_identification_can_be_read_back() -> None:
    record = identified("basket_1", "+1 234", NOW + 5, event_id="e-1")
    assert record.topic == "customer-identified"
    asked = read_raw(record.value)
    assert asked.basket_id == "basket_1"
    assert asked.identifier == "+1234"
    assert asked.identified_at_ms == NOW + 5
    assert asked.lookup_id == derived("e-1")


def test_a_started_basket_is_written_as_the_contract_says() -> None:
    record = basket_started("basket_1", 17, "t1", NOW)
    assert record.topic == "basket-started"
    assert record.key == b"basket_1"
    value = value_of(record)
    value.pop("event_id")
    assert value == {
        "event_type": "BASKET_STARTED",
        "occurred_at": NOW_ISO,
        "basket_id": "basket_1",
        "employee_id": 17,
        "terminal_id": "t1",
    }


# -- the internal rekeyed topic


def test_a_rekeyed_identification_is_read_as_it_was() -> None:
    asked = read(event_id="e-1", deadline_ms=800)
    record = rekeyed(asked, 5)
    assert record.topic == topics.REKEYED
    assert record.key == b"+1234567890"
    assert record.partition == 5
    assert asked == read_rekeyed(record.value)


@pytest.mark.parametrize(
    "value", [None, b"", b"x", b"[]", b"{}", b'{"kind":"PHONE"}', b'{"kind":"FAX"}', b'{"x":1}']
)
def test_a_rekeyed_record_of_somebody_else_is_unreadable(value: bytes | None) -> None:
    with pytest.raises(UnreadableEvent):
        read_rekeyed(value)


# -- dead letters


def dead(key: bytes | None, value: bytes | None) -> Record:
    return dead_letter(
        "customer-identified.dlq",
        SimpleNamespace(topic="customer-identified", partition=3, offset=42, key=key, value=value),
        timestamp_ms=NOW,
        error=UnreadableEvent(R.NOT_JSON, "the message is not JSON"),
    )


def test_a_dead_letter_says_where_it_came_from_and_why() -> None:
    record = dead(b"k", b"v")
    assert record.topic == "customer-identified.dlq"
    assert dict(record.headers) == {
        "posstream.dlq.topic": b"customer-identified",
        "posstream.dlq.partition": b"3",
        "posstream.dlq.offset": b"42",
        "posstream.dlq.timestamp": b"1700000000000",
        "posstream.dlq.reason": b"NOT_JSON",
        "posstream.dlq.error": b"the message is not JSON",
    }


def test_a_tombstone_stays_one() -> None:
    assert (dead(b"k", None).key, dead(b"k", None).value) == (b"k", None)


def test_a_record_of_nothing_has_an_empty_value_because_the_producer_refuses_none() -> None:
    assert (dead(None, None).key, dead(None, None).value) == (None, b"")


@given(st.binary(max_size=200), st.none() | st.binary(max_size=200))
def test_a_dead_letter_is_its_input_byte_for_byte_unless_a_card_number_is_in_it(
    key: bytes, value: bytes | None
) -> None:
    record = dead(key, value)
    for was, now in ((key, record.key), (value, record.value)):
        if was is None or mask_payment_cards_in_bytes(was) == was:
            assert was == now
        else:
            assert now is not None
            assert b"*" in now


@given(st.binary(max_size=100).filter(lambda raw: sum(48 <= byte <= 57 for byte in raw) < 13))
def test_a_dead_letter_of_fewer_than_13_digits_is_never_touched(value: bytes) -> None:
    assert value == dead(value, value).value


@given(
    # Other scripts have digits, too: in UTF-8, none without a byte beyond ASCII.
    st.text(max_size=40)
    .filter(lambda text: not any(map(str.isdigit, text)))
    .map(lambda text: text.translate(dict.fromkeys(map(ord, " -+\\%&"))).encode()),
    st.sampled_from([b"", b" ", b"-", b"  ", b" - "]),
)
def test_a_card_number_in_a_dead_letter_is_masked_in_place(around: bytes, gap: bytes) -> None:
    number = gap.join([b"4111", b"1111", b"1111", b"1111"])
    masked = gap.join([b"4111", b"11**", b"****", b"1111"])
    record = dead(number, around + number + around)
    assert masked == record.key
    assert around + masked + around == record.value


def test_the_times_of_the_tests_are_what_they_say() -> None:
    assert datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC).timestamp() * 1000 == NOW


def test_a_dead_letter_too_long_for_its_topic_is_cut_and_says_so() -> None:
    value = b"x" * (MAX_DEAD_VALUE - 10) + b"4111111111111111" + b"x" * 100
    record = dead_letter(
        "t.dlq",
        SimpleNamespace(topic="t", partition=1, offset=2, key=b"k" * 100_000, value=value),
        timestamp_ms=3,
        error=UnreadableEvent(DeadLetterReason.TOO_LARGE, "too large"),
    )
    assert dict(record.headers)["posstream.dlq.truncated"] == str(len(value)).encode()
    assert record.value == b"x" * (MAX_DEAD_VALUE - 10) + b"411111****"
    assert record.key == b"k" * MAX_DEAD_KEY


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("deadline_ms", "x"),
        ("deadline_ms", ""),
        ("deadline_ms", []),
        ("deadline_ms", False),
        ("deadline_ms", True),
        ("taken_at_ms", "x"),
        ("taken_at_ms", {}),
        ("taken_at_ms", 0.0),
        ("identified_at_ms", "x"),
        ("identified_at_ms", None),
        ("identified_at_ms", False),
        ("identified_at_ms", 10**18),
        ("identified_at_ms", -1),
        ("taken_at_ms", 10**30),
        ("traceparent", 5),
        ("identifier", "a/b"),
        ("identifier", ["x"]),
    ],
)
def test_a_rekeyed_record_with_a_wrong_field_is_unreadable(field: str, wrong: object) -> None:
    record = rekeyed(read(), 0)
    value = json.dumps({**value_of(record), field: wrong}).encode()
    with pytest.raises(UnreadableEvent):
        read_rekeyed(value)


@pytest.mark.parametrize("depth", [253, 600, 1100])
def test_an_event_nested_too_deep_is_unreadable(depth: int) -> None:
    value = b'{"basket_id":"b","customer_identifier":"+1","x":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(UnreadableEvent):
        read_raw(value)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([("posstream.dlq.timestamp", b"1700000000000")], 1_700_000_000_000),
        ([("posstream.dlq.timestamp", b"")], None),
        ([("posstream.dlq.timestamp", b"-1")], None),
        ([("posstream.dlq.timestamp", b"yesterday")], None),
        ([("posstream.dlq.timestamp", b"9" * 5000)], None),
        ([("traceparent", b"1")], None),
        ([], None),
    ],
)
def test_only_a_replay_says_when_it_was_first_written(
    headers: list[tuple[str, bytes]], found: int | None
) -> None:
    assert first_written_ms(headers) == found


@pytest.mark.parametrize(
    ("header", "found"),
    [(b"1700000000000", 1_700_000_000_000), (b"253402300799999", 1_800_000_000_000)],
)
def test_no_message_was_written_after_the_broker_had_it(header: bytes, found: int) -> None:
    assert written_ms(1_800_000_000_000, [(FIRST_WRITTEN, header)]) == found


# -- ids

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:posstream")


@given(st.text())
def test_a_derived_id_is_a_uuid_of_version_5(name: str) -> None:
    expected = str(uuid.uuid5(NAMESPACE, name))
    assert derived(name) == expected
    assert derived_bytes(name.encode()) == expected.encode()


@given(st.text())
def test_the_id_of_an_answer_is_that_of_its_lookup_as_a_uuid_of_version_8(name: str) -> None:
    lookup = uuid.UUID(derived(name))
    of_answer = answer_id(str(lookup).encode()).decode()
    answer = uuid.UUID(of_answer)
    assert str(answer) == of_answer
    assert (answer.version, answer.variant) == (8, uuid.RFC_4122)
    version = 0xF << 76
    assert answer.int & ~version == lookup.int & ~version, "the other bits are the lookup's"


def test_ids_are_the_same_on_a_python_without_its_own_sha1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_sha1", None)
    spec = importlib.util.find_spec("posstream.events.ids")
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    assert again.sha1 is hashlib.sha1
    for name in ("", "e-1", "customer-identified/3/42", "\U0001f600"):
        assert again.derived(name) == derived(name) == str(uuid.uuid5(NAMESPACE, name))
