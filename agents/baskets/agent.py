"""The agent of the baskets: counts each event in its basket, and tells what became of the basket.

All of it happens as the events are fetched (see `lanes`). An event is finished once the broker has
the table's changelog and what was told.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

from faust.types import TP

from agents.baskets import topics
from agents.baskets.configuration import BasketConfiguration
from agents.baskets.counting import count
from agents.baskets.events.reading import (
    Place,
    Told,
    read_answer,
    read_rekeyed,
    read_started,
    read_till_event,
    rekeyed,
)
from agents.baskets.events.writing import NAMES, told
from agents.baskets.held import HeldBasket, HeldBaskets
from agents.baskets.till_events import OfNoBasket
from posstream.configuration.current import CurrentConfiguration
from posstream.kafka.record import Record
from posstream.metrics import PluginMetrics
from posstream.resilience.clock import Clock
from posstream.streaming.lists.lanes import Event
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.lists.refused import RefusedEvents
from posstream.tracing.context import traceparent
from tables.partitioned import PartitionedTable, TablePartition, home

#: An event takes some 50 us, and no till waits for this process.
_AT_ONCE: Final = 300
#: The few events that come first in a basket. After a stop all topics have a backlog. Events of a
#: till that were counted before these ones would all be told again.
_FIRST: Final = (
    topics.BASKET_STARTED,
    topics.CUSTOMER_DATA_FETCHED,
    topics.CUSTOMER_LOOKUP_FAILED,
)
#: From this many events a second on, fetches wait for more: short lists cost too many requests.
#: Fraud detection then gets longer lists, too.
_GATHERS_FROM: Final = 400
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
        #: `Lanes.cleared` when the first of them was counted.
        self._cleared = 0
        self._refused = RefusedEvents(self.app)
        self.app.answer_lists(
            topics.CONSUMED,
            self,
            at_once=_AT_ONCE,
            first=_FIRST,
            gathers_from=_GATHERS_FROM,
            is_on=lambda: self.configuration.value.enabled,
        )

    def answer(
        self, tp: TP, records: Sequence[Any], outbox: Outbox
    ) -> Iterator[tuple[Any, Exception]]:
        """Count a list of events; yield those that cannot be counted, with the reason.

        A basket is read once and stored once for all of its events in the list.
        """
        self._begin_anew_after_a_rebalance()
        here = _List(tp, self.clock.now_ms(), self.configuration.value.decimal_places)
        for record in records:
            try:
                self._count(here, record)
            except Exception as why:  # noqa: BLE001 - no event may hold up those behind it
                here.refused[record.offset] = why
        self._keep(here)
        self._tell(here, outbox)
        if here.refused:
            for record in records:
                if record.offset in here.refused:
                    yield record, here.refused[record.offset]

    def begin(self, event: Event, what: Exception) -> None:
        """Set aside an event that cannot be counted, or leave it unfinished for later."""
        self._refused.begin(event, what)

    async def kept(self) -> None:
        """Wait until the broker has the changes of the table."""
        await self.table.flush()

    def _begin_anew_after_a_rebalance(self) -> None:
        """Forget the baskets in memory: what was told of them may still be on its way.

        Their events come again, and this telling is the one that their commits wait for.
        """
        if self._cleared != self.app.lanes.cleared:
            self._cleared = self.app.lanes.cleared
            self._held = HeldBaskets()

    def _read(self, tp: TP, record: Any) -> Told | None:
        if tp.topic == topics.REKEYED:
            return read_rekeyed(record.value)
        at = Place(tp.topic, tp.partition, record.offset, record.timestamp, record.headers)
        return _READERS[tp.topic](record.value, at, card_guard=self.card_guard)

    def _count(self, here: "_List", record: Any) -> None:
        it = self._read(here.tp, record)
        if it is None:
            self.metrics["till_events_unknown"].inc()
            return
        trace = traceparent(record.headers)
        basket_id, event = it.basket_id, it.event
        if basket_id is None or isinstance(event, OfNoBasket):
            here.told.append(_Counted(record.offset, None, [told(event, trace=trace)]))
            return
        held = here.baskets.get(basket_id)
        if held is None:
            at_home = home(basket_id, self.table.partitions)
            if at_home != here.tp.partition:
                away = rekeyed(it, topics.REKEYED, at_home, trace)
                here.told.append(_Counted(record.offset, None, [away]))
                return
            if here.read is None:  # a source topic may have more partitions than the table
                here.read = self._parts[here.tp.partition].reads()
            held = self._held.take_out(basket_id, here.read(basket_id), places=here.places)
            here.baskets[basket_id] = held
        known = len(held.events)
        records = count(held, basket_id, event, here.now_ms, trace)
        outcome = "repeated" if len(held.events) == known else "counted"
        here.told.append(_Counted(record.offset, basket_id, records, (NAMES[type(event)], outcome)))

    def _keep(self, here: "_List") -> None:
        """Store the baskets in which something was counted."""
        counted = {it.basket_id for it in here.told}
        here.baskets = {key: it for key, it in here.baskets.items() if key in counted}
        values: dict[str, bytes] = {}
        for basket_id, held in here.baskets.items():
            try:
                if held.is_changed:
                    values[basket_id] = held.value(here.now_ms)
            except Exception as why:  # noqa: BLE001 - no basket may hold up the others
                here.not_kept[basket_id] = why
        if values:
            try:
                here.not_kept |= self._parts[here.tp.partition].write_all(values)
            except Exception as why:  # noqa: BLE001 - the list's other events are told
                here.not_kept |= dict.fromkeys(values, why)
        for basket_id, held in here.baskets.items():
            if basket_id in here.not_kept:
                continue
            if basket_id in values:
                held.note_kept(values[basket_id])
            self._held.put_back(basket_id, held)

    def _tell(self, here: "_List", outbox: Outbox) -> None:
        """Tell what was counted, in the order of the events; nothing is told that is not stored."""
        counts: Counter[tuple[str, str]] = Counter()
        baskets_told = 0
        for it in here.told:
            why = here.not_kept.get(it.basket_id)
            if why is not None:
                here.refused[it.offset] = why
                continue
            for record in it.records:
                outbox.add(record)
            if it.label is not None:
                counts[it.label] += 1
                baskets_told += bool(it.records) and it.records[-1].topic == topics.BASKET_COMPLETED
        for labels, number in counts.items():
            self.metrics["till_events"].labels(*labels).inc(number)
        if baskets_told:
            self.metrics["baskets_told"].inc(baskets_told)


class _Counted(NamedTuple):
    """An event that is counted in memory, and what is to be told once its basket is stored."""

    offset: int
    #: None if the event changes no basket here.
    basket_id: str | None
    records: Sequence[Record]
    #: Its type and outcome, if it belongs to a basket here.
    label: tuple[str, str] | None = None


@dataclass(slots=True)
class _List:
    """A list of events, and what became of them so far."""

    tp: TP
    now_ms: int
    #: Decimal places to which the price of a weighed item is rounded.
    places: int
    #: Reads the stored value of a basket; None before the first one.
    read: Callable[[str], bytes | None] | None = None
    baskets: dict[str, HeldBasket] = field(default_factory=dict)
    told: list[_Counted] = field(default_factory=list)
    #: Why an event cannot be counted, by its offset.
    refused: dict[int, Exception] = field(default_factory=dict)
    #: Why a basket cannot be stored, by its id.
    not_kept: dict[str | None, Exception] = field(default_factory=dict)
