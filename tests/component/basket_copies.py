"""Copies of baskets as the changelog of their table has them, and what till events are in them."""

from typing import Any

from agents.baskets import till_events
from agents.baskets.known import Known, encode
from agents.baskets.till_events import AnyEvent
from posstream.domain.money import read_amount
from posstream.read_model.projection import ProjectedEvent
from tables.baskets import BASKET_CHANGELOG

#: 2026-01-31T08:00:00Z.
MORNING = 1_769_846_400_000
PHONE = "+1234567890"


def amount(text: str) -> int:
    read = read_amount(text)
    assert read is not None
    return read


def event(kind: type[Any], second: int, *, told: int | None = None, **fields: Any) -> Any:
    """An event of this second of the test day; its message came in that of `told`."""
    if issubclass(kind, till_events.TillEvent):
        fields = {"employee_id": "7", "terminal_id": "t1", **fields}
    return kind(
        occurred_at_ms=MORNING + 1000 * second,
        event_id=fields.pop("event_id", f"e{second}"),
        written_at_ms=MORNING + 1000 * (second if told is None else told),
        **fields,
    )


def started(second: int = 0, **fields: Any) -> AnyEvent:
    given = {"employee_id": "7", "terminal_id": "t1", **fields}
    return event(till_events.Started, second, **given)


def item(second: int, price: str, quantity: str = "1", **fields: Any) -> AnyEvent:
    given = {"item_id": f"item-{second}", "product_id": f"product-{second}", **fields}
    numbers = {"unit_price": amount(price), "quantity": amount(quantity)}
    return event(till_events.ItemAdded, second, **given, **numbers)


def identified(
    second: int, identifier: str = PHONE, customer: str = "CUST_001", **fields: Any
) -> AnyEvent:
    given = {"customer_identifier": identifier, "customer_id": customer, "tier": "GOLD", **fields}
    return event(till_events.Identified, second, **given)


def unknown(second: int, identifier: str) -> AnyEvent:
    return event(
        till_events.NotIdentified, second, customer_identifier=identifier, reason="NOT_FOUND"
    )


def paid(second: int, sum_: str, **fields: Any) -> AnyEvent:
    given = {"payment_id": f"payment-{second}", "currency": "EUR", "method": "CARD", **fields}
    return event(till_events.PaymentCompleted, second, amount=amount(sum_), **given)


def refunded(second: int, sum_: str) -> AnyEvent:
    return event(
        till_events.PaymentRefunded, second, refund_id=f"refund-{second}", amount=amount(sum_)
    )


#: A purchase: two items, a customer, and two payments of which the second covers the rest.
PURCHASE = (
    started(),
    identified(2),
    item(3, "1.99", "2", product_name="Highlighter"),
    item(4, "2.4950", "0.5"),
    paid(8, "3"),
    paid(9, "2.23"),
)


def copy_of(basket_id: str, *events: AnyEvent, **fields: Any) -> ProjectedEvent:
    """What the table has of a basket after these events."""
    value = encode(Known(events=events, **fields))
    return ProjectedEvent(BASKET_CHANGELOG, value, 0, 1, basket_id.encode())


def left(basket_id: str) -> ProjectedEvent:
    """The basket left the table."""
    return ProjectedEvent(BASKET_CHANGELOG, b"", 0, 1, basket_id.encode())
