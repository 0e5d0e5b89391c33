"""What tills say as a load: a day of `tests.till_day`, whose customers the caches know."""

import time
from collections.abc import Iterable, Iterator
from typing import Final

import orjson

from agents.baskets import topics as baskets
from benchmarks.cache_entries import identifier
from benchmarks.choice import asked_for
from benchmarks.scans import Event, Writer
from benchmarks.stage import Stage
from tests.till_day import Message, TillDay

#: Messages of a purchase, about.
_OF_A_BASKET: Final = 16
#: So long ago the day began: it lasts an hour, and what comes late is an hour later.
_AGO_MS: Final = 3 * 3_600_000
_SEED: Final = 15
SCANS: Final = "customer-identified"
TILLS: Final = (baskets.BASKET_STARTED, baskets.POS_EVENTS)


def messages(events: int, customers: int, *, tag: int, identified: float = 0.5) -> list[Message]:
    """About so many messages: an hour of twenty tills, some of it late and some of it twice.

    Args:
        events: how many there are, about.
        customers: how many the caches know.
        tag: the run's, in all names: no run finds the baskets, tills and people of another one.
        identified: the share of the baskets whose customer is scanned.
    """
    day = TillDay(
        _SEED,
        max(1, events // _OF_A_BASKET),
        time.time_ns() // 1_000_000 - _AGO_MS,
        identified=identified,
        name=f"till-{tag:04x}",
    )
    made = []
    for number, it in enumerate(day.messages()):
        own = {name: f"{tag:x}-{it.value[name]}" for name in ("terminal_id", "employee_id")}
        if it.topic == SCANS:
            own["customer_identifier"] = identifier(asked_for(number, customers))
        made.append(Message(it.leaves_at_ms, it.topic, it.key, it.value | own))
    return made


def write(on: Stage, said: Iterable[Message]) -> None:
    """Write messages to their topics, each topic in order; an answer comes when it comes."""
    by_topic: dict[str, list[Event]] = {}
    for it in said:
        by_topic.setdefault(it.topic, []).append((it.key.encode(), orjson.dumps(it.value)))
    writer = Writer(on.servers)
    for topic, events in sorted(by_topic.items()):
        writer.write(topic, events)


def by_till(said: Iterable[Message]) -> Iterator[Event]:
    """Those of `pos-events` under the key of their till."""
    for it in said:
        if it.topic == baskets.POS_EVENTS:
            yield it.value["terminal_id"].encode(), orjson.dumps(it.value)
