"""The thread that owns the aiokafka consumer: fetches, seeks, and a place in the group.

1. Fetch wait: Faust hard-codes 1,500 ms, and the embedded broker sleeps it through instead of
   long-polling: 410 ms a hop at the median, 10 ms with a wait of 20 ms. See also `pace`. While
   tables are recovered, a fetch holds up other requests for at most 20 ms.
2. Read committed: unless Faust writes transactions itself, upstream also reads records of
   transactions that are still open, or were aborted.
3. Tills first: topics that are answered in lists are fetched first, up to the most that one fetch
   may bring. Among them come first those that a plugin wants first, in up to three quarters of it.
4. Holes: offsets that the log does not have are noted here, in the thread that also seeks.
5. Starts: aiokafka leaves a partition without a commit at its present place; here it is sought to
   its start, also if its commit lies beyond its end.
6. Ends: an error that ends the consumer's part in the group crashes the app, and leaving the group
   at a stop takes no longer than some seconds.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import aiokafka
from aiokafka import TopicPartition
from faust.exceptions import ConsistencyError
from faust.transport.drivers import aiokafka as faust_driver
from faust.types import TP

from posstream.kafka.topic_identity import topic_identity
from posstream.streaming.patches import records
from posstream.streaming.patches.client import leave_at_stop
from posstream.streaming.patches.pace import FetchPace
from posstream.streaming.patches.watermarks import probed

log = logging.getLogger(__name__)

_FETCH_BYTES: Final = 4 * 1024 * 1024
#: How long fetches wait while tables are recovered. A broker answers the requests of a connection
#: one after the other: behind a fetch that waits for 500 ms, a request for offsets took as long,
#: and a start two seconds more.
_FIRST_WAIT_MS: Final = 20
_GROUP_WATCH_SECONDS: Final = 1.0
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
        #: Whether all partitions were sought since the last assignment.
        self._is_placed = False
        self._pace = FetchPace()
        super().__init__(*args, **kwargs)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._key_deserializer = records.as_read  # Faust takes none
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = _FIRST_WAIT_MS
        # Even on a slow link, one answer must get through within `client.REQUEST_SECONDS`.
        consumer._fetch_max_bytes = _FETCH_BYTES
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, and watch over its place in the group."""
        await super().on_start()
        self.add_future(self._watch_group())

    async def _watch_group(self) -> None:
        # An error that aiokafka does not know ends its part in the group silently: aiokafka keeps
        # the error for callers of `getmany`, which Faust does not call.
        while not self.should_stop:
            await self.sleep(_GROUP_WATCH_SECONDS)
            try:
                self._ensure_consumer()._coordinator.check_errors()
            except Exception as why:  # noqa: BLE001 - after any error the group is lost
                crash = self.app.crash(why)
                asyncio.run_coroutine_threadsafe(crash, self.parent_loop)
                return

    async def on_thread_stop(self) -> None:
        """Leave the group, so that others go on at once, if its coordinator is there.

        Upstream has three faults here. A worker with a name stays in the group for the whole
        session timeout. The search for a coordinator never ends. And the cancellation of a fetch
        ends this thread, so callers wait for it in vain.
        """
        if self._consumer is not None:
            leave_at_stop(self._consumer)
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await super().on_thread_stop()

    def stay(self) -> None:
        """Stay in the group while nothing is fetched: aiokafka would leave it in some minutes."""
        if self._consumer is not None:
            # aiokafka's count of fetches under way. Safe from another thread: there are none now.
            with self._consumer._subscription.fetch_context():
                pass

    async def fetch_noted(self, *args: Any) -> Mapping[TopicPartition, list[Any]]:
        """Fetch as upstream does, and note what the log does not have."""
        brought: Mapping[TopicPartition, list[Any]] = await super()._fetch_records(*args)
        # Nothing is awaited from here on: no seek can come between a fetch and its account.
        for tp, fetched in brought.items():
            if tp in self._fetched_to:
                self._note_holes(TP(*tp), fetched)
        return brought

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP] | None,
        timeout: float | None = None,  # noqa: ASYNC109 - upstream's
        max_records: int | None = None,
    ) -> Mapping[TopicPartition, list[Any]]:
        """Fetch first what tills wait for; wait for other topics only if there is nothing of it."""
        active = set(active_partitions or ())
        answering = {tp for tp in active if tp.topic in self.app.answering}
        fetches = _Fetches(self)
        first = {tp for tp in answering if tp.topic in self.app.answered_first}
        rest = answering - first
        room = self.app.most_fetched
        # However long the backlog of the first ones is, the rest must go on, too.
        room_for_first = room - room // 4 if rest else room
        for some, most in ((first, room_for_first), (rest, room)):
            if some and fetches.count < most:
                await fetches.fetch(consumer, some, 0, most - fetches.count)
        if not fetches.records:
            await fetches.fetch(consumer, active_partitions, timeout, max_records)
        elif others := active - answering:
            await fetches.fetch(consumer, others, 0, max_records)
        self._note_ends(consumer)
        if self._is_placed:
            self._pace.set(
                consumer,
                brought=fetches.count,
                wait_ms=self.app.tuning.fetch_wait_ms,
                quiet_wait_ms=self.app.tuning.quiet_fetch_wait_ms,
                gathers=self.app.tuning.gathers,
                gathers_from=self.app.gathers_from,
            )
        return fetches.records

    def _note_ends(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        """Note offsets that aiokafka passed and no record follows: markers of transactions."""
        subscription = consumer._subscription.subscription  # `position` would wait
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
                f"{tp.topic}, partition {tp.partition}, is another log than before: offset "
                f"{fetched[0].offset} came where {expected} was next; start again to read it anew"
            )
        if self._fetched_to[tp] - expected == len(fetched):
            return
        for record in fetched:
            if record.offset > expected:
                self.holes.append((tp, expected, record.offset))
            expected = record.offset + 1

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Forget the next offset of each partition: all partitions are sought again."""
        self._fetched_to.clear()
        self._is_placed = False
        fetcher = self._ensure_consumer()._fetcher
        fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = _FIRST_WAIT_MS, 1
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek all partitions but the changelogs to where the group goes on.

        A partition without a commit goes to the start of its log. aiokafka would leave it where it
        is; but Faust drops the records that it fetches during a recovery, so they must come again.

        Returns:
            the offset of each partition that was sought.
        """
        starts: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return starts

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        changelogs = self.app.tables.changelog_topics
        tps = [TP(*tp) for tp in consumer.assignment() if tp.topic not in changelogs]
        # One request: `committed` would ask the broker for each partition in turn.
        commits = await consumer._coordinator.fetch_committed_offsets(tps)
        starts: dict[TP, Any] = {tp: commits[tp].offset if tp in commits else None for tp in tps}
        await self._forget_beyond_end(starts)
        never = [tp for tp, at in starts.items() if at is None]
        if never:
            starts |= {TP(*tp): at for tp, at in (await consumer.beginning_offsets(never)).items()}
        # Together, without an await: see `fetch_noted`.
        self.seeks += 1
        self._is_placed = True
        # `_fetch_records` sets it anew, unless all topics are parked.
        consumer._fetcher._fetch_max_wait_ms = self.app.tuning.fetch_wait_ms
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
        if self._consumer is None:
            return None
        # Not `partitions_for_topic`: it makes a set, and each lookup asks some times.
        known = self._consumer._client.cluster._partitions.get(topic)
        return len(known) if known else None

    async def topic_identity(self, topic: str) -> str | None:
        """The ids of the cluster and of a topic; None if the broker has none for topics."""
        client = self._ensure_consumer()._client
        identity: str | None = await self.call_thread(topic_identity, client, topic)
        return identity

    async def _forget_beyond_end(self, commits: dict[TP, int | None]) -> None:
        """Ignore a commit beyond the end of its log: the topic was made again, or cut.

        aiokafka would read from the start, too, but would leave the commit where it is.
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
            servers = faust_driver.server_list(self.transport.url, self.transport.default_port)
            ends |= await probed(servers, {tp: end for tp, end in ends.items() if end})
        return ends


class _Fetches:
    """The records of several fetches; those from before a seek are dropped: they come again."""

    def __init__(self, thread: ConsumerThread) -> None:
        self._thread = thread
        self._seeks = thread.seeks
        self.records: dict[TopicPartition, list[Any]] = {}

    @property
    def count(self) -> int:
        """How many records there are."""
        return sum(map(len, self.records.values()))

    async def fetch(self, *args: Any) -> None:
        """Fetch once more."""
        fetched = await self._thread.fetch_noted(*args)
        if self._seeks != self._thread.seeks:
            self._seeks = self._thread.seeks
            self.records.clear()
        for tp, more in fetched.items():
            self.records[tp] = [*self.records.get(tp, ()), *more]
