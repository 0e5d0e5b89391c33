"""Tells the numbers of products (GTIN) from other digits. Pure."""

from typing import Final

#: GTIN-8, UPC-A, EAN-13 and GTIN-14 (GS1 General Specifications, 1.4.3).
_LENGTHS: Final = frozenset({8, 12, 13, 14})


def is_gtin(text: str) -> bool:
    """Whether a text is a GTIN: all digits, of its length, and with the right check digit.

    Every other digit from the right counts three times; the sum is a multiple of 10 (GS1 General
    Specifications, 7.9.1).
    """
    if len(text) not in _LENGTHS or not (text.isascii() and text.isdigit()):
        return False
    digits = [int(digit) for digit in reversed(text)]
    return (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0
