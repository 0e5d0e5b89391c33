"""The fields that rules can read, and whether they are numbers or text. Pure."""

from collections.abc import Collection
from typing import Final

#: Seconds since the employee logged in; worked out where observations of the employee are judged.
SESSION_AGE: Final = "employee.session_age_seconds"
#: The type as it was told; an observation can have further types (`engine.observation`).
EVENT_TYPE: Final = "event_type"

#: Of every observation, so that an alert can say them.
IDS: Final = ("basket_id", "terminal_id", "employee_id", "customer_id")

#: What an observation may record of an event. The place of a fact here is its bit in
#: `Observation.recorded`: new facts go to the end.
_FACTS: Final = (
    "basket_id",
    "terminal_id",
    "employee_id",
    "customer_id",
    "amount",
    "unit_price",
    "quantity",
    "basket.total",
    "basket.paid",
    "basket.items",
    "basket.age_seconds",
    "item_id",
    "product_id",
    "product_name",
    "category",
    "code",
    "reason",
    "payment_id",
    "refund_id",
    "method",
    "currency",
    "customer_identifier",
    "basket.status",
    "basket.customer_id",
    "basket.customer_identifier",
    "basket.tier",
    # "replaced" if the till's time was too far ahead of the broker's
    "clock",
)
#: Whole numbers of ten-thousandths in the engine (`posstream.domain.money`).
NUMBERS: Final = frozenset(
    {
        "amount",
        "unit_price",
        "quantity",
        "basket.total",
        "basket.paid",
        "basket.items",
        "basket.age_seconds",
        SESSION_AGE,
    }
)
TEXTS: Final = frozenset({EVENT_TYPE, *_FACTS}) - NUMBERS
FIELDS: Final = NUMBERS | TEXTS

#: Computed when an observation is judged, so they are never facts.
APART: Final = frozenset({EVENT_TYPE, SESSION_AGE})
_BIT_OF: Final = {name: 1 << place for place, name in enumerate(_FACTS)}


def bits_of(facts: Collection[str]) -> int:
    """Facts as bits, for `Observation.recorded`."""
    return sum(_BIT_OF[name] for name in facts)
