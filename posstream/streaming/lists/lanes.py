"""Answers events in the lists in which they were fetched, and counts the events in flight.

Faust spends about 100 us on each message on its way to an agent: a queue, an event, four tasks. It
also clears the queue at every stop and rebalance. The cleared messages may not be committed, and so
the answered ones behind them may not either. Here a fetched list goes straight to a function that
answers what it can without waiting. Each other record becomes an `Event`, and the answers leave in
batches.

An event is finished (`progress`) once the broker has its answer, in the batches of its list or
alone. A commit never passes an unfinished event.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from faust.types import TP

from posstream.streaming.lists import event_log
from posstream.streaming.lists.offsets import Offsets
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.lists.progress import Progress
from posstream.tracing.spans import Span
from posstream.tracing.starting import tracer

log = logging.getLogger(__name__)

#: How far answers may run ahead of the oldest unfinished event of their partition. After a crash
#: at most this many come twice; one slow call must not hold up the tills of its partition.
WINDOW: Final = 10_000
#: A partition with this many unfinished events is not fetched from. Fetched events begin at once,
#: and their deadlines count from the fetch.
MOST_OPEN: Final = 1000
#: A partition with this many bytes in unfinished events is not fetched from: a message that is no
#: event may be a thousand times as large as one.
MOST_OPEN_BYTES: Final = 4 * 1024 * 1024
#: With this many unfinished events, the delay of the event loop is measured.
CROWD: Final = 500
#: If one round of the event loop takes longer than this on average, the worker itself is too slow
#: for its events, and not the directory.
LATE_SECONDS: Final = 0.025
#: The weight of one round in that moving average.
_WEIGHT: Final = 0.1
#: How long the next list waits for the batches of this one to leave. A partition whose broker is
#: frozen may not hold up all others.
HAND_OVER_SECONDS: Final = 0.2


class Event:
    """A record that cannot be answered at once: it needs a call, or becomes a dead letter."""

    __slots__ = (
        *("topic", "partition", "offset", "key", "value", "headers", "timestamp"),
        *("arrived_at", "size", "_lane"),
    )

    def __init__(self, tp: TP, record: Any, arrived_at: float, lane: "_Lane") -> None:
        self.topic, self.partition = tp
        self.offset: int = record.offset
        self.key: bytes | None = record.key
        self.value: bytes | None = record.value
        self.headers: Sequence[tuple[str, bytes]] = record.headers
        #: In seconds since 1970, as Faust's messages have it.
        self.timestamp: float = record.timestamp / 1000
        #: When it came to this worker, in monotonic seconds: deadlines count from here.
        self.arrived_at = arrived_at
        #: Bytes of key and value.
        self.size = len(self.key or b"") + len(self.value or b"")
        self._lane = lane
        lane.open[self.offset] = self
        lane.open_bytes += self.size

    def finish(self) -> None:
        """Note that the event needs nothing more: the broker has its answer."""
        self._lane.finish(self)


class Answering(Protocol):
    """What answers a topic's events."""

    @property
    def writes(self) -> Sequence[str]:
        """The topics of its answers."""
        ...

    def answer(self, tp: TP, records: Sequence[Any], outbox: Outbox) -> Iterable[tuple[Any, Any]]:
        """Answer what can be answered at once, without waiting.

        Args:
            tp: where the records come from.
            records: aiokafka's, in the order of their offsets.
            outbox: takes the answers.

        Yields:
            each record that was not answered, in its place, with what `begin` needs to know. The
            caller calls `begin` before it asks for the next one.
        """
        ...

    def begin(self, event: Event, what: Any) -> None:
        """Begin with an event that was not answered, without waiting; finish the event later."""
        ...

    async def kept(self) -> None:
        """Wait until the broker has what the answers changed in tables.

        Raises:
            KafkaError: if it refused a change.
        """
        ...


