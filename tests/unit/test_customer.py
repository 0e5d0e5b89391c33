import dataclasses
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.customer import (
    TIERS,
    Customer,
    InvalidCustomer,
    judge_fields,
    needs_no_scrub,
    read_customer,
    scrub,
)
from posstream.json.reading import read_json_exactly
from posstream.json.sent_number import SentNumber

JOHN = {
    "customer_id": "CUST_001",
    "first_name": "John",
    "last_name": "Doe",
    "email": "john@example.com",
    "phone": "+1234567890",
    "loyalty_points": 1250,
    "tier": "GOLD",
    "total_purchases": "5432.10",
    "last_purchase_date": "2026-01-31T08:00:00.000Z",
}


def read(**fields: object) -> Customer | InvalidCustomer:
    return read_customer({"customer_id": "C", **fields})


def test_a_whole_description_is_read() -> None:
    expected = Customer(
        customer_id="CUST_001",
        first_name="John",
        last_name="Doe",
        email="john@example.com",
        phone="+1234567890",
        loyalty_points=1250,
        tier="GOLD",
        total_purchases=Decimal("5432.10"),
        last_purchase_date=datetime(2026, 1, 31, 8, tzinfo=UTC),
    )
    assert expected == read_customer(JOHN)


def test_a_customer_is_written_as_the_contract_says() -> None:
    john = read_customer(JOHN)
    assert isinstance(john, Customer)
    assert john.as_document() == {**JOHN, "attributes": {}}


def test_what_is_missing_takes_its_empty_value() -> None:
    customer = read()
    assert isinstance(customer, Customer)
    assert customer.as_document() == {
        "customer_id": "C",
        "first_name": "",
        "last_name": "",
        "email": "",
        "phone": "",
        "loyalty_points": 0,
        "tier": "",
        "total_purchases": "0.00",
        "last_purchase_date": None,
        "attributes": {},
    }


def test_null_is_as_good_as_missing() -> None:
    assert read() == read(**dict.fromkeys(set(JOHN) - {"customer_id"}))


def test_every_other_field_is_an_attribute() -> None:
    customer = read(shoe_size=43, address={"city": "Berlin"}, tags=["a", None, 1.5])
    assert isinstance(customer, Customer)
    expected = {"shoe_size": 43, "address": {"city": "Berlin"}, "tags": ["a", None, 1.5]}
    assert expected == customer.attributes


@pytest.mark.parametrize("tier", [*TIERS, "DIAMOND", "gold", ""])
def test_a_tier_is_kept_as_it_is_known_or_not(tier: str) -> None:
    customer = read(tier=tier)
    assert isinstance(customer, Customer)
    assert tier == customer.tier


@pytest.mark.parametrize("document", [None, [], "John", 1, True, [JOHN]])
def test_a_body_that_is_no_object_is_refused(document: object) -> None:
    assert InvalidCustomer("the body is not a JSON object") == read_customer(document)


@pytest.mark.parametrize("customer_id", [None, "", "  ", "\0", True, 1.5, [], {}, "x" * 257])
def test_a_customer_without_an_id_is_refused(customer_id: object) -> None:
    refused = read_customer({"customer_id": customer_id})
    assert InvalidCustomer("customer_id is missing, empty or no text") == refused


