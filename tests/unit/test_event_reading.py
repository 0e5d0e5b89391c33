"""An event is read by its model: what JSON and its numbers may be, and what a refusal says."""

from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.events.fields import Count, GuardedDetail, GuardedIdOrNumber, Id
from posstream.events.model import whole_schema_of
from posstream.events.reading import MAX_EVENT_BYTES, event_of, read_event
from posstream.json.reading import read_json_exactly

R = DeadLetterReason
VISA = "4111111111111111"


class Ping(Struct, kw_only=True):
    """An event of the tests."""

    first: Id
    kind: Literal["PING", "PONG"] | None = None
    sender: GuardedIdOrNumber | None = None
    till: GuardedDetail = None
    wait_ms: Annotated[int, Meta(ge=1, extra={"must_be": "a whole number, at least 1"})] | None = (
        None
    )
    count: Count | UnsetType = UNSET
    body: Any = None


def read(value: bytes) -> Ping:
    return read_event(Ping, value)


def refusal(value: bytes) -> tuple[DeadLetterReason, str]:
    with pytest.raises(UnreadableEvent) as refused:
        read(value)
    return refused.value.reason, str(refused.value)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (b'"x":"\xff"', (R.NOT_UTF8, "the message is not UTF-8")),
        (b'"\xff":1', (R.NOT_UTF8, "the message is not UTF-8")),
        (b'"x":"\\ud800"', (R.NOT_JSON, "the message is not JSON (at character 18)")),
        (b'"x":1e400', (R.NOT_JSON, "the message is not JSON (at character 17)")),
        (b'"x":NaN', (R.NOT_JSON, "the message is not JSON (at character 17)")),
        (b'"x":' + b"[" * 300 + b"]" * 300, (R.NOT_JSON, "the message is nested too deep")),
        (
            b'"x":"' + b"x" * MAX_EVENT_BYTES + b'"',
            (R.TOO_LARGE, f"the message has {MAX_EVENT_BYTES + 20} bytes, more than 65536"),
        ),
    ],
)
def test_an_unknown_field_is_ignored_but_the_message_must_be_json(
    more: bytes, expected: tuple[DeadLetterReason, str]
) -> None:
    assert expected == refusal(b'{"first":"1",' + more + b"}")
    assert read(b'{"first":"1","x":{"y":[1e300]}}') == Ping(first="1")


def test_of_a_field_that_comes_twice_the_last_one_counts() -> None:
    assert read(b'{"first":7,"first":"1"}') == Ping(first="1")
    assert refusal(b'{"first":"1","first":7}') == (R.INVALID_FIELD, "first must be text")


def test_null_counts_as_absent() -> None:
    assert read(b'{"first":"1","wait_ms":null,"count":null,"body":null}') == Ping(first="1")
    assert refusal(b'{"first":null}') == (R.MISSING_FIELD, "first is missing")


def test_a_whole_number_may_be_written_with_a_fraction_of_nothing_and_be_longer_than_64_bits() -> (
    None
):
    assert read(b'{"first":"1","sender":7.0}').sender == 7
    assert read(b'{"first":"1","wait_ms":3e3}').wait_ms == 3000
    assert read(b'{"first":"1","wait_ms":1e22}').wait_ms == 10**22


def test_a_number_that_is_not_judged_stays_as_it_was_sent() -> None:
    value = b'{"first":"1","body":{"a":10.10,"b":12345678901234567890123,"c":1e400}}'
    body = read_event(Ping, value, read=read_json_exactly).body
    assert list(map(str, body.values())) == ["10.10", "12345678901234567890123", "1e400"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (b'"first":7', "first must be text"),
        (b'"first":""', "first must be 1 to 256 printable characters"),
        (b'"first":"a\\u2028b"', "first must be 1 to 256 printable characters"),
        (b'"first":"1","kind":"ping"', "kind must be one of PING, PONG"),
        (b'"first":"1","sender":7.5', "sender must be text"),
        (b'"first":"1","sender":true', "sender must be text"),
        (b'"first":"1","sender":9223372036854775808', "sender must be text"),
        (b'"first":"1","sender":" "', "sender must be 1 to 256 printable characters"),
        (b'"first":"1","count":-1', "count must be a whole number of at least 0"),
        (b'"first":"1","count":"1"', "count must be a whole number of at least 0"),
        (b'"first":"1","wait_ms":true', "wait_ms must be a whole number, at least 1"),
        (b'"first":"1","wait_ms":"7"', "wait_ms must be a whole number, at least 1"),
        (b'"first":"1","sender":4111111111111111', "sender holds a payment-card number"),
        (b'"first":"1","till":["4111 1111 1111 1111"]', "till holds a payment-card number"),
    ],
)
def test_a_refusal_names_the_field_and_what_it_must_be(fields: bytes, why: str) -> None:
    assert refusal(b"{" + fields + b"}") == (R.INVALID_FIELD, why)


def test_of_several_wrong_fields_the_first_of_the_model_is_named() -> None:
    value = b'{"wait_ms":0,"till":"4111111111111111","kind":1,"first":"1"}'
    assert refusal(value) == (R.INVALID_FIELD, "kind must be one of PING, PONG")
    guarded = b'{"wait_ms":0,"till":"4111111111111111","first":"1"}'
    assert refusal(guarded) == (R.INVALID_FIELD, "till holds a payment-card number")


def test_a_number_with_an_enormous_exponent_is_refused_at_once() -> None:
    value = b'{"first":"1","wait_ms":1e999999999999}'
    with pytest.raises(UnreadableEvent, match="wait_ms must be a whole number"):
        read_event(Ping, value, read=read_json_exactly)


def test_without_the_guard_any_number_may_be_an_id() -> None:
    event = event_of(Ping, {"first": VISA, "sender": VISA, "till": VISA}, card_guard=False)
    assert event == Ping(first=VISA, sender=VISA, till=VISA)


def test_a_schema_is_one_piece_with_the_constraints_of_the_fields() -> None:
    class Envelope(Struct):
        """Something around another thing."""

        ping: Annotated[Ping, Meta(description="What is inside.")]

    inside = whole_schema_of(Envelope)["properties"]["ping"]
    assert inside["description"] == "What is inside."
    assert inside["properties"]["count"] == {"type": "integer", "minimum": 0}
    assert inside["required"] == ["first"]
