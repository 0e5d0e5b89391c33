"""Makes the row of a basket from what the table of the baskets knows of it. Pure.

The row names one customer at most: the one that the basket has. Of its events, only those that
name the same customer keep the name, so a search for a customer finds every name in the table.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from agents.baskets.basket import Basket, Payment
from agents.baskets.events.writing import bought, made
from agents.baskets.fold import fold, place_of
from agents.baskets.known import Known
from agents.baskets.till_events import AnyEvent, Identified, NotIdentified, Started
from posstream.domain.identifier import Identifier, normalise
from posstream.domain.money import PLACES, amount_text
from posstream.domain.times import from_ms, iso_utc_ms
from posstream.forgetting.marks import Marks, Trace
from posstream.read_model.stored_time import stored

Row = Mapping[str, Any]


def stored_events(document: object) -> Sequence[AnyEvent]:
    """The events in a row."""
    return msgspec.convert(document, tuple[AnyEvent, ...])


def with_normal_start(known: Known) -> Known:
    """The same with the identifier at the basket's start as a lookup reads it: marks are of those.

    One that no lookup takes is left out.
    """
    return replace(known, events=tuple(map(_normal, known.events)))


def traces_of(events: Sequence[AnyEvent]) -> Iterator[Trace]:
    """One for each event that names a customer."""
    return (_trace(event, name) for event in events if (name := _name(event)))


@dataclass(frozen=True, slots=True)
class Names:
    """What a row has about the basket's customer; nothing once the customer was forgotten."""

    #: All of the basket, those of other customers and of forgotten ones without a name.
    events: Sequence[AnyEvent]
    customer_id: str | None = None
    customer_identifier: str | None = None
    tier: str | None = None
    identified_at: datetime | None = None

    @property
    def columns(self) -> dict[str, Any]:
        """By column."""
        return {
            "customer_id": self.customer_id,
            "customer_identifier": self.customer_identifier,
            "tier": self.tier,
            "identified_at": self.identified_at,
            "events": msgspec.to_builtins(self.events),
        }


def names_of(events: Sequence[AnyEvent], basket: Basket, marks: Marks) -> Names:
    """The customer of a basket, unless one of the marks covers what named the customer.

    A basket has no earlier customer again because the last one was forgotten. So it does not
    matter whether the marks or the events come first.

    Args:
        events: of the basket.
        basket: what they make.
        marks: of forgotten customers.
    """
    identifier = basket.customer_identifier
    of_customer = [
        event
        for event in sorted(events, key=place_of)
        if _name(event)
        and _name(event) == identifier
        and (basket.customer_id is None or isinstance(event, Identified))
    ]
    last = of_customer[-1] if of_customer else None
    if last is None or marks.cover(_trace(last, identifier or "")):
        return Names([_nameless(event) for event in events])
    kept = [
        event
        if _name(event) == identifier and not marks.cover(_trace(event, identifier or ""))
        else _nameless(event)
        for event in events
    ]
    found_at = from_ms(last.occurred_at_ms) if isinstance(last, Identified) else None
    return Names(kept, basket.customer_id, identifier, basket.tier, found_at)


def row_of(basket_id: str, known: Known, marks: Marks) -> Row:
    """The row of a basket, times as `stored` text.

    Args:
        basket_id: its id.
        known: of `with_normal_start`.
        marks: of customers who were forgotten.
    """
    basket = fold(known.events, places=known.places)
    names = names_of(known.events, basket, marks).columns
    sums = basket.sums
    amounts = {
        "subtotal": sums.subtotal,
        "discount": sums.discount,
        "total": sums.total,
        "paid": basket.paid,
        "refunded": basket.refunded,
    }
    return {
        "basket_id": basket_id,
        "revision": basket.revision,
        "status": basket.status.value,
        "employee_id": basket.employee_id,
        "terminal_id": basket.terminal_id,
        "started_at": stored(from_ms(basket.started_at_ms)),
        "completed_at": None
        if basket.completed_at_ms is None
        else stored(from_ms(basket.completed_at_ms)),
        **{name: Decimal(amount).scaleb(-PLACES) for name, amount in amounts.items()},
        "currency": basket.currency,
        "items": [msgspec.to_builtins(bought(basket, it)) for it in basket.items.values()],
        "payments": [msgspec.to_builtins(made(it)) for it in basket.payments.values()],
        "refunds": [_refund(it) for it in basket.refunds.values()],
        **names,
        "identified_at": names["identified_at"] and stored(names["identified_at"]),
    }


def _refund(refund: Payment) -> Row:
    return {
        "refund_id": refund.id,
        "payment_id": refund.payment_id,
        "amount": amount_text(refund.amount),
        "method": refund.method,
        "refunded_at": iso_utc_ms(refund.paid_at_ms),
    }


def _name(event: AnyEvent) -> str | None:
    if isinstance(event, Started | Identified | NotIdentified):
        return event.customer_identifier or None
    return None


def _trace(event: AnyEvent, name: str) -> Trace:
    # A scan from before a customer was forgotten may be answered after that, and the clock of a
    # till may be fast: the earlier time counts.
    at_ms = min(event.occurred_at_ms, event.written_at_ms)
    customer_id = event.customer_id if isinstance(event, Identified) else None
    return Trace(name, customer_id, from_ms(at_ms))


def _nameless(event: AnyEvent) -> AnyEvent:
    if isinstance(event, Identified):
        return replace(event, customer_identifier="", customer_id="", tier=None)
    if isinstance(event, NotIdentified):
        return replace(event, customer_identifier="")
    return replace(event, customer_identifier=None) if isinstance(event, Started) else event


def _normal(event: AnyEvent) -> AnyEvent:
    if not isinstance(event, Started) or event.customer_identifier is None:
        return event
    found = normalise(event.customer_identifier)
    return replace(
        event, customer_identifier=found.value if isinstance(found, Identifier) else None
    )
