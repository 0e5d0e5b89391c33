"""What a rule's function is over a window, kept while the window moves. Pure.

Observations come in at the new end in their order and leave at the old end; each costs the same,
however many are in the window. Values are fractions of whole numbers, so that nothing is rounded.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from agents.fraud_detection.rules.compiled import IS_FIRST
from agents.fraud_detection.rules.rule import Function
from posstream.domain.money import ONE

#: Numerator, in ten-thousandths, and denominator.
Value = tuple[int, int]


class Aggregate(Protocol):
    """What is known of the observations in a window."""

    def add(self, worth: Any) -> None:
        """Count one more, the newest."""

    def remove(self, worth: Any) -> None:
        """Count the oldest no more."""

    def value(self) -> Value:
        """The function's value; there is at least one observation, but for SEQUENCE."""


class _Count:
    def __init__(self, number: int = 0) -> None:
        self.number = number

    def add(self, _: Any) -> None:
        self.number += 1

    def remove(self, _: Any) -> None:
        self.number -= 1

    def value(self) -> Value:
        return self.number * ONE, 1


class _Sum:
    def __init__(self) -> None:
        self.sum = 0

    def add(self, worth: int) -> None:
        self.sum += worth

    def remove(self, worth: int) -> None:
        self.sum -= worth

    def value(self) -> Value:
        return self.sum, 1


class _Average(_Sum):
    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def add(self, worth: int) -> None:
        self.sum += worth
        self.number += 1

    def remove(self, worth: int) -> None:
        self.sum -= worth
        self.number -= 1

    def value(self) -> Value:
        return self.sum, self.number


class _Ratio(_Average):
    def value(self) -> Value:
        return self.sum * ONE, self.number


class _Most:
    """The largest: only those are kept that no later one reaches."""

    sign = 1

    def __init__(self) -> None:
        #: Falling values, from index `first` on. A list: an empty `deque` takes 760 bytes.
        self.falling: list[int] = []
        self.first = 0

    def add(self, worth: int) -> None:
        falling = self.falling
        worth *= self.sign
        while len(falling) > self.first and falling[-1] < worth:
            falling.pop()
        falling.append(worth)

    def remove(self, worth: int) -> None:
        if self.falling[self.first] == worth * self.sign:
            self.first += 1
            if self.first * 2 > len(self.falling):  # each is moved once, on average
                del self.falling[: self.first]
                self.first = 0

    def value(self) -> Value:
        return self.falling[self.first] * self.sign, 1


class _Least(_Most):
    sign = -1


class _Distinct:
    def __init__(self) -> None:
        self.known: dict[Any, int] = {}  # not a `Counter`, whose `del` is slower

    def add(self, worth: Any) -> None:
        self.known[worth] = self.known.get(worth, 0) + 1

    def remove(self, worth: Any) -> None:
        left = self.known[worth] - 1
        if left:
            self.known[worth] = left
        else:
            del self.known[worth]

    def value(self) -> Value:
        return len(self.known) * ONE, 1


class _Firsts(_Count):
    def add(self, worth: int) -> None:
        self.number += worth & IS_FIRST

    def remove(self, worth: int) -> None:
        self.number -= worth & IS_FIRST


_AGGREGATES: Final[Mapping[Function, Callable[[], Aggregate]]] = {
    Function.COUNT: _Count,
    Function.SUM: _Sum,
    Function.AVG: _Average,
    Function.MIN: _Least,
    Function.MAX: _Most,
    Function.COUNT_DISTINCT: _Distinct,
    Function.RATIO: _Ratio,
    Function.SEQUENCE: _Firsts,
}


def aggregate(function: Function) -> Aggregate:
    """An aggregate of no observations."""
    return _AGGREGATES[function]()


def counted(number: int) -> Aggregate:
    """The aggregate of COUNT for a number of observations."""
    return _Count(number)


def rounded(value: Value) -> int:
    """A value in ten-thousandths, rounded half up (away from zero)."""
    number, parts = value
    whole = (2 * abs(number) + parts) // (2 * parts)
    return -whole if number < 0 else whole
