"""Amounts are exact: what a till writes is what is counted."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.money import ONE, amount_text, quantity_text, read_amount, times
from posstream.json.reading import read_json_exactly
from tests.memory import is_remembered

MOST = 10**16 - 1
AMOUNTS = st.integers(-MOST, MOST)
PRICES = st.integers(-(10**9), 10**9)
QUANTITIES = st.integers(1, 10**8)


def read(written: str) -> int | None:
    """What becomes of a number or text of JSON."""
    return read_amount(read_json_exactly(written.encode()))


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("0.1", 1_000),
        ("0.30000000000000004", None),
        ("12.5", 125_000),
        ("12.50", 125_000),
        ('"12.50"', 125_000),
        ('" 12.50 "', 125_000),
        ("7", 70_000),
        ('"-0.0001"', -1),
        ("-3.25", -32_500),
        ("-0", 0),
        ('"-0.00"', 0),
        ("999999999999.9999", MOST),
        ('"999999999999.9999"', MOST),
        ('"000999999999999.99990000"', MOST),
        ("1000000000000", None),
        ('"1000000000000"', None),
        ("0.00001", None),
        ('"0.00001"', None),
        ("1.5e1", 150_000),
        ("15e-1", 15_000),
        ("1E+3", 10_000_000),
        ("1e11", 100_000_000_000 * ONE),
        ("1e12", None),
        ("1e400", None),
        ("1e-400", None),
        ('"1e3"', None),
        ('"1,50"', None),
        ('"1 000"', None),
        ('"+1"', None),
        ('".5"', None),
        ('"5."', None),
        ('"NaN"', None),
        ('"Infinity"', None),
        ('"٣"', None),
        ('""', None),
        ("true", None),
        ("null", None),
        ("[1]", None),
        ('{"amount": 1}', None),
        ("9" * 5_000, None),
        ('"' + "9" * 5_000 + '"', None),
        ('"1.' + "0" * 5_000 + '"', None),
    ],
)
def test_an_amount_of_json_is_read_exactly_or_not_at_all(written: str, amount: int | None) -> None:
    assert amount == read(written)


@given(AMOUNTS)
def test_an_amount_is_read_as_it_was_written(amount: int) -> None:
    text = amount_text(amount)
    assert amount == read(text) == read(f'"{text}"')
    assert len(text.partition(".")[2]) in {2, 3, 4}


@given(st.decimals(-(10**12) + 1, 10**12 - 1, places=4))
def test_a_number_is_the_decimal_that_its_digits_say(number: Decimal) -> None:
    assert int(number * ONE) == read(f"{number:f}")
    assert read(f"{number:f}") == read(f"{number:E}")


def test_a_tenth_and_two_tenths_are_three_tenths() -> None:
    assert read("0.3") == (read("0.1") or 0) + (read("0.2") or 0)


@given(st.integers(0, MOST))
def test_a_quantity_is_read_as_it_was_written(quantity: int) -> None:
    text = quantity_text(quantity)
    assert quantity == read(f'"{text}"')
    assert not (text.endswith((".", "0")) and "." in text), "zeros that say nothing"


@pytest.mark.parametrize(
    ("price", "quantity", "places", "cost"),
    [
        ("1.99", "3", 2, "5.97"),
        ("0.0333", "3", 2, "0.0999"),  # a whole quantity is exact
        ("1.00", "0.005", 2, "0.01"),
        ("1.00", "0.0049", 2, "0.00"),
        ("2.50", "0.502", 2, "1.26"),  # 1.255
        ("2.50", "0.501", 2, "1.25"),  # 1.2525
        ("-1.00", "0.005", 2, "-0.01"),  # away from zero
        ("99", "0.505", 0, "50.00"),  # 49.995
        ("99", "0.5", 0, "50.00"),
        ("1.2345", "0.1", 3, "0.123"),
        ("1.2345", "0.1111", 4, "0.1372"),  # 0.13715295
    ],
)
def test_a_weighed_item_is_rounded_half_up_to_the_places_of_the_currency(
    price: str, quantity: str, places: int, cost: str
) -> None:
    amounts = [read_amount(it) for it in (price, quantity)]
    assert None not in amounts
    assert cost == amount_text(times(amounts[0] or 0, amounts[1] or 0, places))


def test_a_refused_amount_that_is_long_enough_for_a_card_is_not_remembered() -> None:
    assert read_amount("12.3400") is not None
    assert is_remembered("12.3400")
    assert read_amount("4000056655665556") is None
    assert read_amount(Decimal(4000056655665556)) is None
    assert not is_remembered("4000056655665556")


@given(PRICES, QUANTITIES, st.integers(0, 4))
def test_a_price_times_a_quantity_is_what_decimals_say(
    price: int, quantity: int, places: int
) -> None:
    exact = Decimal(price) / ONE * Decimal(quantity) / ONE
    rounded = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    expected: Any = exact if quantity % ONE == 0 else rounded
    assert expected == Decimal(times(price, quantity, places)) / ONE
