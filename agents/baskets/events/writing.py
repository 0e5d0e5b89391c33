"""Writes the plugin's events as records. No I/O."""

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from agents.baskets import till_events
from agents.baskets.basket import Basket, Item, Payment
from agents.baskets.events.outputs import (
    BasketCompleted,
    BasketContext,
    BoughtItem,
    MadePayment,
    ToldTillEvent,
)
from agents.baskets.events.reading import AnyTold
from agents.baskets.topics import BASKET_COMPLETED, TILL_EVENTS
from posstream.domain.money import amount_text, quantity_text
from posstream.domain.times import iso_utc_ms
from posstream.events.envelope import event_record
from posstream.events.ids import derived
from posstream.kafka.record import Record
from posstream.tracing.context import with_context

SOURCE: Final = b"/posstream/baskets"
#: Fields that are told under a name of their own, or not at all.
_APART: Final = frozenset({"occurred_at_ms", "event_id", "written_at_ms"})
#: By field, how amounts and quantities are written as text.
_TEXTS: Final[Mapping[str, Callable[[int], str]]] = {
    "unit_price": amount_text,
    "amount": amount_text,
    "quantity": quantity_text,
}
#: How the contract names the types.
NAMES: Final[dict[type[Any], str]] = {
    till_events.Started: "BASKET_STARTED",
    till_events.Identified: "CUSTOMER_DATA_FETCHED",
    till_events.NotIdentified: "CUSTOMER_LOOKUP_FAILED",
    till_events.ItemAdded: "ITEM_ADDED",
    till_events.ItemRemoved: "ITEM_REMOVED",
    till_events.QuantityChanged: "ITEM_QUANTITY_CHANGED",
    till_events.PriceOverridden: "PRICE_OVERRIDDEN",
    till_events.DiscountApplied: "DISCOUNT_APPLIED",
    till_events.Finalized: "BASKET_FINALIZED",
    till_events.Voided: "BASKET_VOIDED",
    till_events.PaymentCompleted: "PAYMENT_COMPLETED",
    till_events.PaymentRefunded: "PAYMENT_REFUNDED",
    till_events.DrawerOpened: "DRAWER_OPENED",
    till_events.LoggedIn: "EMPLOYEE_LOGGED_IN",
    till_events.LoggedOut: "EMPLOYEE_LOGGED_OUT",
}


def completed(basket_id: str, basket: Basket, now_ms: int, trace: str | None = None) -> Record:
    """A basket that was paid, whole: `basket-completed`."""
    paid_at, sums = basket.completed_at_ms, basket.sums
    event = BasketCompleted(
        event_id=derived(f"{basket_id}/{BASKET_COMPLETED}/{basket.revision}"),
        occurred_at=iso_utc_ms(now_ms),
        basket_id=basket_id,
        revision=basket.revision,
        status=basket.status,
        customer_id=basket.customer_id,
        customer_identifier=basket.customer_identifier,
        tier=basket.tier,
        employee_id=basket.employee_id,
        terminal_id=basket.terminal_id,
        started_at=iso_utc_ms(basket.started_at_ms),
        completed_at=None if paid_at is None else iso_utc_ms(paid_at),
        items=[bought(basket, item) for item in basket.items.values()],
        subtotal=amount_text(sums.subtotal),
        discount=amount_text(sums.discount),
        total=amount_text(sums.total),
        paid=amount_text(basket.paid),
        refunded=amount_text(basket.refunded),
        currency=basket.currency,
        payments=[made(payment) for payment in basket.payments.values()],
    )
    return event_record(BASKET_COMPLETED, basket_id, event, now_ms, trace, source=SOURCE)


def bought(basket: Basket, item: Item) -> BoughtItem:
    """One line of a basket."""
    full = basket.full_cost_of(item)
    off = min(item.discount, max(0, full))
    return BoughtItem(
        item_id=item.item_id,
        product_id=item.product_id,
        product_name=item.product_name,
        category=item.category,
        unit_price=amount_text(item.unit_price),
        quantity=quantity_text(item.quantity),
        discount=amount_text(off),
        total=amount_text(full - off),
    )


def made(payment: Payment) -> MadePayment:
    """One payment."""
    return MadePayment(
        payment_id=payment.id,
        amount=amount_text(payment.amount),
        currency=payment.currency,
        method=payment.method,
        paid_at=iso_utc_ms(payment.paid_at_ms),
    )


class Context(NamedTuple):
    """A basket at one of its events."""

    basket_id: str
    #: After that event, and before the next one.
    basket: Basket
    #: That of the whole basket.
    revision: int
    #: The basket's ids that have changed since the event was told before, with their former values.
    moved_from: dict[str, str] | None = None


def told(event: AnyTold, context: Context | None = None, trace: str | None = None) -> Record:
    """A till event once more, with what is known of its basket at that event.

    It has no CloudEvents headers: the topic is internal, and they would be a third of the bytes.

    Args:
        event: what happened.
        context: None for an event of no basket.
        trace: the W3C trace context of the message that is told of.
    """
    basket_id = None if context is None else context.basket_id
    again = ToldTillEvent(
        event_id=event.event_id,
        event_type=NAMES[type(event)],
        occurred_at=iso_utc_ms(event.occurred_at_ms),
        written_at=iso_utc_ms(event.written_at_ms),
        basket_id=basket_id,
        revision=0 if context is None else context.revision,
        fields=fields_of(event),
        basket=None if context is None else _of(context.basket),
        moved_from=UNSET if context is None else context.moved_from or UNSET,
    )
    key = basket_id or again.fields.get("terminal_id") or event.event_id
    headers = () if trace is None else with_context((), trace)
    return Record(TILL_EVENTS, key.encode(), _encode(again), headers)


def fields_of(event: AnyTold) -> dict[str, str]:
    """What an event says, by the names of the contract; amounts and quantities as decimals."""
    names, values_of, are_text = _FIELDS[type(event)]
    told = {}
    for name, value in zip(names, values_of(event), strict=True):
        if value is not None:
            told[name] = value if name in are_text else _TEXTS[name](value)
    return told


def _of(basket: Basket) -> BasketContext:
    return BasketContext(
        status=basket.status,
        started_at=iso_utc_ms(basket.started_at_ms),
        items=len(basket.items),
        total=amount_text(basket.total),
        paid=amount_text(basket.paid),
        customer_id=basket.customer_id,
        customer_identifier=basket.customer_identifier,
        tier=basket.tier,
        employee_id=basket.employee_id,
        terminal_id=basket.terminal_id,
    )


class _Fields(NamedTuple):
    """The fields that are told of the events of one type."""

    names: Sequence[str]
    values_of: Callable[[Any], Sequence[Any]]
    #: The names of the fields that are neither amounts nor quantities.
    are_text: Collection[str]


def _fields(kind: type[Any]) -> _Fields:
    names = [name for name in kind.__struct_fields__ if name not in _APART]
    return _Fields(names, attrgetter(*names), frozenset(names) - _TEXTS.keys())


_encode: Final = msgspec.json.Encoder().encode
_FIELDS: Final = {kind: _fields(kind) for kind in NAMES}
