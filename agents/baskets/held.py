"""Keeps the baskets that were counted last in memory: most events belong to one of them."""

from collections import OrderedDict
from typing import Final

from agents.baskets.basket import Basket
from agents.baskets.fold import fold, is_repeat
from agents.baskets.known import MOST_BYTES, MOST_EVENTS, decode, encode_packed, pack, too_large
from agents.baskets.till_events import AnyEvent

#: More baskets than the tills of one worker have open.
_MOST: Final = 5_000
#: The most bytes that a stored value has besides its events, and some to spare.
_FRAME: Final = 32


class HeldBasket:
    """One basket: what the table has of it, and its events in the list that is being counted.

    Args:
        value: what the table has.
        places: decimal places to which the price of a weighed item is rounded.
    """

    __slots__ = (
        *("basket", "events", "is_changed", "was_paid"),
        *("_from_table", "_ids", "_packed", "_value"),
    )

    def __init__(self, value: bytes | None, *, places: int) -> None:
        known = decode(value)
        self._value = value
        #: Each event once, in the order in which they came.
        self.events = list(known.events)
        self.basket = fold(self.events, places=places) if self.events else Basket(places=places)
        self.was_paid = known.was_paid
        #: How many events were read from the table: another worker may have counted them.
        self._from_table = len(self.events)
        #: Whether it differs from what the table has.
        self.is_changed = known.places != places
        self._ids = {it.event_id for it in self.events}
        #: The events as they are stored. Each is packed once, not at each change of the basket.
        self._packed = bytearray()
        for event in self.events:
            pack(event, self._packed)

    def is_of(self, value: bytes | None, *, places: int) -> bool:
        """Whether the table still has this, rounded so: another worker may have counted since."""
        return self._value == value and self.basket.places == places

    def has_id(self, event_id: str) -> bool:
        """Whether an event with this id is known."""
        return event_id in self._ids

    def index_of(self, event: AnyEvent) -> int | None:
        """Where an event is among those that are known; None if it is new."""
        return next((at for at, it in enumerate(self.events) if is_repeat(event, it)), None)

    def was_told(self, index: int) -> bool:
        """Whether this worker counted an event, so that a repetition need not be told.

        True only in one generation of the consumer: there the event is committed once the broker
        has what was told of it. If the broker does not take it, the worker ends. The event then
        comes again, to a worker that reads the basket from the table.
        """
        return index >= self._from_table

    def add(self, event: AnyEvent) -> None:
        """Add an event, which `basket` does not count yet.

        Two different events with one id are both kept, so each is told with its own revision.

        Raises:
            UnreadableEvent: if the basket has no room for it. Nothing is changed then.
        """
        if len(self.events) >= MOST_EVENTS:
            raise too_large(MOST_EVENTS, "events")
        size = len(self._packed)
        pack(event, self._packed)
        if len(self._packed) > MOST_BYTES - _FRAME:
            del self._packed[size:]
            raise too_large(MOST_BYTES, "bytes")
        self.events.append(event)
        self._ids.add(event.event_id)
        self.is_changed = True

    def forget_last(self) -> None:
        """Remove the last event, and count the others again."""
        del self.events[-1]
        self._ids = {it.event_id for it in self.events}
        self._packed = bytearray()
        for event in self.events:
            pack(event, self._packed)
        self.basket = fold(self.events, places=self.basket.places)

    def value(self, now_ms: int) -> bytes:
        """The value to store in the table."""
        return encode_packed(
            was_paid=self.was_paid,
            count=len(self.events),
            events=self._packed,
            places=self.basket.places,
            counted_at_ms=now_ms,
        )

    def note_kept(self, value: bytes) -> None:
        """Note that the table has this value now."""
        self._value = value
        self.is_changed = False


class HeldBaskets:
    """The baskets in memory; the least recently counted one goes first.

    For one generation of the consumer; see `HeldBasket.was_told`.
    """

    def __init__(self) -> None:
        #: Not a dict: to find its first key, a dict scans past all that were removed before it.
        self._held: OrderedDict[str, HeldBasket] = OrderedDict()

    def take_out(self, basket_id: str, value: bytes | None, *, places: int) -> HeldBasket:
        """A basket to count events in; it is in memory again after `put_back`.

        Args:
            basket_id: whose basket.
            value: what the table has.
            places: decimal places to which the price of a weighed item is rounded.
        """
        held = self._held.pop(basket_id, None)
        if held is not None and held.is_of(value, places=places):
            return held
        return HeldBasket(value, places=places)

    def put_back(self, basket_id: str, held: HeldBasket) -> None:
        """Keep a basket in memory, once the table has it as it is."""
        self._held[basket_id] = held
        if len(self._held) > _MOST:
            self._held.popitem(last=False)
