"""`customer-updated` and cache commands: what is read, what is refused, and the way round."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer_lookup import topics
from agents.customer_lookup.cache_commands import (
    CacheCommand,
    Cause,
    CustomerUpdate,
    Evict,
    EvictPrefix,
    Forget,
    ForgetCustomer,
    InvalidEviction,
    Refresh,
    Replace,
    eviction,
)
from agents.customer_lookup.events.commands import commanded, read_cache_command
from agents.customer_lookup.events.reading import read_customer_update
from posstream.domain.customer import Customer
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.events.reading import MAX_EVENT_BYTES
from posstream.json.writing import write_json
from tables.freshness import CacheEntry

NOW = 1_700_000_000_000
R = DeadLetterReason
VISA = "4111 1111 1111 1111"


def read_raw(value: bytes | None, *, card_guard: bool = True) -> CustomerUpdate:
    return read_customer_update(value, timestamp_ms=NOW, card_guard=card_guard)


def read(**fields: object) -> CustomerUpdate:
    return read_raw(json.dumps(fields).encode())


# -- customer-updated


def test_news_by_customer_id_are_from_the_brokers_timestamp_unless_they_say_when() -> None:
    assert read(customer_id="C1") == CustomerUpdate("C1", None, None, NOW)
    update = read(customer_id="C1", occurred_at="2023-11-14T22:13:19Z")
    assert update == CustomerUpdate("C1", None, None, NOW - 1000)


def test_the_identifier_is_normalised() -> None:
    update = read(customer_identifier=" 00 1234-567890 ", unknown="field")
    assert update == CustomerUpdate(None, "+1234567890", None, NOW)


def test_the_customer_is_judged_like_an_answer_of_the_directory() -> None:
    document = {"customer_id": "C1", "loyalty_points": "12", "shoe_size": 44}
    update = read(customer_identifier="+1", customer=document)
    expected = Customer("C1", loyalty_points=12, attributes={"shoe_size": 44})
    assert update == CustomerUpdate("C1", "+1", expected, NOW)


def test_numbers_in_news_reach_the_cache_as_they_were_written() -> None:
    numbers = b'{"a":12345678901234567890123,"b":10.10,"c":[1e400]}'
    news = b'{"customer":{"customer_id":"C1","total_purchases":10.10,"x":' + numbers + b"}}"
    update = read_customer_update(b'{"customer_id":"C1",' + news[1:], timestamp_ms=NOW)
    assert update.customer is not None
    document = write_json(update.customer.as_document())
    assert numbers in document
    assert b'"total_purchases":"10.10"' in document
    (record,) = commanded(Replace("+1", CacheEntry(NOW, document)), 1)
    command = read_cache_command(record.value)
    assert command == Replace("+1", CacheEntry(NOW, document))


def test_a_customer_id_as_a_number_is_the_same_as_text() -> None:
    assert read(customer_id=7, customer={"customer_id": "7"}).customer_id == "7"


@pytest.mark.parametrize(
    ("value", "reason", "names"),
    [
        (None, R.TOMBSTONE, "no value"),
        (b" ", R.EMPTY, "empty"),
        (b"{", R.NOT_JSON, "JSON"),
        (b"\xff", R.NOT_UTF8, "UTF-8"),
        (b"[]", R.NOT_AN_OBJECT, "object"),
        (b'{"a":"' + b"x" * MAX_EVENT_BYTES + b'"}', R.TOO_LARGE, "bytes"),
        (b"{}", R.MISSING_FIELD, "customer_id and customer_identifier"),
        (b'{"customer":{"customer_id":"C1"}}', R.MISSING_FIELD, "customer_id"),
        (b'{"customer_id":""}', R.INVALID_FIELD, "customer_id"),
        (b'{"customer_id":["C1"]}', R.INVALID_FIELD, "customer_id"),
        (b'{"customer_identifier":5}', R.INVALID_FIELD, "customer_identifier"),
        (b'{"customer_id":"C1","event_type":"X"}', R.INVALID_FIELD, "event_type"),
    ],
)
def test_news_that_cannot_be_read_are_refused_with_the_field(
    value: bytes | None, reason: DeadLetterReason, names: str
) -> None:
    with pytest.raises(UnreadableEvent, match=names) as refused:
        read_raw(value)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    "fields",
    [
        {"occurred_at": "soon"},
        {"event_id": 5},
        {"customer": "John"},
        {"customer": {}},
        {"customer": {"customer_id": "C1", "loyalty_points": []}},
        {"customer": {"customer_id": "C2"}},
        {"customer_identifier": ""},
        {"customer_identifier": VISA},
    ],
)
def test_what_cannot_be_believed_of_news_counts_as_absent(fields: dict[str, Any]) -> None:
    assert read(customer_id="C1", **fields) == read(customer_id="C1")


def test_a_customers_id_may_be_a_whole_number_however_it_is_written() -> None:
    assert read(customer_id="7") == read(customer_id=7) == read(customer_id=7.0)


def test_a_payment_card_has_no_entries_and_is_masked_in_the_customer() -> None:
    assert read(customer_identifier=VISA).identifier is None
    update = read(customer_id="C1", customer={"customer_id": "C1", "note": VISA})
    assert update.customer is not None
    assert update.customer.attributes["note"] != VISA


def test_a_shop_without_the_guard_takes_a_card_that_looks_like_one() -> None:
    value = json.dumps({"customer_identifier": VISA}).encode()
    assert read_raw(value, card_guard=False).identifier == VISA.replace(" ", "")


# -- cache commands

IDENTIFIERS = st.from_regex(r"[A-Za-z0-9+@._-]{1,40}", fullmatch=True)
DOCUMENTS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3).map(
    lambda document: json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
)
ENTRIES = st.builds(CacheEntry, st.integers(0, NOW), DOCUMENTS)
COMMANDS = st.one_of(
    st.builds(Evict, IDENTIFIERS, st.sampled_from(Cause)),
    st.builds(EvictPrefix, IDENTIFIERS | st.just("")),
    st.builds(Replace, IDENTIFIERS, ENTRIES),
    st.builds(Refresh, IDENTIFIERS, st.uuids().map(str)),
    st.builds(
        Forget, IDENTIFIERS, st.lists(IDENTIFIERS, max_size=3).map(tuple), st.integers(0, NOW)
    ),
    st.builds(ForgetCustomer, st.text(max_size=8), st.integers(0, NOW)),
)


@given(COMMANDS)
def test_a_command_is_read_as_it_was_written(command: CacheCommand) -> None:
    for record in commanded(command, 2):
        read_back = read_cache_command(record.value)
        if isinstance(command, Replace) and isinstance(read_back, Replace):
            assert json.loads(read_back.entry.document or b"") == json.loads(
                command.entry.document or b""
            )
            assert read_back.identifier == command.identifier
            assert read_back.entry.fetched_at_ms == command.entry.fetched_at_ms
        else:
            assert read_back == command


def test_a_command_for_one_goes_by_its_key_and_one_for_many_to_every_partition() -> None:
    (one,) = commanded(Evict("+1"), 8)
    assert (one.topic, one.key, one.partition) == (topics.CACHE_COMMANDS, b"+1", None)
    many = commanded(EvictPrefix("+4"), 8)
    assert [record.partition for record in many] == list(range(8))
    assert {record.value for record in many} == {b'{"op":"evict","prefix":"+4","sent_to":8}'}


def test_the_largest_customer_that_is_read_still_fits_in_a_command() -> None:
    frame = len(json.dumps({"customer_id": "C", "customer": {"customer_id": "C", "note": ""}}))
    note = "x" * (MAX_EVENT_BYTES - frame)
    update = read(customer_id="C", customer={"customer_id": "C", "note": note})
    assert update.customer is not None
    entry = CacheEntry(NOW, json.dumps(update.customer.as_document()).encode())
    (record,) = commanded(Replace("+1", entry), 8)
    assert isinstance(read_cache_command(record.value), Replace)


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b'{"op":"evict"}',
        b'{"op":"refresh","identifier":"+1"}',
        b'{"op":"evict","identifier":5,"cause":"evicted"}',
        b'{"op":"evict","identifier":"+1","cause":"boredom"}',
        b'{"op":"forget","identifier":"+1","customer_ids":[],"after_ms":"1"}',
        b'{"op":"forget","identifier":"+1","customer_ids":"C","after_ms":1}',
        b'{"op":"replace","identifier":"+1","fetched_at_ms":1}',
        b'{"op":"replace","identifier":"+1","customer":null,"fetched_at_ms":1}',
        b'{"op":"replace","identifier":"+1","customer":{},"fetched_at_ms":"1"}',
    ],
)
def test_what_posstream_did_not_write_is_no_command(value: bytes) -> None:
    with pytest.raises(UnreadableEvent) as refused:
        read_cache_command(value)
    assert refused.value.reason is R.INVALID_FIELD


def test_a_time_beyond_all_times_is_brought_back() -> None:
    value = b'{"op":"replace","identifier":"+1","customer":{},"fetched_at_ms":9999999999999999999}'
    command = read_cache_command(value)
    assert isinstance(command, Replace)
    assert command.entry.fetched_at_ms < 2**63


# -- what may be evicted


def judged(
    identifier: str | None = None,
    prefix: str | None = None,
    *,
    everything: bool = False,
    card_guard: bool = True,
) -> Evict | EvictPrefix | InvalidEviction:
    return eviction(
        identifier=identifier, prefix=prefix, everything=everything, card_guard=card_guard
    )


def test_one_by_one_by_prefix_or_all() -> None:
    assert judged(" 0049 30-123 ") == Evict("+4930123")
    assert judged(prefix="+4930") == EvictPrefix("+4930")
    assert judged(everything=True) == EvictPrefix("")
    assert judged(prefix="4111111111111111", card_guard=False) == EvictPrefix("4111111111111111")


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (judged(), "INVALID_ARGUMENTS"),
        (judged("+1", "+2"), "INVALID_ARGUMENTS"),
        (judged("+1", everything=True), "INVALID_ARGUMENTS"),
        (judged(prefix="", everything=True), "INVALID_ARGUMENTS"),
        (judged(""), "INVALID_IDENTIFIER"),
        (judged(VISA), "INVALID_IDENTIFIER"),
        (judged(prefix=""), "INVALID_PREFIX"),
        (judged(prefix="+49 30"), "INVALID_PREFIX"),
        (judged(prefix="4111111111111111"), "INVALID_PREFIX"),
    ],
)
def test_an_eviction_that_is_not_clear_is_refused(
    refused: Evict | EvictPrefix | InvalidEviction, code: str
) -> None:
    assert isinstance(refused, InvalidEviction)
    assert refused.code == code
    assert "11111111" not in refused.why.replace(" ", "")
