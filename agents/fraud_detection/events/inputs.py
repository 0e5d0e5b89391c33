"""The model of the event that the plugin reads: a till event, told with its basket. No I/O.

Another plugin owns the topic; this is what is read of it.
"""

from msgspec import Struct

from posstream.events.fields import Count, KnownId, Time


class BasketContext(Struct, frozen=True, kw_only=True):
    """What was known of a basket at the event."""

    started_at: Time
    items: Count
    total: str
    paid: str
    status: str | None = None
    customer_id: KnownId | None = None
    customer_identifier: KnownId | None = None
    tier: str | None = None
    employee_id: KnownId | None = None
    terminal_id: KnownId | None = None


class TillEvent(Struct, frozen=True, kw_only=True):
    """A till event. Of two with one `event_id`, the one with the higher revision counts."""

    event_id: KnownId
    event_type: str
    occurred_at: Time
    written_at: Time
    basket_id: KnownId | None = None
    revision: Count
    fields: dict[str, str] = {}
    basket: BasketContext | None = None
    #: The basket's ids that have changed since the event was told before, with their former values.
    moved_from: dict[str, str] = {}
