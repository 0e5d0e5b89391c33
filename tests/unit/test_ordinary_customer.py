"""The short way through a directory's answer gives what the long way gives, or nothing."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.customer_lookup.directory.ordinary_customer import ordinary_customer
from agents.customer_lookup.directory.response_mapping import ResponseMapping
from posstream.domain.customer import (
    CUSTOMER_FIELDS,
    Customer,
    InvalidCustomer,
    judge_fields,
    needs_no_scrub,
)
from posstream.json.reading import read_json_exactly
from posstream.json.writing import write_json

ORDINARY = {
    "customer_id": "CUST_001",
    "first_name": "Zoë",
    "last_name": "Doe",
    "email": None,
    "phone": "+1234567890",
    "loyalty_points": 1250,
    "tier": "GOLD",
    "total_purchases": "5432.10",
    "last_purchase_date": "2026-01-31T08:00:00.000Z",
    "since": 2019,
}

TEXTS = st.sampled_from(["", " ", "\t", "Zoë", "GOLD", " x ", "x" * 256, "x" * 257, "\u2003", "٣"])
MONEY = st.sampled_from(["0.00", "12.50", "012.50", "12.5", "-1.00", "1234567890123.00", "1,00"])
DATES = st.sampled_from(
    ["2026-01-31", "2026-01-31T08:00:00Z", "1999-02-30", "0001-01-01", "0000-00-00", "20", "19xx"]
)
NUMBERS = st.sampled_from([0, -5, 2**63 - 1, 2**63, -(2**63), 1.0, 1.5, 10.10, True, False])
VALUES = st.one_of(st.none(), TEXTS, MONEY, DATES, NUMBERS, st.just([]), st.just({}), st.just([1]))


def by_the_long_way(document: Any) -> Customer | InvalidCustomer:
    mapping = ResponseMapping()
    mapped = mapping.apply(document)
    return judge_fields(mapping.find(document, "customer_id"), mapped.fields, mapped.extra)


def test_an_ordinary_answer_takes_the_short_way() -> None:
    assert ordinary_customer(ORDINARY) == by_the_long_way(ORDINARY)


@pytest.mark.parametrize(
    "odd",
    [
        {"customer_id": 17},
        {"customer_id": " C"},
        {"first_name": " "},
        {"loyalty_points": "1250"},
        {"total_purchases": 12.5},
        {"last_purchase_date": "0001-01-01"},
    ],
)
def test_an_odd_field_leads_to_the_long_way(odd: dict[str, object]) -> None:
    assert ordinary_customer(ORDINARY | odd) is None


def test_a_list_is_no_ordinary_answer() -> None:
    assert ordinary_customer([ORDINARY]) is None


@given(st.dictionaries(st.sampled_from([*CUSTOMER_FIELDS, "other"]), VALUES, max_size=2))
@example({})
@example(dict.fromkeys(CUSTOMER_FIELDS[1:]))
@example({"customer_id": "٣"})
def test_the_short_way_gives_what_the_long_way_gives(odd: dict[str, Any]) -> None:
    text = orjson.dumps(ORDINARY | odd)
    document = read_json_exactly(text)
    short = ordinary_customer(document)
    if short is not None and needs_no_scrub(text):
        long = by_the_long_way(document)
        assert isinstance(long, Customer)
        assert long == short
        assert write_json(long.as_document()) == write_json(short.as_document())
