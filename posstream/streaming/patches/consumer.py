"""The consumer that agents see: what is fetched, handed on and committed.

1. Safe commits: `progress.Progress` says what is committed, not Faust's own count. Faust's count
   passes events in flight when acks come out of order (faust-streaming#606, open). It also takes a
   seek back for a gap, and starts a partition without a commit at its first ack. After a crash the
   events that it passed would be lost.
2. Whole fetches: upstream empties the set of partitions while a fetch uses it, and then drops the
   records of the other partitions (`_getmany`).
3. Lists: events of the app's `answering` topics go to its `lanes`, not through streams.
4. Replays: the records of a changelog that one fetch brings are one message.
5. Bounded ends: the wait for events in flight ends, where upstream's has no end.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from faust.transport.drivers import aiokafka as faust_driver
from faust.types import TP

from posstream.streaming.patches import records
from posstream.streaming.patches.consumer_thread import ConsumerThread
from posstream.streaming.rebalance_log import RebalanceLog

if TYPE_CHECKING:
    from posstream.streaming.lists.lanes import Lanes
    from posstream.streaming.lists.progress import Progress

log = logging.getLogger(__name__)

_DRAIN_POLL_SECONDS: Final = 0.02
#: Between two looks whether a partition that has to wait may go on.
_PARKED_SECONDS: Final = 0.01
#: How long the last commit before a stop or a rebalance may take.
_COMMIT_SECONDS: Final = 10
#: The same limit after a crash: the thread may be gone, and what is not committed comes again.
_CRASHED_COMMIT_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Replay:
    """The records of a changelog partition that one fetch brought.

    They travel as one message, the last of them, so that Faust's account of offsets holds;
    `store.Store` writes them all.
    """

    records: Sequence[Any]


class Consumer(faust_driver.Consumer):
    """The consumer that agents see."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: The committed offset of each partition, as far as we know.
        self._written: dict[TP, int] = {}
        #: The generation in which partitions were sought; None before that.
        self._sought_in: int | None = None
        self._rebalances = RebalanceLog()
        super().__init__(*args, **kwargs)
        self._progress: Progress = self.app.progress
        self._lanes: Lanes = self.app.lanes

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to where the group goes on, and count from there."""
        generation = self.app.consumer_generation_id
        starts: Mapping[TP, int] = await super().seek_to_committed()
        self._lanes.drop_parked()  # it comes again
        if generation == self.app.consumer_generation_id:
            self._sought_in = generation
            self._progress.begin(starts)
            self._written |= starts
        return starts

    def held_back(self, tp: TP) -> tuple[int, int]:
        """See `ConsumerThread.held_back`."""
        return self._thread.held_back(tp)

    def finished_to(self, tp: TP) -> int | None:
        """The first offset of a partition that is not finished; None if it is not known."""
        return self._progress.position(tp)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Drop the account of offsets: another worker may have gone on meanwhile."""
        self._progress.clear()
        self._written.clear()
        self._sought_in = None
        self._lanes.clear()
        self._rebalances.assigned(assigned, self.app)
        await super().on_partitions_assigned(assigned, generation_id)

    async def offsets_since(self, since_ms: int, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        """Per partition the first offset that is not older; None if all are."""
        return await self._thread.offsets_since(since_ms, tps)

    async def topic_identity(self, topic: str) -> str | None:
        """The ids of the cluster and of a topic; see `topic_identity`."""
        return await self._thread.topic_identity(topic)

    def ack(self, message: Any) -> bool:
        """Note that a message needs nothing more."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        if self.app.topics.acks_enabled_for(message.topic):
            self._progress.finish(TP(*message.tp), message.offset)
            self._n_acked += 1
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        while self._thread.holes:
            self._progress.finish(*self._thread.holes.popleft())
        return (tp for tp in self._progress if not topics or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit: the first one that is not finished, if it is a new one.

        Upstream commits the old one once more when a partition is revoked; of a topic that was
        just deleted and made again, it would be an offset of another log.
        """
        position = self._progress.position(tp)
        return None if position == self._written.get(tp) else position or None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        committed: bool = await super()._commit(offsets)
        if committed:
            self._written |= offsets
            self.app.committed_at = time.monotonic()
        return committed

    async def _wait_next_records(
        self,
        timeout: float,  # noqa: ASYNC109 - upstream's
    ) -> tuple[Mapping[TP, Sequence[Any]] | None, set[TP] | None]:
        """Fetch; answer what can be answered at once, and hand the rest to the agents."""
        fetched, active = await super()._wait_next_records(timeout)
        # Not the generation in which the wait began: the wait may have lasted for a whole
        # rebalance. Records that the thread fetched before a seek get here before the seek ends.
        generation = self._sought_in
        # Also if nothing was fetched: records that were fetched before may now have room.
        if fetched is not None and not self.should_stop:
            fetched = await self._lanes.take(fetched, generation)
        return fetched, active

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - upstream's
    ) -> Mapping[TP, Sequence[Any]]:
        """Fetch; turn the records of each changelog partition into one message.

        Faust spends 100 to 200 us on each message of a recovery, whatever is in it: a million
        entries took 206 s to be read; in whole fetches they take 11 s.
        """
        is_late = await self._lanes.is_late()
        # A copy: upstream empties the set while a fetch uses it, and for aiokafka an empty set
        # means all partitions. Their first records were then taken and dropped. Those of a
        # standby's changelog never came again (seen in one of four fail-overs).
        active = None if active_partitions is None else set(active_partitions)
        parked = self._lanes.parked
        parked |= {tp for tp in active or () if self._waits(tp.topic, is_late=is_late)}
        if active is not None and parked:
            active -= parked
            timeout = 0 if self._lanes.is_ready else _PARKED_SECONDS
            if not active:  # for aiokafka, an empty set means all
                self._thread.stay()
                await asyncio.sleep(timeout)
                return {}
        fetched: Mapping[TP, Sequence[Any]] = await super()._getmany(active, timeout)
        changelogs = self.app.tables.changelog_topics
        return {
            tp: [Replay(records)] if records and tp.topic in changelogs else records
            for tp, records in fetched.items()
        }

    def _waits(self, topic: str, *, is_late: bool) -> bool:
        """Whether nothing of a topic is fetched now."""
        return topic in self.app.answering and (is_late or not self._lanes.is_on(topic))

    def _to_message(self, tp: TP, record: Any) -> Any:
        if isinstance(record, Replay):
            message = super()._to_message(tp, records.consumer_record(tp, record.records[-1]))
            message.replay = record.records
        else:
            message = super()._to_message(tp, records.consumer_record(tp, record))
        # Deadlines count from here; Faust's own `time_in` is when a stream took it.
        message.arrived_at = time.monotonic()
        # Upstream would drop what a seek brings again, although it may never have arrived.
        self._read_offset[tp] = None
        return message

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: upstream's alarm is for streams, and most topics have none (see `stall`)."""

    async def wait_empty(self) -> None:
        """Wait for the events in flight, but not for ever; then commit.

        What is not finished in time stays uncommitted and is delivered again. Topics of the app's
        `not_waited_for` are not waited for: their messages may wait for this very rebalance.
        Upstream's loop has no end and swallows cancellation, so it cannot be bounded from outside.
        """
        drain_seconds = self.app.tuning.drain_seconds
        give_up_at = time.monotonic() + drain_seconds
        self._lanes.drop_parked()
        gc.collect()  # messages are held weakly: those dropped with their buffers must not count
        while not self.should_stop and (waited_for := self._waited_for()):
            if time.monotonic() > give_up_at:
                log.warning(
                    "%d events were still in flight after %g s and will be delivered again",
                    waited_for,
                    drain_seconds,
                )
                break
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
            self._clean_unacked_messages()
        # Not awaited itself: after a crash its thread may be gone, and it would never end.
        crashed = self.app.crashed
        commit = asyncio.ensure_future(self._commit_last())
        seconds = _CRASHED_COMMIT_SECONDS if crashed else _COMMIT_SECONDS
        await asyncio.wait([commit], timeout=seconds)
        if not commit.done():
            commit.cancel()
        elif not crashed:
            commit.result()
        elif (why := commit.exception()) is not None:
            log.info("the last commit after the crash failed: %r", why)

    def _waited_for(self) -> int:
        on_their_way = sum(
            message.topic not in self.app.not_waited_for for message in self._unacked_messages
        )
        return on_their_way + self._lanes.in_flight

    async def _commit_last(self) -> None:
        # A commit under way may have begun before the last acks. Upstream would make no other one,
        # and the events of those acks would be answered twice.
        await self.maybe_wait_for_commit_to_finish()
        await self.commit_and_end_transactions()