def test_an_id_may_be_a_number() -> None:
    customer = read_customer({"customer_id": 17})
    assert isinstance(customer, Customer)
    assert customer.customer_id == "17"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_name", ["John"]),
        ("last_name", {}),
        ("email", True),
        ("phone", 1.5),
        ("tier", []),
        ("first_name", "x" * 257),
        ("loyalty_points", True),
        ("loyalty_points", 1.5),
        ("loyalty_points", "many"),
        ("loyalty_points", 2**63),
        ("loyalty_points", float("nan")),
        ("loyalty_points", float("inf")),
        ("loyalty_points", "1e999999999"),
        ("loyalty_points", []),
        ("total_purchases", True),
        ("total_purchases", "a lot"),
        ("total_purchases", "NaN"),
        ("total_purchases", "sNaN"),
        ("total_purchases", "-Infinity"),
        ("total_purchases", float("nan")),
        ("total_purchases", 10**13),
        ("total_purchases", "1e999999999"),
        ("total_purchases", "0e999999999"),
        ("total_purchases", []),
        ("last_purchase_date", 20260131),
        ("last_purchase_date", "yesterday"),
        ("last_purchase_date", []),
    ],
)
def test_a_field_of_a_wrong_type_or_range_is_refused_by_name(field: str, value: object) -> None:
    expected = InvalidCustomer(f"{field} has the wrong type or is out of range")
    assert expected == read(**{field: value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (-5, -5), ("1250", 1250), (1250.0, 1250), ("12.0", 12), (2**63 - 1, 2**63 - 1)],
)
def test_points_are_a_whole_number_however_written(value: object, expected: int) -> None:
    customer = read(loyalty_points=value)
    assert isinstance(customer, Customer)
    assert expected == customer.loyalty_points


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0.00"),
        (5, "5.00"),
        (0.1, "0.10"),
        (1234.5, "1234.50"),
        ("1234.565", "1234.57"),
        ("-3", "-3.00"),
        ("1e3", "1000.00"),
        ("1e-999999999", "0.00"),
        ("9999999999999.99", "9999999999999.99"),
    ],
)
def test_money_has_two_places_and_rounds_half_up(value: object, expected: str) -> None:
    customer = read(total_purchases=value)
    assert isinstance(customer, Customer)
    assert expected == customer.as_document()["total_purchases"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31T08:00:00+02:00", "2026-01-31T06:00:00.000Z"),
        ("2026-01-31T08:00:00", "2026-01-31T08:00:00.000Z"),
    ],
)
def test_a_purchase_date_is_written_in_utc(value: str, expected: str) -> None:
    customer = read(last_purchase_date=value)
    assert isinstance(customer, Customer)
    assert expected == customer.as_document()["last_purchase_date"]


def test_a_phone_may_be_a_number() -> None:
    customer = read(phone=1234567890)
    assert isinstance(customer, Customer)
    assert customer.phone == "1234567890"


def judge(**fields: object) -> Customer:
    customer = judge_fields("C", fields, {"shop": "Berlin"})
    assert isinstance(customer, Customer)
    return customer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_name", ["John"]),
        ("email", True),
        ("phone", 1.5),
        ("tier", {"name": "GOLD"}),
        ("last_name", "x" * 257),
        ("loyalty_points", "many"),
        ("loyalty_points", True),
        ("loyalty_points", 2**63),
        ("loyalty_points", SentNumber("12345678901234567890123")),
        ("loyalty_points", SentNumber("1.50")),
        ("loyalty_points", SentNumber("1e400")),
        ("total_purchases", "a lot"),
        ("total_purchases", SentNumber("1e400")),
        ("last_purchase_date", "yesterday"),
        ("last_purchase_date", 20260131),
    ],
    ids=range(15),
)
def test_one_odd_field_of_a_directory_is_an_attribute_and_spoils_nothing(
    field: str, value: object
) -> None:
    customer = judge(**{"first_name": "John", "tier": "GOLD", field: value})
    whole = judge(**{name: text for name, text in NAMED.items() if name != field})
    assert dataclasses.replace(whole, attributes=customer.attributes, odd_fields=(field,)) == (
        customer
    )
    assert customer.attributes == {"shop": "Berlin", field: value}


NAMED = {"first_name": "John", "tier": "GOLD"}


def test_an_odd_field_does_not_hide_what_has_its_name_already() -> None:
    customer = judge_fields("C", {"tier": True}, {"tier": "of the till"})
    assert isinstance(customer, Customer)
    assert customer.attributes == {"tier": "of the till"}


@pytest.mark.parametrize("absent", [None, False, "", "  ", [], {}])
def test_what_stands_for_nothing_is_absent_in_every_field(absent: object) -> None:
    assert judge(**dict.fromkeys(set(JOHN) - {"customer_id"}, absent)) == judge()


@pytest.mark.parametrize(
    "date",
    [
        "0000-00-00",
        "0000-00-00 00:00:00",
        "0000-00-00T00:00:00Z",
        "0000-00-00T00:00:00.000+00:00",
        "0001-01-01T00:00:00",
        "-0001-11-30T00:00:00+00:00",
        "00/00/0000",
        "00.00.0000",
        0,
    ],
)
def test_a_date_of_zeros_is_absent(date: object) -> None:
    assert judge(last_purchase_date=date) == judge()


def test_zero_is_a_value() -> None:
    assert judge(phone=0).phone == "0"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("10.10", "10.10"), ("1234.565", "1234.57"), ("1.2e+2", "120.00"), ("1e-400", "0.00")],
)
def test_a_sum_that_a_float_would_alter_is_read_to_the_cent(value: str, expected: str) -> None:
    assert judge(total_purchases=SentNumber(value)).as_document()["total_purchases"] == expected


