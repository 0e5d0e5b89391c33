"""The agent of the baskets: counts each event in its basket, and tells what became of the basket.

All of it happens as the events are fetched (see `lanes`). An event is finished once the broker has
the table's changelog and what was told.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from faust.types import TP
from msgspec.structs import replace

from agents.baskets import topics
from agents.baskets.basket import Basket, Status
from agents.baskets.configuration import BasketConfiguration
from agents.baskets.events.reading import (
    Place,
    Told,
    read_answer,
    read_rekeyed,
    read_started,
    read_till_event,
    rekeyed,
)
from agents.baskets.events.writing import NAMES, Context, completed, told
from agents.baskets.fold import ids_at, in_order, place_of, take
from agents.baskets.held import Held, HeldBaskets
from agents.baskets.known import (
    MOST_BYTES,
    Known,
    changed_by,
    earlier,
    encode,
    too_large,
    with_event,
)
from agents.baskets.till_events import AnyEvent, OfNoBasket
from posstream.configuration.current import CurrentConfiguration
from posstream.domain.errors import TakesNothingNow
from posstream.kafka.record import Record
from posstream.metrics import PluginMetrics
from posstream.resilience.clock import Clock
from posstream.streaming.lists.lanes import Event
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.lists.refused import RefusedEvents
from posstream.tracing.context import traceparent
from tables.partitioned import PartitionedTable, TablePartition, home

#: An event takes some 100 us.
_AT_ONCE: Final = 100
#: The few events that come first in a basket. After a stop all topics have a backlog. Events of a
#: till that were counted before these ones would all be told again.
_FIRST: Final = (
    topics.BASKET_STARTED,
    topics.CUSTOMER_DATA_FETCHED,
    topics.CUSTOMER_LOOKUP_FAILED,
)
_READERS: Final = {
    topics.BASKET_STARTED: read_started,
    topics.CUSTOMER_DATA_FETCHED: read_answer,
    topics.CUSTOMER_LOOKUP_FAILED: read_answer,
    topics.POS_EVENTS: read_till_event,
}


@dataclass(eq=False, kw_only=True)
class BasketAgent:
    """Keeps each basket. One per app; see `lanes.Answering`."""

    writes: ClassVar[Sequence[str]] = (
        topics.BASKET_COMPLETED,
        topics.TILL_EVENTS,
        topics.REKEYED,
    )

    app: Any
    table: PartitionedTable
    configuration: CurrentConfiguration[BasketConfiguration]
    clock: Clock
    metrics: PluginMetrics
    card_guard: bool

    def __post_init__(self) -> None:
        self._parts = [TablePartition(self.table, it) for it in range(self.table.partitions)]
        self._held = HeldBaskets()
        #: By type and outcome, the events that the list at hand has counted so far.
        self._counts: Counter[tuple[str, str]] = Counter()
        self._refused = RefusedEvents(self.app)
        self.app.answer_lists(
            topics.CONSUMED,
            self,
            at_once=_AT_ONCE,
            first=_FIRST,
            is_on=lambda: self.configuration.value.enabled,
        )

    def answer(
        self, tp: TP, records: Sequence[Any], outbox: Outbox
    ) -> Iterator[tuple[Any, Exception]]:
        """Count events; yield those that cannot be counted, with the reason."""
        for record in records:
            try:
                event = self._read(tp, record)
                if event is None:
                    self.metrics["till_events_unknown"].inc()
                else:
                    self._count(tp.partition, event, traceparent(record.headers), outbox)
            except Exception as why:  # noqa: BLE001 - no event may hold up those behind it
                yield record, why
        for labels, count in self._counts.items():
            self.metrics["till_events"].labels(*labels).inc(count)
        self._counts.clear()

    def begin(self, event: Event, what: Exception) -> None:
        """Set aside an event that cannot be counted, or leave it unfinished for later."""
        self._refused.begin(event, what)

    async def kept(self) -> None:
        """Wait until the broker has the changes of the table."""
        await self.table.flush()

    def _read(self, tp: TP, record: Any) -> Told | None:
        if tp.topic == topics.REKEYED:
            return read_rekeyed(record.value)
        at = Place(tp.topic, tp.partition, record.offset, record.timestamp, record.headers)
        return _READERS[tp.topic](record.value, at, card_guard=self.card_guard)

    def _count(self, partition: int, it: Told, trace: str | None, outbox: Outbox) -> None:
        if it.basket_id is None or isinstance(it.event, OfNoBasket):
            outbox.add(told(it.event, self.clock.now_ms(), trace=trace))
            return
        at_home = home(it.basket_id, self.table.partitions)
        if at_home != partition:
            outbox.add(rekeyed(it, topics.REKEYED, at_home, trace))
            return
        places = self.configuration.value.decimal_places
        value = self._parts[partition].read(it.basket_id)
        held = self._held.take_out(it.basket_id, value, places=places)
        known = with_event(held.known, it.event)
        if _is_next(it.event, held):
            take(held.basket, it.event)  # most events
            basket = held.basket
            context = Context(it.basket_id, basket, revision=len(known.events))
            records = [told(it.event, self.clock.now_ms(), context, trace)]
        else:
            basket, records = self._told_again(it.event, it.basket_id, known, trace)
        if known.places != places:
            known = replace(known, places=places)
        if basket.status is Status.PAID and not known.was_paid:
            known = replace(known, was_paid=True)
        if known.was_paid:
            records.append(completed(it.basket_id, basket, self.clock.now_ms(), trace))
        if known is not held.known:
            known = replace(known, counted_at_ms=self.clock.now_ms())
            value = self._keep(partition, it.basket_id, known, records)
        self._held.put_back(it.basket_id, Held(value, known, basket))
        for record in records:  # nothing is told that is not kept
            outbox.add(record)
        outcome = "repeated" if len(known.events) == len(held.known.events) else "counted"
        self._counts[NAMES[type(it.event)], outcome] += 1
        if known.was_paid:
            self.metrics["baskets_told"].inc()

    def _keep(
        self, partition: int, basket_id: str, known: Known, records: Sequence[Record]
    ) -> bytes:
        value = encode(known)
        if max(len(value), *(len(record.value or b"") for record in records)) > MOST_BYTES:
            raise too_large(MOST_BYTES, "bytes")
        if not self._parts[partition].write(basket_id, value):
            raise TakesNothingNow(f"partition {partition} of the baskets takes nothing now")
        return value

    def _told_again(
        self, event: AnyEvent, basket_id: str, known: Known, trace: str | None
    ) -> tuple[Basket, list[Record]]:
        """A late or repeated event, and those behind it that came before it.

        A repeated one, too: a crash may have come between its changelog and its telling.

        Returns:
            The basket after all of its events, and what is to be told.
        """
        changed = changed_by(known, event)
        start = min(place_of(it) for it in known.events if it.event_id == event.event_id)
        # As the first delivery found them: what was told at later events may be lost in a crash.
        before = ids_at(earlier(known, event))
        basket = Basket(places=self.configuration.value.decimal_places)
        records = []
        for each in in_order(known.events):
            take(basket, each)
            if place_of(each) >= start and each.event_id in changed:
                were = before.get(each.event_id, {}).items()
                moved_from = {name: it for name, it in were if basket.ids.get(name) != it}
                context = Context(basket_id, basket, len(known.events), moved_from)
                records.append(told(each, self.clock.now_ms(), context, trace))
        basket.revision = len(known.events)
        return basket, records


def _is_next(event: AnyEvent, held: Held) -> bool:
    """Whether an event is a new one, and counts after all that are known."""
    return place_of(event) > held.basket.last and all(
        it.event_id != event.event_id for it in held.known.events
    )
