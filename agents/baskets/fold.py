"""Makes a basket of its events (fold). Pure.

The events count in the order of their own times, so the basket does not depend on the order in
which they came, nor on how often each one came.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from agents.baskets.basket import DEFAULT_PLACES, Basket, Item, Payment, Status
from agents.baskets.till_events import (
    AnyEvent,
    BasketEvent,
    DiscountApplied,
    Finalized,
    Identified,
    ItemAdded,
    ItemRemoved,
    NotIdentified,
    PaymentCompleted,
    PaymentRefunded,
    PriceOverridden,
    QuantityChanged,
    Started,
    TillEvent,
    Voided,
)

#: Where an event stands among those of its basket: by time, then by id.
place_of: Final[Callable[[BasketEvent], tuple[int, str]]] = attrgetter("occurred_at_ms", "event_id")


def fold(events: Iterable[AnyEvent], *, places: int = DEFAULT_PLACES) -> Basket:
    """The basket of some events, given in any order and with repeats.

    Args:
        events: of one basket.
        places: to which the price of a weighed item is rounded.
    """
    known = different(events)
    basket = Basket(places=places)
    for event in in_order(known):
        take(basket, event)
    basket.revision = len(known)
    return basket


def different(events: Iterable[AnyEvent]) -> Sequence[AnyEvent]:
    """The events, each once."""
    by_id: dict[str, list[AnyEvent]] = {}
    for event in events:
        known = by_id.setdefault(event.event_id, [])
        if not any(is_repeat(event, it) for it in known):
            known.append(event)
    return [event for known in by_id.values() for event in known]


def is_repeat(event: AnyEvent, known: AnyEvent) -> bool:
    """Whether an event says what is known. A repeat may have been written at another time."""
    return event.event_id == known.event_id and _content(event) == _content(known)


def in_order(events: Iterable[AnyEvent]) -> Sequence[AnyEvent]:
    """The events that count, in their order: by time, then by id.

    A till may use an id for two events. One of them counts, whichever came first.
    """
    counting: dict[str, AnyEvent] = {}
    for event in events:
        other = counting.get(event.event_id)
        counting[event.event_id] = event if other is None else min(other, event, key=_content)
    return sorted(counting.values(), key=place_of)


def ids_at(events: Iterable[AnyEvent]) -> Mapping[str, dict[str, str]]:
    """The ids of a basket (`Basket.ids`) at each of its events, by the id of the event."""
    basket, found = Basket(), {}
    for event in in_order(events):
        if not isinstance(event, TillEvent):
            _APPLY[type(event)](basket, event)
        elif not basket.is_started:
            _take_till(basket, event)
        found[event.event_id] = basket.ids
    return found


def _content(event: AnyEvent) -> bytes:
    return msgspec.msgpack.encode(replace(event, written_at_ms=0))


def take(basket: Basket, event: AnyEvent) -> None:
    """Count one more event: the next one in the order of their places."""
    if not basket.revision:
        basket.started_at_ms = event.occurred_at_ms
    basket.revision += 1
    basket.last = place_of(event)
    if not basket.is_started and isinstance(event, TillEvent):
        _take_till(basket, event)
    _APPLY[type(event)](basket, event)
    status = _status(basket)
    if status is not basket.status:
        basket.completed_at_ms = event.occurred_at_ms if status is Status.PAID else None
    basket.status = status


def _take_till(basket: Basket, event: TillEvent) -> None:
    """Take the employee and the terminal from a till event, as long as no start has said them."""
    basket.employee_id = basket.employee_id or event.employee_id
    basket.terminal_id = basket.terminal_id or event.terminal_id


def _status(basket: Basket) -> Status:
    if basket.is_voided:
        return Status.VOIDED
    if (basket.is_finalized or basket.payments) and basket.paid >= basket.total:
        return Status.PAID
    return Status.FINALIZED if basket.is_finalized else Status.OPEN


def _started(basket: Basket, event: Started) -> None:
    if not basket.is_started:
        basket.is_started = True
        basket.started_at_ms = event.occurred_at_ms
        basket.employee_id, basket.terminal_id = event.employee_id, event.terminal_id
    if basket.customer_identifier is None:
        basket.customer_identifier = event.customer_identifier


def _identified(basket: Basket, event: Identified) -> None:
    basket.customer_id, basket.tier = event.customer_id, event.tier
    basket.customer_identifier = event.customer_identifier


def _not_identified(basket: Basket, event: NotIdentified) -> None:
    if basket.customer_id is None:  # an earlier customer stays (decision 0007)
        basket.customer_identifier = event.customer_identifier


def _item_added(basket: Basket, event: ItemAdded) -> None:
    known = basket.items.get(event.item_id)
    basket.put(
        Item(
            event.item_id,
            event.product_id,
            event.unit_price,
            event.quantity + (known.quantity if known else 0),
            event.product_name,
            event.category,
            known.discount if known else 0,
        )
    )


def _item_removed(basket: Basket, event: ItemRemoved) -> None:
    if event.item_id is None:
        those = [it for it in basket.items.values() if it.product_id == event.product_id]
    else:
        those = [it for it in (basket.items.get(event.item_id),) if it is not None]
    left = event.quantity
    for item in reversed(those):  # the newest first
        if left is None or left >= item.quantity:
            basket.take_out(item.item_id)
            left = None if left is None else left - item.quantity
        else:
            basket.put(replace(item, quantity=item.quantity - left))
            left = 0


def _quantity_changed(basket: Basket, event: QuantityChanged) -> None:
    item = basket.items.get(event.item_id)
    if item is not None and event.quantity:
        basket.put(replace(item, quantity=event.quantity))
    elif item is not None:
        basket.take_out(event.item_id)


def _price_overridden(basket: Basket, event: PriceOverridden) -> None:
    if (item := basket.items.get(event.item_id)) is not None:
        basket.put(replace(item, unit_price=event.unit_price))


def _discount_applied(basket: Basket, event: DiscountApplied) -> None:
    if event.item_id is None:
        basket.off_basket += event.amount
    elif (item := basket.items.get(event.item_id)) is not None:
        basket.put(replace(item, discount=item.discount + event.amount))


def _finalized(basket: Basket, _: Finalized) -> None:
    basket.is_finalized = True


def _voided(basket: Basket, _: Voided) -> None:
    basket.is_voided = True


def _payment_completed(basket: Basket, event: PaymentCompleted) -> None:
    basket.pay(
        Payment(event.payment_id, event.amount, event.occurred_at_ms, event.currency, event.method)
    )


def _payment_refunded(basket: Basket, event: PaymentRefunded) -> None:
    basket.refunds[event.refund_id] = Payment(
        event.refund_id,
        event.amount,
        event.occurred_at_ms,
        method=event.method,
        payment_id=event.payment_id,
    )


_APPLY: Final[Mapping[type[BasketEvent], Callable[[Basket, Any], None]]] = {
    Started: _started,
    Identified: _identified,
    NotIdentified: _not_identified,
    ItemAdded: _item_added,
    ItemRemoved: _item_removed,
    QuantityChanged: _quantity_changed,
    PriceOverridden: _price_overridden,
    DiscountApplied: _discount_applied,
    Finalized: _finalized,
    Voided: _voided,
    PaymentCompleted: _payment_completed,
    PaymentRefunded: _payment_refunded,
}