class _Lane:
    """One partition in one generation."""

    __slots__ = (
        *("_progress", "_tp", "answered", "current", "end"),
        *("open", "open_bytes", "parked", "parked_at"),
    )

    def __init__(self, tp: TP, progress: Progress) -> None:
        self._tp = tp
        self._progress = progress
        #: False after a rebalance: its events come again, maybe to another worker.
        self.current = True
        #: Offsets answered and not below the position of `Progress`.
        self.answered = Offsets()
        #: Events begun and not finished, by offset, as they came.
        self.open: dict[int, Event] = {}
        self.open_bytes = 0
        #: The offset after the last one that was taken; None before the first.
        self.end: int | None = None
        #: Fetched, and not taken yet.
        self.parked: Sequence[Any] = ()
        #: When `parked` was filled, in monotonic seconds.
        self.parked_at: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be fetched for now."""
        return len(self.open) >= MOST_OPEN or self.open_bytes >= MOST_OPEN_BYTES

    def finish(self, event: Event) -> None:
        if self.open.pop(event.offset, None) is None:
            return
        self.open_bytes -= event.size
        if self.current:
            self._progress.finish(self._tp, event.offset)

    def settle(self, start: int, stop: int) -> None:
        """Note that the broker has the answers to `[start, stop)`."""
        if self.current:
            self._progress.finish(self._tp, start, stop)

    def new(self, records: Sequence[Any]) -> Sequence[Any]:
        """The records that were not taken before; after a seek some come again."""
        if self.end is None or records[0].offset >= self.end:
            return records
        return [
            record
            for record in records
            if record.offset not in self.open
            and record.offset not in self.answered
            and not self._progress.is_finished(self._tp, record.offset)
        ]

    def has_room(self, offset: int) -> bool:
        """Whether events may be taken from an offset on."""
        position = self._progress.position(self._tp)
        is_ahead = position is not None and offset - position >= WINDOW
        return not is_ahead and not self.is_full


class Lanes:
    """The partitions of an app whose events are answered in lists. For one event loop.

    Args:
        app: whose producer it is, and which it ends when answers cannot be sent.
        progress: counts what is finished.
    """

    def __init__(self, app: Any, progress: Progress) -> None:
        self._app = app
        self._progress = progress
        self._lanes: dict[TP, _Lane] = {}
        #: How often everything was forgotten. Exact in the event loop, while the thread of the
        #: consumer may change the generation between any two steps.
        self.cleared = 0
        #: By topic, whether its events are answered now; without an entry they always are.
        self._switches: dict[str, Callable[[], bool]] = {}
        #: Lists whose answers the broker has not confirmed.
        self._leaving: set[asyncio.Task[None]] = set()
        #: Whether lists are being answered whose answers the producer does not have yet.
        self._is_taking = False
        #: How long a round of the event loop takes on average, in seconds; 0 below CROWD.
        self._lag = 0.0

    def answer_while(self, topics: Iterable[str], is_on: Callable[[], bool]) -> None:
        """Leave the events of some topics there while `is_on` says False."""
        self._switches |= dict.fromkeys(topics, is_on)

    def is_on(self, topic: str) -> bool:
        """Whether the events of a topic are answered now."""
        switch = self._switches.get(topic)
        return switch is None or switch()

    # -- the account of what is in flight

    @property
    def open(self) -> int:
        """How many events are begun and not finished."""
        return sum(len(lane.open) for lane in self._lanes.values())

    @property
    def in_flight(self) -> int:
        """Events that are not finished, and lists whose answers the broker has not confirmed."""
        return self._is_taking + len(self._leaving) + self.open

    def commit_age_seconds(self) -> float:
        """How long the oldest event has been open without any commit; 0 if none is open."""
        oldest = [next(iter(lane.open.values())) for lane in self._lanes.values() if lane.open]
        if not oldest:
            return 0.0
        arrived_at = min(event.arrived_at for event in oldest)
        return time.monotonic() - max(arrived_at, float(self._app.committed_at))

    @property
    def oldest_at(self) -> float | None:
        """When the oldest event was written that was fetched and is not finished; None if none.

        Those that wait because their topic is switched off do not count.
        """
        lanes = self._lanes.values()
        begun = [next(iter(lane.open.values())).timestamp for lane in lanes if lane.open]
        parked = [
            lane.parked[0].timestamp / 1000
            for tp, lane in self._lanes.items()
            if lane.parked and self.is_on(tp.topic)
        ]
        return min([*begun, *parked], default=None)

    # -- what the fetch loop asks

    async def is_late(self) -> bool:
        """Whether the worker itself is too slow for its events: then nothing more is fetched.

        A deadline counts from the fetch, and the directory could serve the events in time.
        """
        if self.open < CROWD:
            self._lag = 0.0
            return False
        began = time.monotonic()
        await asyncio.sleep(0)
        self._lag += (time.monotonic() - began - self._lag) * _WEIGHT
        return self._lag > LATE_SECONDS

    @property
    def parked(self) -> set[TP]:
        """Partitions from which nothing more should be fetched now."""
        return {tp for tp, lane in self._lanes.items() if lane.parked or lane.is_full}

    @property
    def is_ready(self) -> bool:
        """Whether something that was fetched can be taken now."""
        return any(
            lane.parked and self.is_on(tp.topic) and lane.has_room(lane.parked[0].offset)
            for tp, lane in self._lanes.items()
        )

    def clear(self) -> None:
        """Forget everything: what is not committed comes again, maybe to another worker."""
        for lane in self._lanes.values():
            lane.current = False
        self._lanes.clear()
        self.cleared += 1

    def drop_parked(self) -> None:
        """Drop the records that were fetched and not taken yet."""
        for lane in self._lanes.values():
            lane.parked, lane.parked_at = (), None

    async def take(
        self, fetched: Mapping[TP, Sequence[Any]], generation: int | None
    ) -> dict[TP, Sequence[Any]]:
        """Take the lists of the app's `answering` topics.

        Args:
            fetched: records by partition.
            generation: the group's generation in which the partitions were sought before the fetch.
                Records of an older generation are not taken: they come again, from where the group
                goes on. Records of the present one do not come again: they are kept while the flow
                is stopped.

        Returns:
            the records of all other topics.
        """
        lists = {tp: lane.parked for tp, lane in self._lanes.items() if lane.parked}
        others: dict[TP, Sequence[Any]] = {}
        for tp, records in fetched.items():
            if tp.topic in self._app.answering:
                lists[tp] = [*lists.get(tp, ()), *records]
            else:
                others[tp] = records
        if not lists:
            return others
        producer = self._app.producer
        topics = {topic for tp in lists for topic in self._app.answering[tp.topic].writes}
        partitions = {topic: await producer.partitions_of(topic) for topic in topics}
        outbox = Outbox(producer.new_batch, time.time_ns() // 1_000_000, partitions)
        traced: list[Span] = []
        answered: list[tuple[_Lane, tuple[int, int]]] = []
        given = None
        self._is_taking = True
        try:
            await self._answer_lists(lists, generation, outbox, answered, traced)
        finally:  # a cancelled caller must not lose an answer
            self._is_taking = False
            if answered:
                answering = {self._app.answering[tp.topic] for tp in lists}
                given = self._hand_over(outbox.batches(), answered, answering, traced)
            else:
                _end(traced)
        if given is not None:
            await asyncio.wait([given], timeout=HAND_OVER_SECONDS)
        return others

    async def _answer_lists(
        self,
        lists: Mapping[TP, Sequence[Any]],
        generation: int | None,
        outbox: Outbox,
        answered: list[tuple[_Lane, tuple[int, int]]],
        traced: list[Span],
    ) -> None:
        """Answer lists in steps, between which the event loop does other things.

        If the flow stops meanwhile, the rest is parked. If the generation of the consumer changes,
        the rest is left out: it comes again.
        """
        now = time.monotonic()
        room = self._app.most_at_once
        for tp, records in lists.items():
            rest = records
            # For all steps: what was parked counts from when it was.
            arrived_at = self._lane(tp).parked_at or now
            while rest:
                if not room and generation == self._app.consumer_generation_id:
                    await asyncio.sleep(0)
                    room = self._app.most_at_once
                if generation != self._app.consumer_generation_id:
                    return
                lane = self._lane(tp)
                if not self._app.consumer.flow_active:
                    lane.parked, lane.parked_at = rest, arrived_at
                    break
                self._app.pulse.check()
                step, rest = rest[:room], rest[room:]
                room -= len(step)
                spans = self._answer(tp, step, arrived_at, outbox, traced)
                answered += [(lane, span) for span in spans]
                if lane.parked:  # it has no room for more events
                    lane.parked = [*lane.parked, *rest]
                    break

    def _answer(
        self,
        tp: TP,
        records: Sequence[Any],
        arrived_at: float,
        outbox: Outbox,
        traced: list[Span],
    ) -> Sequence[tuple[int, int]]:
        """Answer one step of a partition's list, or park it; returns the offsets answered."""
        lane = self._lane(tp)
        lane.parked, lane.parked_at = (), None
        records = lane.new(records)
        if not records:
            return ()
        if not (self.is_on(tp.topic) and lane.has_room(records[0].offset)):
            lane.parked, lane.parked_at = records, arrived_at
            return ()
        traced.append(self._traced(tp, records))
        answering = self._app.answering[tp.topic]
        begun: set[int] = set()
        for record, what in answering.answer(tp, records, outbox):
            begun.add(record.offset)
            answering.begin(Event(tp, record, arrived_at, lane), what)
        event_log.tell(self._app.plugin, tp, records, begun)
        lane.end = max(lane.end or 0, records[-1].offset + 1)
        lane.answered.forget_below(self._progress.position(tp) or 0)
        spans = _spans(records, begun)
        for start, stop in spans:
            lane.answered.add(start, stop)
        return spans

    def _traced(self, tp: TP, records: Sequence[Any]) -> Span:
        """Begin the span of a list (OpenTelemetry semantic conventions, messaging)."""
        about = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "posstream.plugin": self._app.plugin,
            "messaging.destination.name": tp.topic,
            "messaging.destination.partition.id": str(tp.partition),
            "messaging.batch.message_count": len(records),
        }
        return tracer().list_span(f"process {tp.topic}", records, about)

    def _lane(self, tp: TP) -> _Lane:
        return self._lanes.setdefault(tp, _Lane(tp, self._progress))

    def _hand_over(
        self,
        batches: Sequence[tuple[str, int, Any]],
        answered: Sequence[tuple[_Lane, tuple[int, int]]],
        answering: Collection[Answering],
        traced: Sequence[Span],
    ) -> "asyncio.Future[None]":
        """Begin to give batches to the producer; the future is done when it has them."""
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        leaving = asyncio.ensure_future(self._finish(batches, answered, answering, traced, given))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        return given

    async def _finish(
        self,
        batches: Sequence[tuple[str, int, Any]],
        answered: Sequence[tuple[_Lane, tuple[int, int]]],
        answering: Collection[Answering],
        traced: Sequence[Span],
        given: "asyncio.Future[None]",
    ) -> None:
        seconds = self._app.tuning.delivery_seconds
        try:
            try:
                # A crash must not undo what was told: the events would come in another order again,
                # and two messages of one revision could say different things.
                async with asyncio.timeout(seconds):
                    for one in answering:
                        await one.kept()
                send = self._app.producer.send_batch
                written = await asyncio.gather(*(send(*batch) for batch in batches))
            finally:
                given.set_result(None)
            async with asyncio.timeout(seconds):
                for each in written:
                    await each
        except Exception as why:  # unconfirmed: a restart answers them again
            log.critical("answers could not be sent: %r", why, exc_info=why)
            _end(traced, failed=type(why).__name__)
            await self._app.crash(why)
            return
        for lane, span in answered:
            lane.settle(*span)
        _end(traced)


def _end(traced: Sequence[Span], failed: str | None = None) -> None:
    for span in traced:
        span.end(failed=failed)


def _spans(records: Sequence[Any], left_out: set[int]) -> list[tuple[int, int]]:
    """The offsets of records as ranges `[start, stop)`, without those that were left out."""
    spans: list[tuple[int, int]] = []
    if not left_out and records[-1].offset - records[0].offset + 1 == len(records):
        return [(records[0].offset, records[-1].offset + 1)]
    for record in records:
        offset = record.offset
        if offset in left_out:
            continue
        if spans and spans[-1][1] == offset:
            spans[-1] = spans[-1][0], offset + 1
        else:
            spans.append((offset, offset + 1))
    return spans
