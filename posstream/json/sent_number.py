"""Keeps a number of the directory's JSON that Python's int or float would change. Pure."""

import math
from decimal import Decimal, InvalidOperation
from typing import Final, Self

#: The digits of 2 ** 64, or those of -2 ** 63 and its sign.
_LONGEST_INT: Final = 20


class SentNumber(Decimal):
    """Keeps a number's text: `12345678901234567890123`, `10.10`, `1e400`.

    For arithmetic a decimal; `str` gives the text as it was sent.
    """

    __slots__ = ("_text",)
    _text: str

    def __new__(cls, text: str) -> Self:
        """Keep a number of JSON's grammar.

        Raises:
            decimal.InvalidOperation: beyond an exponent of 18 digits.
        """
        number = super().__new__(cls, text)
        number._text = text
        return number

    def __str__(self) -> str:
        """The text as it was sent."""
        return self._text


def read_whole(text: str) -> int | SentNumber:
    """A whole number of JSON: an int if JSON libraries with 64 bits read it unaltered."""
    if len(text) <= _LONGEST_INT:
        number = int(text)
        if -(2**63) <= number < 2**64 and str(number) == text:
            return number
    return SentNumber(text)


def read_fraction(text: str) -> float | SentNumber:
    """A number of JSON with a fraction or an exponent: a float if that says the same digits.

    Raises:
        ValueError: for an exponent that neither kind can hold.
    """
    number = float(text)
    if repr(number) == text:
        return number
    try:
        # It tells 10.10 from 10.1.
        same = Decimal(repr(number)).compare_total(Decimal(text)) == 0
    except InvalidOperation:
        if math.isinf(number):
            raise ValueError("the exponent is too large") from None
        same = True
    return number if same else SentNumber(text)
