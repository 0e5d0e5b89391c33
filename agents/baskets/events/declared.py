"""The plugin's events that others may rely on, each with an example. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

from agents.baskets import topics
from agents.baskets.events.outputs import BasketCompleted
from agents.baskets.events.reading import TYPES
from posstream.events.model import EventModel

_SHARED: Final[dict[str, Any]] = {
    "event_id": "8f0c4a9e-6a51-4c0e-9b0b-5f3f4a1c2d01",
    "occurred_at": "2026-01-31T08:01:10.000Z",
    "basket_id": "basket_0123456789ab",
    "terminal_id": "t1",
    "employee_id": "1",
}
_OF_TILL: Final[dict[str, Any]] = {
    name: value for name, value in _SHARED.items() if name != "basket_id"
}
_ITEM: Final[dict[str, Any]] = {"item_id": "item_1"}
#: Of each type, what it has besides.
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ITEM_ADDED": _SHARED
    | _ITEM
    | {
        "product_id": "4006381333931",
        "product_name": "Highlighter",
        "category": "Stationery",
        "unit_price": "1.99",
        "quantity": 2,
    },
    "ITEM_REMOVED": _SHARED | _ITEM | {"quantity": 1},
    "ITEM_QUANTITY_CHANGED": _SHARED | _ITEM | {"quantity": 3},
    "PRICE_OVERRIDDEN": _SHARED | _ITEM | {"unit_price": "1.49"},
    "DISCOUNT_APPLIED": _SHARED | {"amount": "0.50", "code": "SPRING"},
    "BASKET_FINALIZED": _SHARED,
    "BASKET_VOIDED": _SHARED | {"reason": "customer left"},
    "PAYMENT_COMPLETED": _SHARED
    | {"payment_id": "pay_1", "amount": "3.48", "currency": "EUR", "method": "CARD"},
    "PAYMENT_REFUNDED": _SHARED
    | {"refund_id": "ref_1", "payment_id": "pay_1", "amount": "1.49", "method": "CARD"},
    "DRAWER_OPENED": _OF_TILL,
    "EMPLOYEE_LOGGED_IN": _OF_TILL,
    "EMPLOYEE_LOGGED_OUT": _OF_TILL,
}


def _name(event_type: str) -> str:
    return "".join(word.capitalize() for word in event_type.split("_"))


EVENTS: Final = (
    *(
        EventModel(
            topic=topics.POS_EVENTS,
            name=_name(event_type),
            summary=(model.__doc__ or "").partition("\n")[0],
            model=model,
            example={"event_type": event_type, **_EXAMPLES[event_type]},
            received=True,
            sent=False,
        )
        for event_type, model in TYPES.items()
    ),
    EventModel(
        topic=topics.BASKET_COMPLETED,
        name="BasketCompleted",
        summary="A basket was paid, or something came later for one that had been paid.",
        model=BasketCompleted,
        example={
            "event_id": "0d8a5f0b-0d0c-5a0e-8d3b-8c6b7f1d9a53",
            "event_type": "BASKET_COMPLETED",
            "schema_version": 1,
            "occurred_at": "2026-01-31T08:01:30.042Z",
            "basket_id": "basket_0123456789ab",
            "revision": 5,
            "status": "PAID",
            "customer_id": "CUST_001",
            "customer_identifier": "+1234567890",
            "tier": "GOLD",
            "employee_id": "1",
            "terminal_id": "t1",
            "started_at": "2026-01-31T08:00:00.000Z",
            "completed_at": "2026-01-31T08:01:30.000Z",
            "items": [
                {
                    "item_id": "item_1",
                    "product_id": "4006381333931",
                    "product_name": "Highlighter",
                    "category": "Stationery",
                    "unit_price": "1.99",
                    "quantity": "2",
                    "discount": "0.00",
                    "total": "3.98",
                }
            ],
            "subtotal": "3.98",
            "discount": "0.50",
            "total": "3.48",
            "paid": "3.48",
            "refunded": "0.00",
            "currency": "EUR",
            "payments": [
                {
                    "payment_id": "pay_1",
                    "amount": "3.48",
                    "currency": "EUR",
                    "method": "CARD",
                    "paid_at": "2026-01-31T08:01:30.000Z",
                }
            ],
        },
    ),
)
