"""What the contestants write is what posstream writes."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.contestants.answers import Known, Moment, headers_of, record
from benchmarks.contestants.answers import derived as derived_there
from posstream.events.ids import derived

EVENT = {
    "event_id": "0000002a-0000-4000-8000-000000000007",
    "basket_id": 'basket "7"',
    "customer_identifier": "CARD_R7",
    "occurred_at": "2026-01-31T12:00:00.000Z",
}
KNOWN = Known.of(b'{"customer_id":"CUST_7"}')


@given(st.text(max_size=40).filter(lambda text: text.isprintable()))
def test_ids_are_derived_as_posstream_derives_them(event_id: str) -> None:
    assert derived_there(event_id or "x") == derived(event_id or "x")


@pytest.mark.parametrize("duration_ms", [None, 12])
def test_a_spliced_answer_has_the_fields_of_a_plain_one(duration_ms: int | None) -> None:
    _, value, _ = Moment().full(EVENT, KNOWN, duration_ms=duration_ms)
    plain = record(EVENT, {"customer_id": "CUST_7"}, KNOWN.fetched_at_ms, duration_ms=duration_ms)
    spliced = orjson.loads(value)
    for changing in ("occurred_at", "age_ms"):
        assert type(spliced.pop(changing)) is type(plain.pop(changing))
    assert spliced == plain


def test_the_headers_are_those_of_the_answer() -> None:
    key, value, headers = Moment().full(EVENT, KNOWN)
    assert (key, headers) == (b'basket "7"', headers_of(orjson.loads(value)))
