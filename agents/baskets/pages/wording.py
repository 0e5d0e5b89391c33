"""Statuses and events in the words of the console. Pure."""

from collections.abc import Mapping
from typing import Final

from agents.baskets.basket import Status

_TONES: Final[Mapping[str, str]] = {
    Status.FINALIZED: "warn",
    Status.PAID: "good",
    Status.VOIDED: "bad",
}
#: By type of event.
TITLES: Final[Mapping[str, str]] = {
    "BASKET_STARTED": "The basket was started",
    "CUSTOMER_DATA_FETCHED": "A customer was found",
    "CUSTOMER_LOOKUP_FAILED": "No customer was found",
    "ITEM_ADDED": "An item was scanned",
    "ITEM_REMOVED": "An item was taken out",
    "ITEM_QUANTITY_CHANGED": "An item got another quantity",
    "PRICE_OVERRIDDEN": "An item got another price",
    "DISCOUNT_APPLIED": "A discount was given",
    "BASKET_FINALIZED": "Nothing more is scanned",
    "BASKET_VOIDED": "The basket was given up",
    "PAYMENT_COMPLETED": "A payment was made",
    "PAYMENT_REFUNDED": "Money was given back",
}


def tone_of(status: str) -> str:
    """The tone of a status's tag: good, warn, bad or none."""
    return _TONES.get(status, "")
