"""Three overrides of Faust's aiokafka driver (faust-streaming 0.15.3), each with its reason.

1. Fetch wait: Faust hard-codes 1,500 ms, and the embedded broker sleeps it through instead of
   long-polling: 410 ms a hop at the median, 10 ms with a wait of 20 ms.
2. True high watermarks: the embedded broker answers ListOffsets(latest) with the base of the
   last batch + 1, so that recovery would miss rows or die; a fetch tells the truth.
3. Safe commits: Faust commits past events in flight when acks come out of order
   (faust-streaming#606, open), and when a seek looks like a gap (`Consumer._add_gap`); after a
   crash they would be lost.

The wait for streams to finish is bounded besides: upstream it has no end. And records are read
by `records.TolerantRecords`.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

import aiokafka
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as faust_driver
from faust.types import TP

from posstream.streaming import records

log = logging.getLogger(__name__)

#: Seconds after which a watermark that cannot be probed is taken as the broker told it.
_PROBE_SECONDS: Final = 10
_DRAIN_POLL_SECONDS: Final = 0.02
#: How long the last commit before a stop or a rebalance may take.
_COMMIT_SECONDS: Final = 10


class ConsumerThread(faust_driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        records.install()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.tuning.fetch_wait_ms  # noqa: SLF001 - no public way
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek all partitions to where the group goes on; without a commit that is the start.

        Faust drops what it fetches while it recovers and seeks back for it, but aiokafka leaves
        a partition without a commit where it is: its first events were lost if a worker died
        before its first commit (seen in one of some 90 kills).
        """
        committed: Mapping[TP, int] = await super().seek_to_committed()
        changelogs = self.app.tables.changelog_topics
        never = [tp for tp, at in committed.items() if not at and tp.topic not in changelogs]
        if never:
            await self.call_thread(self._ensure_consumer().seek_to_beginning, *never)
        return committed

    async def _highwaters(self, partitions: list[TP]) -> Mapping[TP, int]:
        ends = dict(await super()._highwaters(partitions))
        if self.app.tuning.probe_watermarks:
            ends |= await self._probed({tp: end for tp, end in ends.items() if end})
        return ends

    async def _probed(self, ends: Mapping[TP, int]) -> dict[TP, int]:
        if not ends:
            return {}
        probe = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=faust_driver.server_list(
                self.transport.url, self.transport.default_port
            ),
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=10,
        )
        await probe.start()
        try:
            return await _watermarks(probe, ends)
        finally:
            await probe.stop()


async def _watermarks(probe: aiokafka.AIOKafkaConsumer, ends: Mapping[TP, int]) -> dict[TP, int]:
    tps = {tp: TopicPartition(tp.topic, tp.partition) for tp in ends}
    probe.assign(list(tps.values()))
    for tp, end in ends.items():
        probe.seek(tps[tp], end - 1)
    waiting = set(tps.values())
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            while waiting:
                await probe.getmany(*waiting, timeout_ms=200, max_records=1)
                waiting = {tp for tp in waiting if not probe.highwater(tp)}
    except TimeoutError:
        log.warning("no high watermark from a fetch for %s", sorted(waiting))
    return {tp: max(end, probe.highwater(tps[tp]) or 0) for tp, end in ends.items()}


class Consumer(faust_driver.Consumer):
    """The consumer that agents see."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: The highest offset of each partition that came, and the highest before the last one.
        self._highest: dict[TP, int] = {}
        self._highest_before: dict[TP, int] = {}
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit: never past an event that a stream still holds (#606)."""
        held = [m.offset for m in list(self._unacked_messages) if m.tp == tp and not m.acked]
        if not held:
            return self._highest_consecutive(tp)
        acked, lowest = self._acked[tp], min(held)
        later = [offset for offset in acked if offset >= lowest]
        acked[:] = [offset for offset in acked if offset < lowest]
        try:
            return self._highest_consecutive(tp)
        finally:
            self._acked[tp].extend(later)

    def pause(self, partition: TopicPartition) -> None:
        """Fetch no more of a partition; kept apart from the pauses of recovery and rebalance."""
        self.on_buffer_full(TP(*partition))  # a message has aiokafka's kind of it

    def resume(self, partition: TopicPartition) -> None:
        """Go on fetching it, if it is still ours."""
        tp = TP(*partition)
        if tp in self.assignment():
            self.on_buffer_drop(tp)
        else:
            self._buffered_partitions.discard(tp)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        committed: bool = await super()._commit(offsets)
        if committed:
            self.app.committed_at = time.monotonic()
        return committed

    def _to_message(self, tp: TP, record: Any) -> Any:
        message = super()._to_message(tp, record)
        # Deadlines count from here; Faust's own `time_in` is when a stream took it.
        message.arrived_at = time.monotonic()
        highest = self._highest.get(tp, -1)
        self._highest_before[tp], self._highest[tp] = highest, max(highest, message.offset)
        if message.offset <= highest:
            # Upstream would drop what a seek brings again, although it may never have arrived;
            # `OrderedAcks` tells what was taken.
            self._read_offset[tp] = None
        return message

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Forget what was delivered of an earlier assignment."""
        self._highest.clear()
        self._highest_before.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Note offsets that will never come, so that commits may pass them.

        Upstream takes a seek back in the middle of a fetched list for such a gap, at the end of
        each recovery: what it had delivered before, and the message at hand, could be committed
        while they still waited in a buffer, and were lost by a kill then.
        """
        offset_from = max(offset_from, self._highest_before.get(tp, -1) + 1)
        if offset_from < offset_to:
            await super()._add_gap(tp, offset_from, offset_to - 1)

    def _highest_consecutive(self, tp: TP) -> int | None:
        offset: int | None = super()._new_offset(tp)
        return offset

    async def wait_empty(self) -> None:
        """Wait for the events in flight, but not for ever; then commit.

        What is not finished in time stays uncommitted and is delivered again. Upstream's loop
        has no end and swallows cancellation, so it cannot be bounded from outside.
        """
        drain_seconds = self.app.tuning.drain_seconds
        give_up_at = time.monotonic() + drain_seconds
        gc.collect()  # messages are held weakly: those dropped with their buffers must not count
        while not self.should_stop and self._unacked_messages:
            if time.monotonic() > give_up_at:
                log.warning(
                    "%d events were still in flight after %g s and will be delivered again",
                    len(self._unacked_messages),
                    drain_seconds,
                )
                break
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
            self._clean_unacked_messages()
        # Not awaited itself: after a crash its thread may be gone, and it would never end.
        commit = asyncio.ensure_future(self.commit_and_end_transactions())
        await asyncio.wait([commit], timeout=_COMMIT_SECONDS)
        if commit.done():
            commit.result()


class Transport(faust_driver.Transport):
    """The transport with our consumer."""

    Consumer = Consumer
