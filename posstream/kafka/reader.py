"""Reads topics without a consumer group: all partitions, to their end now or for ever."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Never

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.connection import administering, answering, consumer_of
from posstream.kafka.security import Brokers
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 0.5
#: How often a broker is asked for a topic that was made a moment ago.
_TRIES: Final = 10
#: How long a fetch waits for the next records.
_POLL_MS: Final = 1000
#: How long a fetch waits while the end is looked for.
_FETCH_MS: Final = 200
#: Seconds without a record, before the end, after which the broker is given up.
_STALL_SECONDS: Final = 10
#: How long a broker may take to let topics be read to their end at a start.
_PATIENCE_SECONDS: Final = 10
#: How long aiokafka waits before it tries again: it does so once for each topic that it did not
#: know. That is too long for somebody who waits for an answer.
_RETRY_MS: Final = 100
_SOON_MS: Final = 10
#: Records of one fetch: they are handled before the event loop runs anything else.
_MOST_RECORDS: Final = 500


class GrouplessReader:
    """Reads all partitions of some topics, and keeps its place while it is not connected.

    If the record at its place is gone (the topic was made anew, or retention was faster), it reads
    on from the oldest record.

    Args:
        brokers: host:port of each.
        topics: which.
        most_at_once: records of one fetch.
        retry_ms: pause before another try.
    """

    def __init__(
        self,
        brokers: Brokers,
        *topics: str,
        most_at_once: int = _MOST_RECORDS,
        retry_ms: int = _RETRY_MS,
    ) -> None:
        self._brokers = brokers
        self._topics = topics
        self._most_at_once = most_at_once
        self._retry_ms = retry_ms
        self._places: dict[TopicPartition, int] = {}
        self._partitions: list[TopicPartition] = []
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._consumer: Any = None
        self._fetch_wait_ms = 20
        self._following: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the reader can read."""
        return self._consumer is not None

    async def connect(self, *, fetch_wait_ms: int | None = None, needs_all: bool = True) -> None:
        """Connect, and go to the place in each partition, or else to its beginning.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back; None = as before.
            needs_all: every topic must exist; else a missing one is empty.

        Raises:
            KafkaError, BrokerUnreachable: if the topics cannot be read; `disconnect` before
                another try.
        """
        if fetch_wait_ms is not None:
            self._fetch_wait_ms = fetch_wait_ms
        self._consumer = consumer_of(
            self._brokers,
            fetch_max_wait_ms=self._fetch_wait_ms,
            max_poll_records=self._most_at_once,
            retry_backoff_ms=self._retry_ms,
        )
        self._assigned = frozenset()
        await self._consumer.start()
        # Only after the start: aiokafka's consumer cannot be stopped right after its start.
        self._partitions = await self._described(needs_all=needs_all)

    async def _described(self, *, needs_all: bool) -> list[TopicPartition]:
        # Ask for the list of all topics: a broker may create a topic that it is asked for by name.
        async with administering(self._brokers) as admin:
            for _ in range(_TRIES):
                known = {it["topic"]: it["partitions"] for it in await admin.describe_topics()}
                missing = [topic for topic in self._topics if not known.get(topic)]
                if not needs_all or not missing:
                    return sorted(
                        TopicPartition(topic, it["partition"])
                        for topic in self._topics
                        for it in known.get(topic, ())
                    )
                await asyncio.sleep(_PAUSE_SECONDS)
        raise UnknownTopicOrPartitionError(missing[0])

    async def disconnect(self) -> None:
        """Close the connection. Idempotent."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def forget_place(self) -> None:
        """Start from the beginning at the next connection."""
        self._places.clear()

    def partitions(self, topic: str) -> Collection[int]:
        """The numbers of a topic's partitions; none if the broker does not have the topic."""
        return [it.partition for it in self._of(topic)]

    async def first_offsets(self, topic: str) -> Mapping[int, int]:
        """The oldest offset of each partition; above 0, what was before it is gone."""
        first = await self._consumer.beginning_offsets(self._of(topic))
        return {partition.partition: offset for partition, offset in first.items()}

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        """The offset after the last record of each partition of a topic, as the broker tells it.

        The embedded broker tells the first offset of the last batch plus one.
        """
        ends = await self._consumer.end_offsets(self._of(topic))
        return {partition.partition: offset for partition, offset in ends.items()}

    async def offsets_since(self, topic: str, since_ms: int) -> Mapping[int, int]:
        """The first offset of each partition that is not older; partitions without are left out."""
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._of(topic), since_ms))
        return {it.partition: at.offset for it, at in found.items() if at is not None}

    def _of(self, topic: str) -> list[TopicPartition]:
        return [it for it in self._partitions if it.topic == topic]

    async def skip_to_the_end(self) -> None:
        """Go behind the last record of each partition; right after `connect`."""
        # The last record is read: the embedded broker's ends are too low (see `_to_the_end`).
        first, told = await self._ends(self._partitions)
        self._assign({it: max(first[it], told[it] - 1) for it in self._partitions})
        async for _ in self._to_the_end(first, told):
            pass

    async def read_to_the_end(self, take: Callable[[Any], None]) -> None:
        """Give the records up to now to `take`, one by one, as aiokafka's ConsumerRecord.

        Call it right after `connect`: the ends that an earlier fetch told may be old.
        """
        first, told = await self._ends(self._partitions)
        self._assign_all()
        async for record in self._to_the_end(first, told):
            take(record)

    async def records(
        self, topic: str, starts: Mapping[int, int] | None = None, *, last: int | None = None
    ) -> AsyncIterator[Any]:
        """One topic's records up to now, as aiokafka's ConsumerRecord, each partition in order.

        What is written meanwhile may or may not be seen.

        Args:
            topic: one of the reader's; one that the broker does not have is empty.
            starts: the partitions to read, and the offset at which to start in each; every
                partition from its beginning unless given.
            last: about how many records to read at the end of each partition; None = all.

        Raises:
            BrokerUnreachable: if the broker stops giving records before the end: what was read
                until then is not all.
        """
        wanted = dict.fromkeys(self.partitions(topic), 0) if starts is None else starts
        asked = {
            TopicPartition(topic, number): offset
            for number, offset in wanted.items()
            if number in self.partitions(topic)
        }
        first, told = await self._ends(asked)
        places = {
            it: max(offset, first[it], 0 if last is None else told[it] - last)
            for it, offset in asked.items()
            if told[it] > first[it]
        }
        if not places:  # aiokafka's consumer may hang if it is stopped right after an assignment
            return
        self._assign(places)
        async for record in self._to_the_end(first, told):
            yield record

    async def _ends(
        self, partitions: Collection[TopicPartition]
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """The first and the end offset of each partition, as the broker tells them."""
        asked = list(partitions)
        return (
            await self._consumer.beginning_offsets(asked),
            await self._consumer.end_offsets(asked),
        )

    async def _to_the_end(
        self, first: Mapping[TopicPartition, int], told: Mapping[TopicPartition, int]
    ) -> AsyncIterator[Any]:
        """The records of the assigned partitions up to the end that each has now.

        The embedded broker gives the first record of the last batch as the end; only a fetch tells
        the true end.
        """
        waiting = {it for it in self._assigned if told[it] > first[it]}
        ends: dict[TopicPartition, int] = {}
        while waiting:
            try:
                async with asyncio.timeout(_STALL_SECONDS):
                    arrived = await self._fetch_before_end(waiting, told, ends)
            except TimeoutError:
                topics = ", ".join(sorted({it.topic for it in waiting}))
                raise BrokerUnreachable(
                    f"{topics} could not be read to its end: nothing came for {_STALL_SECONDS} s"
                ) from None
            for record in arrived:
                yield record

    async def _fetch_before_end(
        self,
        waiting: set[TopicPartition],
        told: Mapping[TopicPartition, int],
        ends: dict[TopicPartition, int],
    ) -> list[Any]:
        """The next records; partitions at their end leave `waiting`."""
        while True:
            arrived = await self._fetch(waiting, _FETCH_MS)
            for partition in waiting - ends.keys():
                # Not the high watermark: records behind an open transaction are not delivered.
                stable = self._consumer.last_stable_offset(partition)
                if stable is not None:
                    ends[partition] = max(told[partition], stable)
            finished = {
                it for it in waiting & ends.keys() if await self._consumer.position(it) >= ends[it]
            }
            waiting -= finished
            if arrived or finished:
                return arrived

    async def fetch(self) -> list[Any]:
        """The next records of all partitions; none if there are none for a second."""
        if not self.is_connected:
            await self.connect()
        self._assign_all()
        await self._take_added()
        return await self._fetch(self._partitions, _POLL_MS)

    async def _fetch(self, partitions: Collection[TopicPartition], wait_ms: int) -> list[Any]:
        fetched = await self._consumer.getmany(*partitions, timeout_ms=wait_ms)
        for partition, records in fetched.items():
            if records:
                self._places[partition] = records[-1].offset + 1
        return [record for records in fetched.values() for record in records]

    async def _take_added(self) -> None:
        """Also read partitions that were added to a topic, each from its beginning."""
        known = {
            TopicPartition(topic, number)
            for topic in self._topics
            for number in self._consumer.partitions_for_topic(topic) or ()
        }
        if known <= set(self._partitions):
            return
        places = {it: await self._consumer.position(it) for it in self._partitions}
        self._partitions = sorted(known | places.keys())
        self._assign(dict.fromkeys(self._partitions) | places)

    def _assign_all(self) -> None:
        """All partitions, each from its place; else from the beginning."""
        if self._assigned != frozenset(self._partitions):
            self._assign(dict.fromkeys(self._partitions) | self._places)

    def _assign(self, places: Mapping[TopicPartition, int | None]) -> None:
        # Not a subscription: that forgets all places when a topic gets another partition.
        self._consumer.assign(list(places))
        self._assigned = frozenset(places)
        for partition, place in places.items():
            if place is not None:
                self._consumer.seek(partition, place)

    async def catch_up(self, take: Callable[[Any], None], *, fetch_wait_ms: int) -> None:
        """Connect and give the records up to now to `take`, within some seconds.

        Raises:
            BrokerUnreachable: if the topics cannot be read.
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self.connect(fetch_wait_ms=fetch_wait_ms)
                await self.read_to_the_end(take)
        except (KafkaError, OSError) as why:
            await self.disconnect()
            raise BrokerUnreachable(
                f"topic {', '.join(self._topics)} cannot be read ({type(why).__name__}): "
                "see POSSTREAM_BROKER"
            ) from why

    def follow(self, step: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Repeat a step in a task of this name until `close`."""
        self._following = asyncio.create_task(self._repeat(step), name=name)

    async def close(self) -> None:
        """Follow no more, and disconnect. Idempotent."""
        task, self._following = self._following, None
        await stop_task(task)
        await self.disconnect()

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> Never:
        """Repeat a step for ever; after a step that failed, disconnect first."""
        troubled = False
        while True:
            try:
                await step()
                if troubled:
                    log.warning("%s can be read again", ", ".join(self._topics))
                troubled = False
            except Exception as why:  # noqa: BLE001 - nothing watches this task but us
                if not troubled:
                    log.warning("cannot read %s (%r); trying on", ", ".join(self._topics), why)
                troubled = True
                await self.disconnect()
                await asyncio.sleep(_PAUSE_SECONDS)


@asynccontextmanager
async def topic_reader(
    brokers: Brokers, *topics: str, most_at_once: int = _MOST_RECORDS
) -> AsyncIterator[GrouplessReader]:
    """A connected reader of topics that need not exist.

    Raises:
        BrokerUnreachable: if no broker answers, or it fails while it is read.
    """
    reader = GrouplessReader(brokers, *topics, most_at_once=most_at_once, retry_ms=_SOON_MS)
    try:
        async with answering(brokers):
            await reader.connect(needs_all=False)
            yield reader
    finally:
        await reader.disconnect()
