"""The fast reader of answers makes the rows that any answer becomes, or leaves the answer alone."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer_lookup.answers import CustomerFound, Identification
from agents.customer_lookup.events.writing import answered
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.rows import Batch
from agents.customer_lookup.read_model.schema import CUSTOMER_IDENTIFIERS
from agents.customer_lookup.read_model.written_answers import read_found
from agents.customer_lookup.reasons import Source
from agents.customer_lookup.topics import CUSTOMER_DATA_FETCHED
from posstream.domain.identifier import IdentifierKind
from posstream.domain.times import parse_utc
from posstream.json.reading import read_json_exactly
from posstream.json.writing import write_json
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.projector import projected
from posstream.read_model.stored_time import stored, stored_from_json, time_of
from tests.component.sql_databases import JOHN, found
from tests.memory import is_remembered

USUAL: Mapping[str, Any] = found("e1").value
#: Where no database and no page may take a value as it is, and where readers differ.
ODD: tuple[Any, ...] = (
    *(None, "", " ", "a b", "\0", "\x1b[m", "J\u00f6rg", "a\u202eb", "x" * 256, "x" * 257, "null"),
    *(True, -1, 0, 2**63 - 1, 2**63, 2**64, 1.5, [], {}, [1], {"a": 1}),
    *("2026-01-31T08:00:00.000Z", "2026-01-31T08:00:00Z", "2026-01-31 08:00:00.000Z"),
    *("2026-02-30T08:00:00.000Z", "2026-01-31T08:00:00.0000", "2026-01-31T24:00:00.000Z"),
    *("2026-01-31T08:00:00.123456+02:00", "0001-01-01T00:00:00.000Z", "2026-W05-6T08:00:00.000Z"),
)
ABSENT = object()


def rows(value: Any) -> Any:
    batch = Batch()
    refused = batch.take(ProjectedEvent(CUSTOMER_DATA_FETCHED, value))
    for row in batch.rows[CUSTOMER_IDENTIFIERS].values():
        del row["answer_digest"]  # of the document as it is written, not of what it means
    return refused is None, batch.rows, batch.earliest


def agree(text: bytes) -> bool:
    """Whether the fast reader took a text; then its rows are those of the other one."""
    fast = read_found(text)
    if fast is not None:
        assert rows(fast) == rows(read_json_exactly(text))
    return fast is not None


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("kind", IdentifierKind)
def test_what_posstream_writes_is_taken(source: Source, kind: IdentifierKind) -> None:
    asked = Identification("l1", "basket_1", "+1234567890", kind, 1_769_846_400_123)
    answer = CustomerFound(asked, source, write_json(JOHN), 1_769_846_399_000, 2**41, 7, 1, 42, 3)
    assert agree(answered(answer, 1_769_846_400_999).value or b"")


@given(
    st.dictionaries(st.sampled_from(sorted(USUAL)), st.sampled_from([*ODD, ABSENT]), max_size=3),
    st.sampled_from([{}, {"later_field": {"a": [1]}}]),
)
def test_both_readers_agree(changes: Mapping[str, Any], later: Mapping[str, Any]) -> None:
    value = {**USUAL, **changes, **later}
    agree(json.dumps({name: it for name, it in value.items() if it is not ABSENT}).encode())


NO_ANSWER = (b"", b"{", b"[]", b"null", b'{"event_id":"\xff"}', b"\xff", b"[" * 9_000)


@pytest.mark.parametrize("text", [*NO_ANSWER, write_json(USUAL)[:-1]])
def test_what_is_no_answer_is_left_alone(text: bytes) -> None:
    assert read_found(text) is None


DEEP = b'{"later_field":' + b"[" * 1_100 + b"]" * 1_100 + b"}"


def test_a_record_that_nests_too_deep_ends_no_projection(caplog: pytest.LogCaptureFixture) -> None:
    record = SimpleNamespace(
        topic=CUSTOMER_DATA_FETCHED, partition=0, offset=7, key=b"b", value=DEEP
    )
    assert projected(record, SqlProjection.decoders) is None
    assert "customer-data-fetched/0/7 is no JSON object" in caplog.text


def test_a_text_that_is_no_utf_8_is_left_alone_also_in_an_unknown_field() -> None:
    text = write_json({**USUAL, "later_field": "x"})
    assert read_found(text) is not None
    assert read_found(text.replace(b'"later_field":"x"', b'"later_field":"\xff"')) is None


@pytest.mark.parametrize("field", ["event_id", "basket_id", "customer_identifier", "lookup_id"])
@pytest.mark.parametrize("odd", ["a b", "J\u00f6rg", "a\0b", "x" * 257])
def test_an_unusual_text_is_left_alone(field: str, odd: str) -> None:
    assert read_found(write_json({**USUAL, field: odd})) is None


def test_a_customer_that_no_one_can_read_is_refused_by_both() -> None:
    text = write_json({**USUAL, "customer": {"customer_id": None}})
    assert agree(text)
    assert not rows(read_found(text))[0]


@pytest.mark.parametrize("odd", ODD)
def test_a_time_is_stored_as_it_is_read(odd: Any) -> None:
    moment = parse_utc(odd)
    assert stored_from_json(odd) == (None if moment is None else stored(moment))


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_stored_times_sort_like_times(one: datetime, other: datetime) -> None:
    assert (stored(one) < stored(other)) == (one < other)
    assert time_of(stored(one)) == one
    text = one.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert time_of(stored_from_json(text) or "") == parse_utc(text)


def test_a_time_of_another_zone_is_stored_in_utc_and_a_naive_one_is_refused() -> None:
    there = datetime(2026, 1, 31, 10, tzinfo=timezone(timedelta(hours=2)))
    assert stored(there) == "2026-01-31 08:00:00.000000"
    with pytest.raises(ValueError, match="without a zone"):
        stored(there.replace(tzinfo=None))


def test_a_text_that_is_no_time_is_not_remembered() -> None:
    assert stored_from_json("2026-01-31T09:14:30.000Z") == "2026-01-31 09:14:30.000000"
    assert is_remembered("2026-01-31T09:14:30")
    assert stored_from_json("4000056655665556000.000Z") is None
    assert not is_remembered("4000056655665556")
