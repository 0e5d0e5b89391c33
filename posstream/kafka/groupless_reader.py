"""Topics on Kafka, read whole and without a group: every worker sees every record of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Never

import aiokafka

log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 0.5
_POLL_MS: Final = 1000
#: How long it may take to see partitions that were added to a topic.
_METADATA_MS: Final = 10_000
#: Of one fetch: whoever takes them holds the event loop for so long.
_MOST_RECORDS: Final = 500


class GrouplessReader:
    """All partitions of some topics. It keeps its place while it is not connected.

    Where its place is gone (the topic was made anew, or retention was faster), it reads on from
    the oldest record that there is.
    """

    def __init__(self, servers: Sequence[str], *topics: str) -> None:
        self._servers = list(servers)
        self._topics = topics
        self._places: dict[aiokafka.TopicPartition, int] = {}
        self._partitions: list[aiokafka.TopicPartition] = []
        self._consumer: Any = None

    @property
    def is_connected(self) -> bool:
        """Whether it can be read from."""
        return self._consumer is not None

    async def connect(self, *, fetch_wait_ms: int) -> None:
        """Go to where it was, or else to the beginning.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back.

        Raises:
            KafkaError: if the topics cannot be read; `disconnect` before another try.
        """
        self._consumer = consumer = aiokafka.AIOKafkaConsumer(
            *self._topics,
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=fetch_wait_ms,
            max_poll_records=_MOST_RECORDS,
            metadata_max_age_ms=_METADATA_MS,
        )
        await consumer.start()
        self._partitions = sorted(consumer.assignment())
        # A subscription would forget all places when a topic gets another partition.
        consumer.unsubscribe()
        consumer.assign(self._partitions)
        for partition, place in self._places.items():
            consumer.seek(partition, place)

    async def disconnect(self) -> None:
        """Close the connection. Idempotent."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def skip_to_the_end(self) -> None:
        """Go to behind the last record."""
        # The embedded broker's ends are those of the first record in the last batch. The last
        # record is read, therefore, and tells where the end is; Kafka answers that at once.
        for partition, end in (await self._consumer.end_offsets(self._partitions)).items():
            self._consumer.seek(partition, max(0, end - 1))
        await self.read_to_the_end(lambda _: None)

    async def read_to_the_end(self, take: Callable[[Any], None]) -> None:
        """Give what is there now to `take`, record by record, as aiokafka's ConsumerRecord."""
        told = await self._consumer.end_offsets(self._partitions)
        behind = {partition for partition, end in told.items() if end > 0}
        while True:
            # Where the embedded broker's topics end, only a fetch tells.
            behind = {it for it in behind if await self._is_before(it, told[it])}
            if not behind:
                return
            for record in await self.fetch(*behind):
                take(record)

    async def _is_before(self, partition: aiokafka.TopicPartition, told: int) -> bool:
        # Not the high watermark: records behind an open transaction are not delivered.
        end = max(told, self._consumer.last_stable_offset(partition) or 0)
        return bool(await self._consumer.position(partition) < end)

    async def fetch(self, *partitions: aiokafka.TopicPartition) -> list[Any]:
        """The next records, of these partitions or of all; none if there are none for a second."""
        await self._take_added()
        fetched = await self._consumer.getmany(*partitions, timeout_ms=_POLL_MS)
        for partition, records in fetched.items():
            if records:
                self._places[partition] = records[-1].offset + 1
        return [record for records in fetched.values() for record in records]

    async def _take_added(self) -> None:
        """Also read partitions that were added to a topic, each from its beginning."""
        known = {
            aiokafka.TopicPartition(topic, number)
            for topic in self._topics
            for number in self._consumer.partitions_for_topic(topic) or ()
        }
        if known <= set(self._partitions):
            return
        places = {it: await self._consumer.position(it) for it in self._partitions}
        self._partitions = sorted(known | places.keys())
        self._consumer.assign(self._partitions)
        for partition, place in places.items():
            self._consumer.seek(partition, place)

    def forget_place(self) -> None:
        """Start anew at the next connection."""
        self._places.clear()

    async def repeat(self, step: Callable[[], Awaitable[None]]) -> Never:
        """Do a step for ever; after one that failed, without the connection that it had."""
        troubled = False
        while True:
            try:
                await step()
                troubled = False
            except Exception as why:  # noqa: BLE001 - nothing watches this task but us
                if not troubled:
                    log.warning("cannot read %s (%r); trying on", ", ".join(self._topics), why)
                troubled = True
                await self.disconnect()
                await asyncio.sleep(_PAUSE_SECONDS)
