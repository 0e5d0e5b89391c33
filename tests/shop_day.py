"""A day in a shop, made up from a seed in parts, so that a million events need little memory.

Purchases with late and repeated messages (see `till_day`), and among them three frauds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from posstream.domain.times import iso_utc_ms
from tests.till_day import Message, TillDay

_DAY_MS: Final = 8 * 3_600_000
#: What a purchase has of messages, repeated ones not counted.
_MESSAGES: Final = 17
#: Purchases of a till in a day, and those that are made up at once.
_OF_TILL: Final = 150
_AT_ONCE: Final = 200
#: Time between two messages of a purchase: most alerts are then of something rare.
_PACE_MS: Final = (3_000, 15_000)
#: Between two parts with frauds.
_FRAUD_EVERY: Final = 10


@dataclass(frozen=True)
class ShopDay:
    """The messages of a day.

    Args:
        seed: two days of one seed are the same.
        events: about how many there are.
        starts_at_ms: when the first purchase begins; the last one does 8 hours later.
    """

    seed: int
    events: int
    starts_at_ms: int

    def parts(self) -> Iterator[list[Message]]:
        """The messages of some baskets at a time, each message with all others of its basket."""
        baskets = max(1, self.events // _MESSAGES)
        parts = max(1, baskets // _AT_ONCE)
        lasts_ms = _DAY_MS // parts
        for number in range(parts):
            starts_at_ms = self.starts_at_ms + number * lasts_ms
            day = TillDay(
                self.seed + number,
                baskets // parts,
                starts_at_ms,
                lasts_ms,
                tills=max(4, baskets // _OF_TILL),
                customers=max(20, baskets // 10),
                roaming=False,
                pace_ms=_PACE_MS,
                name=f"part-{number}",
            )
            messages = day.messages()
            if number % _FRAUD_EVERY == 0:
                messages += _frauds(number, starts_at_ms)
            yield messages

    def sent(self) -> Iterator[Message]:
        """All messages in the order in which they leave the tills."""
        waiting: list[Message] = []
        for messages in self.parts():
            # All later parts begin after the first message of this one.
            begins_ms = min(it.leaves_at_ms for it in messages)
            waiting = sorted([*waiting, *messages], key=lambda it: it.leaves_at_ms)
            gone = sum(it.leaves_at_ms < begins_ms for it in waiting)
            yield from waiting[:gone]
            del waiting[:gone]
        yield from waiting


def _frauds(number: int, starts_at_ms: int) -> list[Message]:
    """The drawer of another till that opens often, prices cut, and a card that is tried."""
    messages: list[Message] = []

    def says(second: int, event_type: str, basket: str, **fields: str) -> None:
        at_ms = starts_at_ms + second * 1000
        basket_id = f"planted-{number}-{basket}"
        value = {
            "event_type": event_type,
            "event_id": f"planted-{number}-{len(messages)}",
            "occurred_at": iso_utc_ms(at_ms),
            "terminal_id": "till-x",
            "employee_id": f"thief-{number}",
            "basket_id": basket_id,
            **fields,
        }
        messages.append(Message(at_ms, "pos-events", basket_id, value))

    for turn in range(8):
        says(turn * 60, "DRAWER_OPENED", f"drawer-{turn}", terminal_id="till-y")
        item = {"item_id": f"item-{turn}", "product_id": "tv", "unit_price": "900.00"}
        says(turn * 60 + 5, "ITEM_ADDED", f"cut-{turn}", quantity="1", **item)
        cut = {"item_id": f"item-{turn}", "unit_price": "9.00"}
        says(turn * 60 + 10, "PRICE_OVERRIDDEN", f"cut-{turn}", **cut)
        amount = "1.00" if turn < 7 else "1500.00"
        says(turn * 60 + 20, "PAYMENT_COMPLETED", f"cut-{turn}", amount=amount)
    return messages
