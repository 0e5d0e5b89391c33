"""A topic read to its end by plain aiokafka, without a consumer group: it leaves no trace."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiokafka
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.answering import answering
from posstream.kafka.topics import DEAD_LETTER_MAX_BYTES

#: Seconds without a record, before the end, after which the broker is given up.
_STALL_SECONDS: Final = 10
_FETCH_MS: Final = 200


class TopicReader:
    """Reads topics as they are now; what is written meanwhile may or may not be seen."""

    def __init__(
        self, consumer: aiokafka.AIOKafkaConsumer, partitions: Mapping[str, frozenset[int]]
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions

    def partitions(self, topic: str) -> Collection[int]:
        """The numbers of a topic's partitions; none if the broker does not have it."""
        return self._partitions.get(topic, frozenset())

    async def first_offsets(self, topic: str) -> Mapping[int, int]:
        """The oldest offset that each partition has; above 0, what was before it is gone."""
        tps = [TopicPartition(topic, number) for number in self.partitions(topic)]
        first = await self._consumer.beginning_offsets(tps)
        return {tp.partition: offset for tp, offset in first.items()}

    async def records(
        self, topic: str, starts: Mapping[int, int] | None = None, *, last: int | None = None
    ) -> AsyncIterator[Any]:
        """The topic's records as aiokafka's ConsumerRecord, each partition in its order.

        Args:
            topic: which; one that the broker does not have is empty.
            starts: the partitions to read, and the offset at which to start in each; every
                partition from its beginning unless given.
            last: of each partition at most about so many, the last ones.

        Raises:
            BrokerUnreachable: if the broker stops giving records before the end: what was read
                until then is not all.
        """
        wanted = dict.fromkeys(self.partitions(topic), 0) if starts is None else starts
        offsets = {
            TopicPartition(topic, number): offset
            for number, offset in wanted.items()
            if number in self.partitions(topic)
        }
        first = await self._consumer.beginning_offsets(offsets)
        told = await self._consumer.end_offsets(offsets)
        waiting = {tp for tp in offsets if told[tp] > first[tp]}
        if not waiting:
            return
        self._consumer.assign(list(waiting))
        for tp in waiting:
            oldest = first[tp] if last is None else told[tp] - last
            self._consumer.seek(tp, max(offsets[tp], first[tp], oldest))
        ends: dict[TopicPartition, int] = {}
        while waiting:
            try:
                async with asyncio.timeout(_STALL_SECONDS):
                    arrived = await self._fetch(waiting, told, ends)
            except TimeoutError:
                raise BrokerUnreachable(
                    f"{topic} could not be read to its end: nothing came for {_STALL_SECONDS} s"
                ) from None
            for message in arrived:
                yield message

    async def _fetch(
        self,
        waiting: set[TopicPartition],
        told: Mapping[TopicPartition, int],
        ends: dict[TopicPartition, int],
    ) -> list[Any]:
        """The next records; partitions at their end leave `waiting`."""
        while True:
            fetched = await self._consumer.getmany(*waiting, timeout_ms=_FETCH_MS)
            # Only a fetch tells the end: the embedded broker's `end_offsets` are too low.
            for tp in waiting:
                # Not the high watermark: records behind an open transaction are not delivered.
                stable = self._consumer.last_stable_offset(tp)
                if tp not in ends and stable is not None:
                    ends[tp] = max(told[tp], stable)
            finished = {
                tp for tp in waiting & ends.keys() if await self._consumer.position(tp) >= ends[tp]
            }
            waiting -= finished
            if fetched or finished:
                return [message for batch in fetched.values() for message in batch]


@asynccontextmanager
async def topic_reader(
    servers: Sequence[str], *, most_at_once: int | None = None
) -> AsyncIterator[TopicReader]:
    """Connect. Somebody must have called `streaming.records.install` before.

    Args:
        servers: the broker's.
        most_at_once: of one fetch: whoever takes them holds the event loop for so long.

    Raises:
        BrokerUnreachable: if no broker answers, or it fails while it is read.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=list(servers))
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=list(servers),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=20,
        max_partition_fetch_bytes=2 * DEAD_LETTER_MAX_BYTES,
        max_poll_records=most_at_once,
    )
    try:
        with answering(servers):
            await admin.start()
            await consumer.start()
            known = await admin.describe_topics()
            yield TopicReader(
                consumer,
                {it["topic"]: frozenset(p["partition"] for p in it["partitions"]) for it in known},
            )
    finally:
        await consumer.stop()
        await admin.close()
