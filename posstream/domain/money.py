"""Amounts of money, exact: whole numbers of ten-thousandths, never floats. Pure."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final

#: Places after the point that an amount may have (contract, section 7).
PLACES: Final = 4
#: 1, as an amount.
ONE: Final = 10**PLACES
#: At most 12 digits before the point; zeros at the end say nothing.
_AMOUNT: Final = re.compile(r"-?0*[0-9]{1,12}(\.[0-9]{1,4}0*)?")
_MOST_SIGNS: Final = 40
#: The smallest whole number that has too many digits.
_BEYOND: Final = 10**12
#: Amounts that are read or written again and again: prices, quantities, sums that are told again.
_REMEMBERED: Final = 4096
#: As long as the shortest card number: such a text may be one, and is not remembered.
_LIKE_A_CARD: Final = 13


def read_amount(raw: object) -> int | None:
    """An amount, in ten-thousandths; None if it is none.

    Args:
        raw: a number or text of JSON, as `posstream.json.reading.read_json_exactly` gives it. A
            float is taken as the digits that it shows.
    """
    if isinstance(raw, str):  # most of the time
        text = raw.strip()
        return _read_text(text) if len(text) < _LIKE_A_CARD else _read_long(text)
    if type(raw) is int:  # mostly a quantity
        return raw * ONE if -_BEYOND < raw < _BEYOND else None
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
        return None
    text = str(raw)
    if "e" in text.lower():
        text = f"{Decimal(text):f}" if abs(Decimal(text).adjusted()) < _MOST_SIGNS else ""
    return _read_text(text) if len(text) < _LIKE_A_CARD else _read_long(text)


def _read_long(text: str) -> int | None:
    if len(text) > _MOST_SIGNS or not _AMOUNT.fullmatch(text):
        return None
    return int(Decimal(text) * ONE)


_read_text: Final = lru_cache(maxsize=_REMEMBERED)(_read_long)


@lru_cache(maxsize=_REMEMBERED)
def amount_text(amount: int) -> str:
    """An amount as the contract writes it: at least two places, and at most four: `12.50`."""
    whole, rest = divmod(abs(amount), ONE)
    places = f"{rest:04}"
    kept = places.rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{whole}.{kept}"


@lru_cache(maxsize=_REMEMBERED)
def quantity_text(quantity: int) -> str:
    """A quantity in ten-thousandths, without zeros that say nothing: `3`, `0.532`."""
    whole, rest = divmod(quantity, ONE)
    return f"{whole}.{rest:04}".rstrip("0").rstrip(".")


def times(price: int, quantity: int, places: int) -> int:
    """A price for a quantity, both in ten-thousandths.

    A whole quantity is exact. Any other is rounded half up (away from zero) to so many places, as
    a till rounds a weighed item.
    """
    whole, rest = divmod(quantity, ONE)
    if not rest:
        return price * whole
    step: int = 10 ** (PLACES - places) * ONE
    exact = abs(price) * quantity
    rounded = (exact + step // 2) // step * step // ONE
    return -rounded if price < 0 else rounded
