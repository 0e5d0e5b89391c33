"""A basket: its items, its payments, and what they sum up to. Pure.

Amounts and quantities are ten-thousandths (`posstream.domain.money`), times are milliseconds since
1970.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from posstream.domain.money import times

#: Places to which a weighed item's price is rounded, unless the configuration says otherwise.
DEFAULT_PLACES: Final = 2


class Status(StrEnum):
    """What became of a basket so far."""

    OPEN = "OPEN"
    FINALIZED = "FINALIZED"
    PAID = "PAID"
    VOIDED = "VOIDED"


class Item(Struct, frozen=True):
    """One line of a basket; `Basket.put` and `Basket.take_out` keep the sums."""

    item_id: str
    product_id: str
    unit_price: int
    quantity: int
    product_name: str | None = None
    category: str | None = None
    #: As the till gave it; never more than the line costs is taken off.
    discount: int = 0


class Payment(Struct, frozen=True):
    """A payment or a refund."""

    id: str
    amount: int
    paid_at_ms: int
    currency: str | None = None
    method: str | None = None
    #: Of a refund: the payment that is given back.
    payment_id: str | None = None


class Sums(NamedTuple):
    """What a basket costs."""

    #: Without any discount.
    subtotal: int
    #: What is taken off: never more than there is to pay.
    discount: int

    @property
    def total(self) -> int:
        """What is to be paid; negative if more is returned than bought."""
        return self.subtotal - self.discount


@dataclass(slots=True)
class Basket:
    """A basket after some of its events, or all of them.

    Args:
        places: to which the price of a weighed item is rounded.
    """

    places: int = DEFAULT_PLACES
    #: How many different events are known. It grows with each one, and the same events give the
    #: same number in whatever order they came: of two copies, the higher one knows more.
    revision: int = 0
    #: The place of the last event that was counted (`fold.place_of`).
    last: tuple[int, str] = (-1, "")
    status: Status = Status.OPEN
    started_at_ms: int = 0
    #: When it became paid; None if it is not, or no more.
    completed_at_ms: int | None = None
    employee_id: str | None = None
    terminal_id: str | None = None
    customer_id: str | None = None
    customer_identifier: str | None = None
    tier: str | None = None
    items: dict[str, Item] = field(default_factory=dict)
    #: By `payment_id`: a payment that is told twice counts once.
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Payment] = field(default_factory=dict)
    #: That of the first payment which names one.
    currency: str | None = None
    #: Sums that are kept, as they are asked for at each event: of the items without any discount,
    subtotal: int = 0
    #: of what is taken off single items,
    off_items: int = 0
    #: of what is taken off the basket, as the till gave it,
    off_basket: int = 0
    #: and of the payments, by their currency.
    paid_in: Counter[str | None] = field(default_factory=Counter)
    is_started: bool = False
    is_finalized: bool = False
    is_voided: bool = False

    @property
    def ids(self) -> dict[str, str]:
        """The ids that are known: of the customer, the employee and the terminal."""
        said = {}
        if self.customer_id is not None:
            said["customer_id"] = self.customer_id
        if self.employee_id is not None:
            said["employee_id"] = self.employee_id
        if self.terminal_id is not None:
            said["terminal_id"] = self.terminal_id
        return said

    @property
    def sums(self) -> Sums:
        """What the items cost, and what is taken off."""
        return Sums(self.subtotal, self.subtotal - self.total)

    @property
    def total(self) -> int:
        """What is to be paid, as in `sums`; quicker, because each event asks for it."""
        left = self.subtotal - self.off_items
        return left - min(self.off_basket, max(0, left)) if self.off_basket else left

    @property
    def paid(self) -> int:
        """The sum of the payments; one in another currency than the basket's does not count."""
        if not self.paid_in:  # mostly nothing is paid yet
            return 0
        unnamed = self.paid_in[None]
        return unnamed if self.currency is None else unnamed + self.paid_in[self.currency]

    @property
    def refunded(self) -> int:
        """The sum of the refunds."""
        return sum(it.amount for it in self.refunds.values())

    def put(self, item: Item) -> None:
        """Put an item in, or in the place of the one with its id."""
        known = self.items.get(item.item_id)
        if known is not None:
            self._count(known, -1)
        self.items[item.item_id] = item
        self._count(item, 1)

    def take_out(self, item_id: str) -> None:
        """Take an item out, if it is there."""
        known = self.items.pop(item_id, None)
        if known is not None:
            self._count(known, -1)

    def pay(self, payment: Payment) -> None:
        """Count a payment, or put it in the place of the one with its id."""
        known = self.payments.get(payment.id)
        if known is not None:
            self.paid_in[known.currency] -= known.amount
        self.payments[payment.id] = payment
        self.paid_in[payment.currency] += payment.amount
        if known is None:
            self.currency = self.currency or payment.currency
        elif known.currency != payment.currency:
            named = (it.currency for it in self.payments.values() if it.currency is not None)
            self.currency = next(named, None)

    def full_cost_of(self, item: Item) -> int:
        """What one line costs without any discount."""
        return times(item.unit_price, item.quantity, self.places)

    def _count(self, item: Item, sign: int) -> None:
        cost = self.full_cost_of(item)
        self.subtotal += sign * cost
        if item.discount:
            self.off_items += sign * min(item.discount, max(0, cost))
