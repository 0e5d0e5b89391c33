"""What happens to one basket, as typed records. Pure.

Amounts and quantities are whole numbers of ten-thousandths (`posstream.domain.money`), times are
milliseconds since 1970. A record is also what the table keeps: its fields are packed by position,
so new ones are added at the end, with a default.
"""

from msgspec import Struct


class BasketEvent(Struct, frozen=True, array_like=True, gc=False):
    """What every record has. They count in the order of time and id (`fold.in_order`)."""

    #: As the till says, else when the message was written.
    occurred_at_ms: int
    event_id: str
    #: When its message came to the broker.
    written_at_ms: int


class Started(BasketEvent, frozen=True, tag="started"):
    """The basket was started."""

    employee_id: str
    terminal_id: str
    customer_identifier: str | None = None


class Identified(BasketEvent, frozen=True, tag="identified"):
    """The customer was found; the time is that of the scan."""

    customer_identifier: str
    customer_id: str
    tier: str | None = None


class NotIdentified(BasketEvent, frozen=True, tag="not_identified"):
    """No customer was found for a scan."""

    customer_identifier: str
    reason: str


class TillEvent(BasketEvent, frozen=True):
    """What came on `pos-events`."""

    employee_id: str | None
    terminal_id: str | None


class ItemAdded(TillEvent, frozen=True, tag="item_added"):
    """An item was scanned. The same `item_id` again adds to its quantity."""

    item_id: str
    product_id: str
    unit_price: int
    quantity: int
    product_name: str | None = None
    category: str | None = None


class ItemRemoved(TillEvent, frozen=True, tag="item_removed"):
    """An item, or some of it, was taken out."""

    item_id: str | None
    product_id: str | None
    #: None: all of it.
    quantity: int | None = None


class QuantityChanged(TillEvent, frozen=True, tag="quantity_changed"):
    """An item has another quantity now; 0 takes it out."""

    item_id: str
    quantity: int


class PriceOverridden(TillEvent, frozen=True, tag="price_overridden"):
    """An item has another price now."""

    item_id: str
    unit_price: int


class DiscountApplied(TillEvent, frozen=True, tag="discount_applied"):
    """An item, or the whole basket, costs less."""

    amount: int
    #: None: the basket.
    item_id: str | None = None
    code: str | None = None


class Finalized(TillEvent, frozen=True, tag="finalized"):
    """Nothing more is scanned."""

    reason: str | None = None


class Voided(TillEvent, frozen=True, tag="voided"):
    """The basket was given up."""

    reason: str | None = None


class PaymentCompleted(TillEvent, frozen=True, tag="payment_completed"):
    """The basket, or a part of it, was paid."""

    payment_id: str
    amount: int
    currency: str | None = None
    method: str | None = None


class PaymentRefunded(TillEvent, frozen=True, tag="payment_refunded"):
    """Money was given back."""

    refund_id: str
    amount: int
    payment_id: str | None = None
    method: str | None = None


class DrawerOpened(TillEvent, frozen=True, tag="drawer_opened"):
    """A till's drawer was opened."""


class LoggedIn(TillEvent, frozen=True, tag="logged_in"):
    """An employee logged in at a till."""


class LoggedOut(TillEvent, frozen=True, tag="logged_out"):
    """An employee logged out."""


#: What belongs to no basket.
OfNoBasket = DrawerOpened | LoggedIn | LoggedOut
#: Any record of a basket.
AnyEvent = (
    Started
    | Identified
    | NotIdentified
    | ItemAdded
    | ItemRemoved
    | QuantityChanged
    | PriceOverridden
    | DiscountApplied
    | Finalized
    | Voided
    | PaymentCompleted
    | PaymentRefunded
)
