"""What the baskets count. `docs/reference/metrics.md` says what each one means."""

from typing import Final

from agents.baskets.events.writing import NAMES
from agents.baskets.till_events import OfNoBasket
from posstream.metrics import Metric, one_of

_EVENTS: Final = tuple(
    (name, outcome)
    for kind, name in NAMES.items()
    if not issubclass(kind, OfNoBasket)
    for outcome in ("counted", "repeated")
)

METRICS: Final = (
    Metric("counter", "till_events", "Events of baskets.", ("type", "outcome"), _EVENTS),
    Metric("counter", "till_events_unknown", "Till events of a type that nobody here knows."),
    Metric("counter", "baskets_told", "Messages on basket-completed."),
    Metric("gauge", "baskets_kept", "Baskets in the table, estimated."),
    Metric(
        "counter",
        "baskets_left",
        "Baskets that left the table.",
        ("why",),
        one_of(["closed", "abandoned"]),
    ),
)