def test_points_and_ids_may_be_numbers_that_a_float_would_alter() -> None:
    assert judge(loyalty_points=SentNumber("1250.00")).loyalty_points == 1250
    long = SentNumber("12345678901234567890123")
    customer = judge_fields(long, {"phone": long}, {})
    assert isinstance(customer, Customer)
    assert (customer.customer_id, customer.phone) == (str(long), str(long))


def test_nul_characters_are_dropped_everywhere() -> None:
    customer = read(first_name="Jo\0hn", notes=["a\0b", {"k\0": "v\0"}])
    assert isinstance(customer, Customer)
    assert customer.first_name == "John"
    assert customer.attributes == {"notes": ["ab", {"k": "v"}]}


def test_card_numbers_are_masked_in_every_field() -> None:
    pan = "4111111111111111"
    customer = read_customer(
        {
            "customer_id": "C",
            "last_name": pan,
            "n": int(pan),
            "x": float(pan),
            "y": [SentNumber(f"{pan}.00"), SentNumber("4.111111111111111e15")],
            "deep": [{pan: f"card {pan}"}],
        }
    )
    assert isinstance(customer, Customer)
    assert customer.last_name == "411111******1111"
    assert customer.attributes == {
        "n": "411111******1111",
        "x": "411111******1111",
        "y": ["411111******1111", "411111******1111"],
        "deep": [{"411111******1111": "card 411111******1111"}],
    }


def test_a_card_number_for_an_id_is_refused_unless_the_guard_is_off() -> None:
    # Masked, two customers could become one.
    document = {"customer_id": "4111 1111 1111 1111"}
    assert read_customer(document) == InvalidCustomer("customer_id is a payment-card number")
    customer = read_customer(document, card_guard=False)
    assert isinstance(customer, Customer)


def test_without_the_guard_nothing_is_masked() -> None:
    customer = read_customer(
        {"customer_id": "C", "last_name": "4111111111111111"}, card_guard=False
    )
    assert isinstance(customer, Customer)
    assert customer.last_name == "4111111111111111"


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats()
    | st.decimals(allow_nan=False, allow_infinity=False).map(lambda it: SentNumber(str(it)))
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*JOHN, "extra"]), json_values))
def test_no_description_breaks_the_reader(document: dict[str, Any]) -> None:
    judged = judge_fields("C", scrub(document), {})
    assert isinstance(judged, Customer | InvalidCustomer)
    assert isinstance(read_customer(document), Customer | InvalidCustomer)


@given(json_values)
def test_scrubbing_twice_changes_nothing_more(value: object) -> None:
    once = scrub(value)
    assert repr(once) == repr(scrub(once))


#: Texts with many digits, with what separates and hides them, and with card numbers.
_TEXTS = st.text("0123456789 -.%&\\eEä\0xX", max_size=24) | st.sampled_from(
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111x11111111",
        "Müller",
        "&#52;",
        "٤111111111111111",
    ]
)
_NUMBERS = st.integers(-(10**19), 10**19) | st.floats(allow_nan=False, allow_infinity=False)
_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(_DOCUMENTS, st.booleans(), st.none() | st.integers(0, 2))
def test_what_needs_no_scrub_is_not_changed_by_it(
    document: object,
    as_ascii: bool,  # noqa: FBT001
    indent: int | None,
) -> None:
    text = json.dumps(document, ensure_ascii=as_ascii, indent=indent).encode()
    read = read_json_exactly(text)
    if needs_no_scrub(text):
        assert repr(scrub(read)) == repr(read)


@pytest.mark.parametrize(
    ("text", "needs_none"),
    [
        (b'{"customer_id": "C", "phone": "+4930123456", "points": 1250, "spent": 12.50}', True),
        (b'{"id": "4111111111111111"}', False),
        (b'{"id": 4111111111111111}', False),
        (b'{"id": 4.111111111111111e15}', False),
        (b'{"id": 4E15}', False),
        (b'{"id": "%34111111111111111"}', False),
        (b'{"id": "C\\u0000"}', False),
        ('{"last_name": "Müller", "city": "山"}'.encode(), True),
        ('{"id": "٤111111111111111"}'.encode(), False),
    ],
)
def test_an_ordinary_answer_needs_no_scrub(text: bytes, *, needs_none: bool) -> None:
    assert needs_no_scrub(text) is needs_none
