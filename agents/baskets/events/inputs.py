"""The models of the events on `pos-events`, one for each type. No I/O.

The order of a model's fields is that in which they are judged.
"""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from posstream.domain.money import read_amount
from posstream.events.fields import (
    MAX_ID_LENGTH,
    GuardedIdOrNumber,
    Id,
    KnownId,
    Moment,
    NotRead,
)
from posstream.json.reading import MAX_WHOLE


def _is_amount(value: object) -> bool:
    return read_amount(value) is not None


def _is_positive(value: object) -> bool:
    amount = read_amount(value)
    return amount is not None and amount > 0


def _is_not_negative(value: object) -> bool:
    amount = read_amount(value)
    return amount is not None and amount >= 0


_DIGITS: Final = "with at most 12 digits before and 4 after the point"
_JSON_AMOUNT: Final = {"anyOf": [{"type": "string"}, {"type": "number"}]}
#: A price may be negative: a bottle that is given back.
Price = Annotated[
    Any,
    Meta(
        description=f"A decimal as text or number, {_DIGITS}.",
        examples=["12.50"],
        extra_json_schema=_JSON_AMOUNT,
        extra={"must_be": f"a decimal {_DIGITS}", "check": _is_amount},
    ),
]
#: What is paid, given back or taken off.
Sum = Annotated[
    Any,
    Meta(
        description=f"A decimal of at least 0 as text or number, {_DIGITS}.",
        examples=["12.50"],
        extra_json_schema=_JSON_AMOUNT,
        extra={"must_be": f"a decimal of at least 0 {_DIGITS}", "check": _is_not_negative},
    ),
]
Quantity = Annotated[
    Any,
    Meta(
        description="A decimal of more than 0 as text or number; a weight has places.",
        examples=[1, "0.532"],
        extra_json_schema=_JSON_AMOUNT,
        extra={"must_be": f"a decimal of more than 0 {_DIGITS}", "check": _is_positive},
    ),
]
NewQuantity = Annotated[
    Any,
    Meta(
        description="A decimal of at least 0 as text or number; 0 takes the item out.",
        examples=[2],
        extra_json_schema=_JSON_AMOUNT,
        extra={"must_be": f"a decimal of at least 0 {_DIGITS}", "check": _is_not_negative},
    ),
]
#: An id in which a payment-card number is masked, not refused: a product's number may look so.
MaskedId = Annotated[
    Id | Annotated[int, Meta(ge=-MAX_WHOLE, le=MAX_WHOLE)],
    Meta(description="A payment-card number in it is masked."),
]
#: Text that changes nothing; anything else counts as absent.
Detail = Annotated[
    Any, Meta(description=f"Text, of which {MAX_ID_LENGTH} characters are kept.", examples=["…"])
]


class _TillEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every event may have; `timestamp` is read too."""

    event_type: str
    event_id: Id | None = None
    occurred_at: Moment = None
    terminal_id: GuardedIdOrNumber | None = None
    employee_id: GuardedIdOrNumber | None = None


class _OfBasket(_TillEvent, frozen=True, kw_only=True, omit_defaults=True):
    basket_id: GuardedIdOrNumber


class ItemAdded(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """An item was scanned."""

    product_id: MaskedId
    unit_price: Price
    quantity: Quantity = 1
    item_id: MaskedId | None = None
    product_name: Detail = None
    category: Detail = None


class ItemRemoved(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """An item, or some of it, was taken out of the basket."""

    item_id: MaskedId | None = None
    product_id: MaskedId | None = None
    quantity: Quantity | None = None


class ItemQuantityChanged(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """An item has another quantity now."""

    item_id: MaskedId
    quantity: NewQuantity


class PriceOverridden(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """An item has another price now."""

    item_id: MaskedId
    unit_price: Price


class DiscountApplied(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """An item, or without item_id the basket, costs less."""

    amount: Sum
    item_id: MaskedId | None = None
    code: Detail = None


class BasketFinalized(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing more is scanned."""

    reason: Detail = None


class BasketVoided(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """The basket was given up."""

    reason: Detail = None


class PaymentCompleted(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """The basket, or a part of it, was paid."""

    amount: Sum
    payment_id: MaskedId | None = None
    currency: Detail = None
    method: Detail = None


class PaymentRefunded(_OfBasket, frozen=True, kw_only=True, omit_defaults=True):
    """Money was given back."""

    amount: Sum
    refund_id: MaskedId | None = None
    payment_id: MaskedId | None = None
    method: Detail = None


class DrawerOpened(_TillEvent, frozen=True, kw_only=True, omit_defaults=True):
    """A till's drawer was opened."""

    terminal_id: GuardedIdOrNumber
    employee_id: GuardedIdOrNumber


class EmployeeLoggedIn(_TillEvent, frozen=True, kw_only=True, omit_defaults=True):
    """An employee logged in at a till."""

    employee_id: GuardedIdOrNumber
    terminal_id: GuardedIdOrNumber


class EmployeeLoggedOut(_TillEvent, frozen=True, kw_only=True, omit_defaults=True):
    """An employee logged out."""

    employee_id: GuardedIdOrNumber
    terminal_id: GuardedIdOrNumber


class BasketStarted(Struct, frozen=True, kw_only=True):
    """What is read of `basket-started`, which another plugin owns."""

    basket_id: GuardedIdOrNumber
    employee_id: GuardedIdOrNumber
    terminal_id: GuardedIdOrNumber
    event_id: NotRead = None
    occurred_at: Moment = None
    customer_identifier: Detail = None


class FoundCustomer(Struct, frozen=True, kw_only=True):
    """What is read of the customer in an answer."""

    customer_id: KnownId
    tier: str | None = None


class LookupAnswer(Struct, frozen=True, kw_only=True):
    """What is read of an answer to a lookup, which another plugin owns."""

    event_id: KnownId
    basket_id: KnownId
    customer_identifier: KnownId
    identified_at: Moment = None
    customer: FoundCustomer | None = None
    reason: str | None = None
