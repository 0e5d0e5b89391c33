"""What the baskets count. `docs/reference/metrics.md` says what each one means."""

from typing import Final

from posstream.metrics import Metric

METRICS: Final = (
    Metric("counter", "till_events", "Events of baskets.", ("type", "outcome")),
    Metric("counter", "till_events_unknown", "Till events of a type that nobody here knows."),
    Metric("counter", "baskets_told", "Messages on basket-completed."),
    Metric("gauge", "baskets_kept", "Baskets in the table, estimated."),
    Metric("counter", "baskets_left", "Baskets that left the table.", ("why",)),
)
