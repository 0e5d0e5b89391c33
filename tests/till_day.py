"""A day at many tills, made up from a seed: purchases with late and repeated messages."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from posstream.domain.times import iso_utc_ms

#: The share of messages that come late or twice, and how late they may be.
LATE = 0.05
REPEATED = 0.05
MOST_LATE_MS = 3_600_000
_PRODUCTS = 500


@dataclass(frozen=True, slots=True)
class Message:
    """What a till writes."""

    #: When it leaves the till, in ms since 1970.
    leaves_at_ms: int
    topic: str
    key: str
    value: dict[str, Any]


@dataclass
class TillDay:
    """The messages of a day.

    Args:
        seed: two days of one seed are the same.
        baskets: how many purchases there are.
        starts_at_ms: when the first one begins.
        lasts_ms: within this time, all begin.
        tills: how many there are.
        identified: the share of the baskets whose customer is scanned.
        customers: how many there are; by default as many as baskets.
        roaming: whether a cashier can be at any till.
        pace_ms: the least and the most time between two messages of a basket.
        name: goes before every id, so that days do not mix.
    """

    seed: int
    baskets: int
    starts_at_ms: int
    lasts_ms: int = MOST_LATE_MS
    tills: int = 20
    identified: float = 0.5
    customers: int | None = None
    roaming: bool = True
    pace_ms: tuple[int, int] = (200, 6_000)
    name: str = "day"
    _chance: random.Random = field(init=False)

    def messages(self) -> list[Message]:
        """All messages in the order in which they leave the tills."""
        self._chance = random.Random(self.seed)
        sent = [message for number in range(self.baskets) for message in self._purchase(number)]
        return sorted(self._delivered(sent), key=lambda it: it.leaves_at_ms)

    def _delivered(self, sent: list[Message]) -> Iterator[Message]:
        for message in sent:
            late = self._chance.random() < LATE
            at = message.leaves_at_ms + late * self._chance.randrange(MOST_LATE_MS)
            yield Message(at, message.topic, message.key, message.value)
            if self._chance.random() < REPEATED:
                again = at + self._chance.randrange(60_000)
                yield Message(again, message.topic, message.key, message.value)

    def _purchase(self, number: int) -> Iterator[Message]:  # noqa: C901, PLR0915 - from start to end
        chance = self._chance
        basket_id = f"{self.name}-{number:06x}"
        at = chance.randrange(self.tills)
        who = chance.randrange(self.tills * 2) if self.roaming else at
        till, cashier = f"till-{at}", f"cashier-{who}"
        now = self.starts_at_ms + chance.randrange(self.lasts_ms)
        shared = {"basket_id": basket_id, "terminal_id": till, "employee_id": cashier}
        count = 0

        def says(event_type: str, topic: str = "pos-events", **fields: Any) -> Message:
            nonlocal now, count
            now += chance.randrange(*self.pace_ms)
            count += 1
            value = {
                "event_type": event_type,
                "event_id": f"{basket_id}-{count}",
                "occurred_at": iso_utc_ms(now),
                **shared,
                **fields,
            }
            return Message(now, topic, basket_id, value)

        yield says("BASKET_STARTED", "basket-started")
        if chance.random() < self.identified:
            scanned = f"+4930{chance.randrange(self.customers or self.baskets):06}"
            yield says("CUSTOMER_IDENTIFIED", "customer-identified", customer_identifier=scanned)
        bought: list[tuple[str, int, int]] = []  # item, cents, quantity
        for line in range(chance.randrange(1, 25)):
            item, cents = f"{basket_id}-item-{line}", chance.randrange(19, 5_000)
            quantity = chance.choice((1, 1, 1, 1, 2, 3))
            bought.append((item, cents, quantity))
            product = f"product-{chance.randrange(_PRODUCTS)}"
            yield says(
                "ITEM_ADDED",
                item_id=item,
                product_id=product,
                unit_price=_money(cents),
                quantity=quantity,
            )
        off = 0
        if chance.random() < 0.1:
            item, *_ = bought.pop(chance.randrange(len(bought)))
            yield says("ITEM_REMOVED", item_id=item)
        if bought and chance.random() < 0.1:
            item, cents, _ = bought.pop()
            bought.append((item, cents, 4))
            yield says("ITEM_QUANTITY_CHANGED", item_id=item, quantity="4")
        if bought and chance.random() < 0.05:
            item, cents, quantity = bought.pop()
            bought.append((item, cents // 2, quantity))
            yield says("PRICE_OVERRIDDEN", item_id=item, unit_price=_money(cents // 2))
        if bought and chance.random() < 0.1:
            off = 10
            yield says("DISCOUNT_APPLIED", amount=_money(off), code="COUPON")
        end = chance.random()
        if end < 0.02:
            yield says("BASKET_VOIDED", reason="customer left")
            return
        if end < 0.05:
            return  # nobody closes it
        if end < 0.8:
            yield says("BASKET_FINALIZED")
        total = sum(cents * quantity for _, cents, quantity in bought) - off
        first = chance.randrange(total + 1) if chance.random() < 0.2 else total
        yield says("PAYMENT_COMPLETED", amount=_money(first), currency="EUR", method="CARD")
        if first < total:
            rest = _money(total - first)
            yield says("PAYMENT_COMPLETED", amount=rest, currency="EUR", method="CASH")
        if chance.random() < 0.03:
            now += chance.randrange(MOST_LATE_MS)
            yield says("PAYMENT_REFUNDED", amount=_money(total // 2), method="CARD")


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
