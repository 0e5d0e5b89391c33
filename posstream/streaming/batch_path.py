"""Events that can be answered at once, handled by the fetch instead of one by one.

Faust spends about 100 us on each message on its way to an agent: a queue, an event, four tasks.
Here a fetched list goes straight to a function that answers what it can without waiting; the
answers leave in batches, and only what is left goes on to the agent.

What was answered counts as finished (`progress`) once the broker has all answers of its turn; so
the commit never passes an answer on its way, nor an event that the agent still has.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from faust.types import TP
from murmurhash2 import murmurhash2

from posstream.ports import Record
from posstream.streaming.offsets import Offsets
from posstream.streaming.partitioner import POSITIVE, SEED, partition_of
from posstream.streaming.progress import Progress

log = logging.getLogger(__name__)

#: How far answers may run ahead of the oldest unfinished event of their partition. After a crash
#: as many may come twice; one slow call must not hold up a partition's tills, either.
WINDOW: Final = 10_000


class Outbox:
    """The records of one turn, in batches of the producer.

    Args:
        new_batch: makes an empty `aiokafka` batch builder.
        now_ms: the records' timestamp.
        partitions: how many partitions each topic has.
    """

    def __init__(
        self, new_batch: Callable[[], Any], now_ms: int, partitions: Mapping[str, int]
    ) -> None:
        self._new_batch = new_batch
        self._now_ms = now_ms
        self._partitions = partitions
        self._open: dict[tuple[str, int], _Batch] = {}
        self._begun: list[tuple[str, int, _Batch]] = []

    def add(self, record: Record) -> None:
        """Put a record in; it has a key or a partition."""
        partition = record.partition
        if partition is None:
            partition = partition_of(record.key or b"", self._partitions[record.topic])
        self._put(record.topic, partition, record.key, record.value, list(record.headers))

    def to(self, topic: str) -> Callable[[bytes, bytes, list[tuple[str, bytes]]], None]:
        """What puts in records of one topic: key, value, headers."""
        partitions = self._partitions[topic]

        def add(key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
            self._put(topic, (murmurhash2(key, SEED) & POSITIVE) % partitions, key, value, headers)

        return add

    def _put(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> None:
        batch = self._open.get((topic, partition))
        if batch is None or not batch.append(self._now_ms, key, value, headers):  # it is full
            batch = self._open[topic, partition] = _Batch(self._new_batch())
            batch.append(self._now_ms, key, value, headers)
            self._begun.append((topic, partition, batch))

    def batches(self) -> Sequence[tuple[str, int, Any]]:
        """Topic, partition and aiokafka's builder, in the order in which they were begun."""
        return [(topic, partition, batch.closed()) for topic, partition, batch in self._begun]


