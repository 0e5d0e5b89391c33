"""Overrides of Faust's aiokafka driver (faust-streaming 0.15.3), each with its reason.

1. Fetch wait: Faust hard-codes 1,500 ms, and the embedded broker sleeps it through instead of
   long-polling: 410 ms a hop at the median, 10 ms with a wait of 20 ms.
2. True high watermarks: the embedded broker answers ListOffsets(latest) with the base of the
   last batch + 1, so that recovery would miss rows or die; a fetch tells the truth.
3. Safe commits: what is committed is told by `progress.Progress`, not by Faust's own count. That
   one passes events in flight when acks come out of order (faust-streaming#606, open), takes a
   seek back for a gap, and begins a partition without a commit wherever its first ack lies;
   after a crash those events would be lost.
4. Whole fetches: upstream empties the set of partitions while a fetch waits with it, and what
   comes of the others then is dropped (`Consumer._getmany`).

5. Read committed: unless Faust writes transactions itself, upstream also reads records of
   transactions that are still open, or were aborted.

The wait for streams to finish is bounded besides: upstream it has no end. And records are read
by `records.TolerantRecords`, and written by `producer.Producer`.
"""

import asyncio
import contextlib
import gc
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiokafka
from aiokafka import TopicPartition
from faust.exceptions import ConsistencyError
from faust.transport.drivers import aiokafka as faust_driver
from faust.types import TP

from posstream.kafka.topic_identity import topic_identity
from posstream.streaming.lists.batch_path import BatchPath
from posstream.streaming.lists.list_path import ListPath
from posstream.streaming.lists.progress import Progress
from posstream.streaming.patches import client, records
from posstream.streaming.patches.producer import Producer

log = logging.getLogger(__name__)

#: Seconds after which a watermark that cannot be probed is taken as the broker told it.
_PROBE_SECONDS: Final = 10
_FETCH_BYTES: Final = 4 * 1024 * 1024
#: Events answered in one step. It holds the event loop for some 10 ms.
_LIST: Final = 1000
_GROUP_WATCH_SECONDS: Final = 1.0
_DRAIN_POLL_SECONDS: Final = 0.02
#: Between two looks whether a partition that has to wait may go on.
_PARKED_SECONDS: Final = 0.01
#: How long the last commit before a stop or a rebalance may take.
_COMMIT_SECONDS: Final = 10
#: The same after a crash: its thread may be gone, and what is not committed comes again.
_CRASHED_COMMIT_SECONDS: Final = 1
#: How long the consumer may take to leave its group.
_LEAVE_SECONDS: Final = 5


