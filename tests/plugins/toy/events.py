"""The events of the toy: one that it reads, and one that it writes."""

from typing import Any, Final, Literal

import msgspec

from posstream.events.fields import Count, DerivedId, GuardedId, KnownId, Time
from posstream.events.model import EventModel

from .topics import VISIT_COUNTED


class CustomerAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """What the toy reads of `customer-data-fetched`."""

    event_id: GuardedId
    basket_id: GuardedId
    customer_identifier: GuardedId
    customer: dict[str, Any]


class VisitCounted(msgspec.Struct, frozen=True, kw_only=True):
    """A basket got one more answer."""

    event_id: DerivedId
    event_type: Literal["VISIT_COUNTED"] = "VISIT_COUNTED"
    occurred_at: Time
    basket_id: KnownId
    customer_id: KnownId
    customer_identifier: KnownId
    visits: Count


EVENTS: Final = (
    EventModel(
        topic=VISIT_COUNTED,
        name="VisitCounted",
        summary="A basket got one more answer.",
        model=VisitCounted,
        example={
            "event_id": "0b0d8a5f-0d0c-5a0e-8d3b-8c6b7f1d9a52",
            "event_type": "VISIT_COUNTED",
            "occurred_at": "2026-01-31T08:00:00.000Z",
            "basket_id": "basket_1",
            "customer_id": "CUST_001",
            "customer_identifier": "+1234567890",
            "visits": 10,
        },
    ),
)
