"""Keeps the baskets that were counted last in memory: most events belong to one of them."""

from typing import Final, NamedTuple

from agents.baskets.basket import Basket
from agents.baskets.fold import fold
from agents.baskets.known import Known, decode

#: More baskets than the tills of one worker have open.
_MOST: Final = 5_000


class Held(NamedTuple):
    """One basket."""

    #: What the table has: a basket in memory counts only while it has the same.
    value: bytes | None
    known: Known
    basket: Basket


class HeldBaskets:
    """The baskets in memory; the least recently counted one goes first."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def take_out(self, basket_id: str, value: bytes | None, *, places: int) -> Held:
        """A basket to count an event in; it is in memory again after `put_back`.

        Args:
            basket_id: whose basket.
            value: what the table has.
            places: to which the price of a weighed item is rounded.
        """
        held = self._held.pop(basket_id, None)
        if held is not None and held.value == value and held.basket.places == places:
            return held
        known = decode(value)
        return Held(value, known, fold(known.events, places=places))

    def put_back(self, basket_id: str, held: Held) -> None:
        """Keep a basket."""
        self._held[basket_id] = held
        if len(self._held) > _MOST:
            del self._held[next(iter(self._held))]