class ConsumerThread(faust_driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: Offsets `[from, to)` that will never come, for the consumer to take.
        self.holes: deque[tuple[TP, int, int]] = deque()
        #: How often all partitions were sought.
        self.seeks = 0
        #: The offset that the next fetch of a partition should bring, once it was sought.
        self._fetched_to: dict[TP, int] = {}
        super().__init__(*args, **kwargs)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        records.install()
        client.install()
        consumer = super()._create_worker_consumer(transport)
        consumer._key_deserializer = records.as_read  # noqa: SLF001 - Faust takes none
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - no public way
        consumer._fetch_max_wait_ms = self.app.tuning.fetch_wait_ms  # noqa: SLF001 - no public way
        # One answer must get through within `client.REQUEST_SECONDS` on a slow link, too.
        consumer._fetch_max_bytes = _FETCH_BYTES  # noqa: SLF001 - no public way
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, and watch over its place in the group."""
        await super().on_start()
        self.add_future(self._watch_group())

    async def _watch_group(self) -> None:
        # An error that aiokafka does not know ends its part in the group without a word: it is
        # kept for callers of `getmany`, which Faust does not call.
        while not self.should_stop:
            await self.sleep(_GROUP_WATCH_SECONDS)
            try:
                self._ensure_consumer()._coordinator.check_errors()  # noqa: SLF001 - no public way
            except Exception as why:  # noqa: BLE001 - whatever it is, the worker is out
                crash = self.app.crash(why)
                asyncio.run_coroutine_threadsafe(crash, self.parent_loop)
                return

    async def on_thread_stop(self) -> None:
        """Leave the group, so that others go on at once, if its coordinator is there.

        aiokafka stays in it for the whole session timeout if the worker has a name, looks for a
        coordinator until there is one, and lets the cancellation of a fetch through, which ends
        this thread without a word to those who wait for it.
        """
        if self._consumer is not None:
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001 - no public way
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await super().on_thread_stop()

    async def fetch_noted(self, *args: Any) -> Mapping[TopicPartition, list[Any]]:
        """Fetch as upstream does, and note what the log does not have."""
        records: Mapping[TopicPartition, list[Any]] = await super()._fetch_records(*args)
        # Nothing is awaited from here on: no seek can come between a fetch and its account.
        for tp, fetched in records.items():
            if tp in self._fetched_to:
                self._note_holes(TP(*tp), fetched)
        return records

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP] | None,
        timeout: float | None = None,  # noqa: ASYNC109 - upstream's
        max_records: int | None = None,
    ) -> Mapping[TopicPartition, list[Any]]:
        """Fetch what tills wait for first; of the listed topics all that there is.

        While their lists are full, no more of these is asked for: aiokafka fetches nothing of a
        broker for 100 ms while something that came of it waits (its `prefetch_backoff`).
        """
        active = set(active_partitions or ())
        answering = {tp for tp in active if tp.topic in self.app.answering}
        listed = {tp for tp in active if tp.topic in self.app.listed}
        turn = _Turn(self)
        if answering:
            await turn.fetch(consumer, answering, 0, _LIST)
        if not turn.records:
            await turn.fetch(consumer, active_partitions, timeout, max_records)
        elif others := active - answering - listed:
            await turn.fetch(consumer, others, 0, max_records)
        if listed:
            await turn.fetch(consumer, listed, 0, None)
            assigned = [tp for tp in consumer.assignment() if tp in listed]
            steer = consumer.pause if self.consumer.is_full_of_lists else consumer.resume
            steer(*assigned)
        self._note_ends(consumer)
        return turn.records

    def _note_ends(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        """Note what aiokafka passed over and no record follows: the marker of a transaction."""
        subscription = consumer._subscription.subscription  # noqa: SLF001 - `position` would wait
        assignment = subscription and subscription.assignment
        for tp, expected in self._fetched_to.items():
            state = assignment and assignment.state_value(tp)
            if state and state.has_valid_position and state.position > expected:
                self.holes.append((tp, expected, state.position))
                self._fetched_to[tp] = state.position

    def _note_holes(self, tp: TP, fetched: list[Any]) -> None:
        """Note offsets that the log does not have: markers, compacted or expired records."""
        expected, self._fetched_to[tp] = self._fetched_to[tp], fetched[-1].offset + 1
        if fetched[0].offset < expected:
            # aiokafka goes back to the start by itself; here those offsets count as taken.
            raise ConsistencyError(
                f"{tp.topic}, partition {tp.partition}, is not the log it was: offset "
                f"{fetched[0].offset} came where {expected} was next; start again to read it anew"
            )
        if self._fetched_to[tp] - expected == len(fetched):
            return
        for record in fetched:
            if record.offset > expected:
                self.holes.append((tp, expected, record.offset))
            expected = record.offset + 1

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Expect nothing of a partition until it is sought anew."""
        self._fetched_to.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek all partitions but the changelogs to where the group goes on.

        Without a commit that is the start of the log; aiokafka leaves such a partition where it
        is, although Faust drops what it fetches while it recovers and seeks back for it.

        Returns:
            the offset of each partition that was sought.
        """
        starts: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return starts

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        changelogs = self.app.tables.changelog_topics
        tps = [TP(*tp) for tp in consumer.assignment() if tp.topic not in changelogs]
        starts = {tp: await consumer.committed(tp) for tp in tps}
        await self._forget_beyond_end(starts)
        never = [tp for tp, at in starts.items() if at is None]
        if never:
            starts |= {TP(*tp): at for tp, at in (await consumer.beginning_offsets(never)).items()}
        # Together, without an await: see `fetch_noted`.
        self.seeks += 1
        for tp, at in starts.items():
            consumer.seek(TopicPartition(*tp), at)
            self._fetched_to[tp] = at
        return starts

    async def offsets_since(self, since_ms: int, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        """Per partition the first offset that is not older; None if all are."""
        found = await self.call_thread(
            self._ensure_consumer().offsets_for_times, dict.fromkeys(tps, since_ms)
        )
        return {TP(*tp): at and at.offset for tp, at in found.items()}

    def highwater(self, tp: TP) -> int | None:
        """The offset up to which a partition can be read, as the last fetch told it."""
        end, stable = self._ends(tp)
        return end if stable is None else stable

    def held_back(self, tp: TP) -> tuple[int, int]:
        """The offset up to which a partition can be read, and how many records lie behind it.

        An open transaction holds those back.
        """
        end, stable = self._ends(tp)
        return (0, 0) if end is None or stable is None else (stable, end - stable)

    def _ends(self, tp: TP) -> tuple[int | None, int | None]:
        consumer = self._ensure_consumer()
        try:
            return consumer.highwater(tp), consumer.last_stable_offset(tp)
        except AssertionError:  # aiokafka's: the partition was revoked this moment
            return None, None

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has; upstream asks the group's leader."""
        known: set[int] | None = None
        with contextlib.suppress(KeyError):  # renewed in the consumer's thread this moment
            known = self._consumer and self._consumer.partitions_for_topic(topic)
        return len(known) if known else None

    async def topic_identity(self, topic: str) -> str | None:
        """The ids of the cluster and of a topic; None if the broker has none for topics."""
        client = self._ensure_consumer()._client  # noqa: SLF001 - no public way
        identity: str | None = await self.call_thread(topic_identity, client, topic)
        return identity

    async def _forget_beyond_end(self, commits: dict[TP, int | None]) -> None:
        """Take a commit beyond the end for none: its topic was made again, or cut.

        aiokafka would read from the start, too, but commits would stay where they are.
        """
        ends = await self._highwaters([tp for tp, at in commits.items() if at])
        for tp, end in ends.items():
            at = commits[TP(*tp)]
            if at is not None and at > (end or 0):
                log.warning("%s ends at %s, and %d was committed: it is read anew", tp, end, at)
                commits[TP(*tp)] = None

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


class _Turn:
    """What several fetches brought; nothing of those before a seek: it comes again."""

    def __init__(self, thread: ConsumerThread) -> None:
        self._thread = thread
        self._seeks = thread.seeks
        self.records: dict[TopicPartition, list[Any]] = {}

    async def fetch(self, *args: Any) -> None:
        """Fetch once more."""
        fetched = await self._thread.fetch_noted(*args)
        if self._seeks != self._thread.seeks:
            self._seeks = self._thread.seeks
            self.records.clear()
        for tp, more in fetched.items():
            self.records[tp] = [*self.records.get(tp, ()), *more]


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


@dataclass(frozen=True, slots=True)
class Replay:
    """The records of a changelog partition that one fetch brought.

    They travel as one message, the last of them, so that Faust's account of offsets holds;
    `store.Store` writes them all.
    """

    records: Sequence[Any]


class Consumer(faust_driver.Consumer):
    """The consumer that agents see."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._progress = Progress()
        #: What the group has of each partition, as far as we know.
        self._written: dict[TP, int] = {}
        #: The generation in which partitions were sought; None before that.
        self._sought_in: int | None = None
        super().__init__(*args, **kwargs)
        self._batch_path = BatchPath(self.app, self._progress)
        self._list_path = ListPath(self.app, self._progress)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to where the group goes on, and count from there."""
        generation = self.app.consumer_generation_id
        starts: Mapping[TP, int] = await super().seek_to_committed()
        self._batch_path.drop_parked()  # it comes again
        if generation == self.app.consumer_generation_id:
            self._sought_in = generation
            self._progress.begin(starts)
            self._written |= starts
        return starts

    @property
    def is_full_of_lists(self) -> bool:
        """Whether the topics that are taken in lists should be fetched no more for now."""
        return self._list_path.is_full

    def held_back(self, tp: TP) -> tuple[int, int]:
        """See `ConsumerThread.held_back`."""
        held: tuple[int, int] = self._thread.held_back(tp)
        return held

    def finished_to(self, tp: TP) -> int | None:
        """The first offset of a partition that is not finished; None if it is not known."""
        return self._progress.position(tp)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Count anew: another worker may have gone on with a partition meanwhile."""
        self._progress.clear()
        self._written.clear()
        self._sought_in = None
        self._batch_path.clear()
        self._list_path.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def offsets_since(self, since_ms: int, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        """Per partition the first offset that is not older; None if all are."""
        found: Mapping[TP, int | None] = await self._thread.offsets_since(since_ms, tps)
        return found

    async def topic_identity(self, topic: str) -> str | None:
        """The ids of the cluster and of a topic; see `topic_identity`."""
        identity: str | None = await self._thread.topic_identity(topic)
        return identity

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
        """Fetch; what can be answered at once is answered, and the rest goes on to the agents."""
        fetched, active = await super()._wait_next_records(timeout)
        # Not the generation in which the wait began: it may have lasted for a whole rebalance. What
        # the thread fetched before a seek gets here before its end does.
        generation = self._sought_in
        # Without any, too: there may be room again for what was fetched before.
        if fetched is not None and not self.should_stop:
            fetched = self._list_path.take(fetched, generation)
            fetched = await self._batch_path.take(fetched, generation)
        return fetched, active

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - upstream's
    ) -> Mapping[TP, Sequence[Any]]:
        """Fetch; what came of a changelog becomes one message.

        Faust spends 100 to 200 us on each message of a recovery, whatever is in it: a million
        entries took 206 s to be read, and take 11 s so.
        """
        is_late = await self._batch_path.is_late()
        # A copy: upstream empties the set while a fetch waits with it, and for aiokafka an empty
        # one means all partitions. Their first records were taken and dropped, those of a
        # standby's changelog for good (seen in one of four fail-overs).
        active = None if active_partitions is None else set(active_partitions)
        parked = self._batch_path.parked
        if is_late and active is not None:
            parked |= {tp for tp in active if tp.topic in self.app.answering}
        if self.is_full_of_lists:
            timeout = _PARKED_SECONDS
        if active is not None and parked:
            active -= parked
            timeout = 0 if self._batch_path.is_ready else _PARKED_SECONDS
            if not active:  # for aiokafka, that is all
                await asyncio.sleep(timeout)
                return {}
        fetched: Mapping[TP, Sequence[Any]] = await super()._getmany(active, timeout)
        changelogs = self.app.tables.changelog_topics
        return {
            tp: [Replay(records)] if records and tp.topic in changelogs else records
            for tp, records in fetched.items()
        }

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

    async def on_stop(self) -> None:
        """Stop; the database is closed next."""
        try:
            await super().on_stop()
        finally:
            await self._list_path.stop()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: upstream's alarm is for streams, and most topics have none (see `stall`)."""

    async def wait_empty(self) -> None:
        """Wait for the events in flight, but not for ever; then commit.

        What is not finished in time stays uncommitted and is delivered again, and so is what waits
        for the database: nothing is fetched meanwhile, and an outage would hold up every till. Nor
        are commands waited for, which may wait for this very rebalance.
        Upstream's loop has no end and swallows cancellation, so it cannot be bounded from outside.
        """
        drain_seconds = self.app.tuning.drain_seconds
        give_up_at = time.monotonic() + drain_seconds
        self._batch_path.drop_parked()
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
        not_waited_for = self.app.listed | self.app.not_waited_for
        on_their_way = sum(
            message.topic not in not_waited_for for message in self._unacked_messages
        )
        return on_their_way + self._batch_path.in_flight

    async def _commit_last(self) -> None:
        # A commit under way may have begun before the last acks; upstream would leave it at that,
        # and what it left out would be answered twice.
        await self.maybe_wait_for_commit_to_finish()
        await self.commit_and_end_transactions()


class Transport(faust_driver.Transport):
    """The transport with our consumer and producer."""

    Consumer = Consumer
    Producer = Producer