class _Batch:
    """aiokafka's batch builder without the Python around its compiled part: half the time."""

    __slots__ = ("_append", "_builder", "_count")

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        self._append = builder._builder.append  # noqa: SLF001 - no public way
        self._count = 0

    def append(
        self,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> bool:
        """Append a record; False if it does not fit any more."""
        if not self._append(self._count, timestamp_ms, key, value, headers):
            return False
        self._count += 1
        return True

    def closed(self) -> Any:
        """The builder, complete, for the producer."""
        self._builder._relative_offset = self._count  # noqa: SLF001 - no public way
        self._builder.close()  # it leaves at once
        return self._builder


class Answering(Protocol):
    """What answers a topic's events."""

    @property
    def writes(self) -> Sequence[str]:
        """The topics of its answers."""
        ...

    def has_room(self, topic: str, partition: int) -> bool:
        """Whether more of a partition's events may be passed on to the agent."""
        ...

    def answer(
        self, topic: str, partition: int, records: Sequence[Any], outbox: Outbox
    ) -> Sequence[Any]:
        """Answer what can be answered at once.

        Args:
            topic: where the records come from.
            partition: see `topic`.
            records: aiokafka's, in the order of their offsets.
            outbox: takes the answers.

        Returns:
            those that were not answered, in their order: they go on to the agent.
        """
        ...

    def forget(self) -> None:
        """Nothing that was passed on counts any more: the partitions were assigned anew."""
        ...


class _Lane:
    """One partition in one generation."""

    __slots__ = ("answered", "end", "parked")

    def __init__(self) -> None:
        #: Offsets answered and not below the position of `Progress`.
        self.answered = Offsets()
        #: The offset after the last one that was taken; None before the first.
        self.end: int | None = None
        #: Fetched, and not taken for want of room.
        self.parked: Sequence[Any] = ()


class BatchPath:
    """The lanes of one consumer. For one event loop.

    Args:
        app: whose producer and clock it is, and which it ends when answers cannot be sent.
        progress: counts what is finished.
    """

    def __init__(self, app: Any, progress: Progress) -> None:
        self._app = app
        self._progress = progress
        self._lanes: dict[TP, _Lane] = {}
        self._turns: set[asyncio.Task[None]] = set()

    @property
    def parked(self) -> set[TP]:
        """Partitions of which nothing more should be fetched now."""
        return {tp for tp, lane in self._lanes.items() if lane.parked}

    @property
    def open_turns(self) -> int:
        """Turns whose answers the broker has not confirmed."""
        return len(self._turns)

    def clear(self) -> None:
        """Forget everything: what is not committed comes again, maybe to another worker."""
        self._lanes.clear()
        for answering in self._app.answering.values():
            answering.forget()

    def drop_parked(self) -> None:
        """Take nothing more of what was fetched."""
        for lane in self._lanes.values():
            lane.parked = ()

    async def take(
        self, fetched: Mapping[TP, Sequence[Any]], generation: int
    ) -> dict[TP, Sequence[Any]]:
        """Answer what can be answered at once.

        Args:
            fetched: records by partition.
            generation: the group's when they were asked for. What an older one fetched is not
                taken: it comes again, from where the group goes on.

        Returns:
            what is to go on to the agents; the answers are with the producer by then, so that
            none of these can overtake one.
        """
        lists = {tp: lane.parked for tp, lane in self._lanes.items() if lane.parked}
        left: dict[TP, Sequence[Any]] = {}
        for tp, records in fetched.items():
            if tp.topic in self._app.answering:
                lists[tp] = [*lists.get(tp, ()), *records]
            else:
                left[tp] = records
        if not lists:
            return left
        producer = self._app.producer
        topics = {topic for tp in lists for topic in self._app.answering[tp.topic].writes}
        partitions = {topic: await producer.partitions_of(topic) for topic in topics}
        # Nothing is awaited from here until everything is noted.
        if generation != self._app.consumer_generation_id or not self._app.consumer.flow_active:
            return left
        self._app.pulse.check()
        outbox = Outbox(producer.new_batch, time.time_ns() // 1_000_000, partitions)
        spans: list[tuple[TP, int, int]] = []
        for tp, records in lists.items():
            passed = self._answer(tp, records, outbox, spans)
            if passed:
                left[tp] = passed
        batches = outbox.batches()
        if batches:
            await self._hand_over(batches, spans)
        return left

    def _answer(
        self, tp: TP, records: Sequence[Any], outbox: Outbox, spans: list[tuple[TP, int, int]]
    ) -> Sequence[Any]:
        lane = self._lanes.setdefault(tp, _Lane())
        answering = self._app.answering[tp.topic]
        position = self._progress.position(tp)
        lane.parked = ()
        if lane.end is not None and records[0].offset < lane.end:  # a seek brought them again
            records = [
                record
                for record in records
                if record.offset not in lane.answered
                and not self._progress.is_finished(tp, record.offset)
            ]
            if not records:
                return ()
        ahead = 0 if position is None else records[0].offset - position
        if ahead >= WINDOW or not answering.has_room(*tp):
            lane.parked = records
            return ()
        passed: Sequence[Any] = answering.answer(*tp, records, outbox)
        lane.end = max(lane.end or 0, records[-1].offset + 1)
        lane.answered.forget_below(position or 0)
        for start, stop in _spans(records, passed):
            lane.answered.add(start, stop)
            spans.append((tp, start, stop))
        return passed

    async def _hand_over(
        self, batches: Sequence[tuple[str, int, Any]], spans: Sequence[tuple[TP, int, int]]
    ) -> None:
        """Give the batches to the producer; a cancelled caller leaves none of them behind."""
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        generation = self._app.consumer_generation_id
        turn = asyncio.ensure_future(self._finish(batches, spans, generation, given))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)
        await asyncio.wait([given])

    async def _finish(
        self,
        batches: Sequence[tuple[str, int, Any]],
        spans: Sequence[tuple[TP, int, int]],
        generation: int,
        given: "asyncio.Future[None]",
    ) -> None:
        try:
            try:
                written = [
                    await self._app.producer.send_batch(topic, partition, batch)
                    for topic, partition, batch in batches
                ]
            finally:
                given.set_result(None)
            async with asyncio.timeout(self._app.tuning.delivery_seconds):
                for each in written:
                    await each
        except Exception as why:  # unconfirmed: a restart answers them again
            log.critical("answers could not be sent: %r", why, exc_info=why)
            await self._app.crash(why)
            return
        if generation == self._app.consumer_generation_id:
            for tp, start, stop in spans:
                self._progress.finish(tp, start, stop)


def _spans(records: Sequence[Any], left_out: Sequence[Any]) -> list[tuple[int, int]]:
    """The offsets of records as ranges `[start, stop)`, without those that were left out."""
    if not left_out and records[-1].offset - records[0].offset + 1 == len(records):
        return [(records[0].offset, records[-1].offset + 1)]
    skipped = {record.offset for record in left_out}
    spans: list[tuple[int, int]] = []
    for record in records:
        offset = record.offset
        if offset in skipped:
            continue
        if spans and spans[-1][1] == offset:
            spans[-1] = spans[-1][0], offset + 1
        else:
            spans.append((offset, offset + 1))
    return spans
