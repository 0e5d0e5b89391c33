"""A till's view of the topics: plain aiokafka, no Faust, as any other service would do it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiokafka

from agents.customer_lookup.topics import (
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_IDENTIFIED,
    CUSTOMER_LOOKUP_FAILED,
)
from posstream.domain.errors import BrokerUnreachable
from posstream.json.reading import read_json_exactly
from posstream.kafka.partition_counts import partitions_of
from posstream.kafka.record import Record

ANSWERS: Final = (CUSTOMER_DATA_FETCHED, CUSTOMER_LOOKUP_FAILED)
_NEEDED: Final = (CUSTOMER_IDENTIFIED, *ANSWERS)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One answer as it came from its topic."""

    topic: str
    partition: int
    offset: int
    value: dict[str, Any]
    #: Monotonic seconds at which it was seen.
    at: float


class TopicClient:
    """Sends events and sees the answers of all partitions, without a consumer group."""

    def __init__(
        self, producer: aiokafka.AIOKafkaProducer, consumer: aiokafka.AIOKafkaConsumer
    ) -> None:
        self._producer = producer
        self._consumer = consumer

    async def send(self, record: Record) -> None:
        """Send one record and wait for the acknowledgement of all in-sync replicas."""
        await self._producer.send_and_wait(
            record.topic, record.value, key=record.key, headers=list(record.headers)
        )

    async def answer(self, timeout_seconds: float, **expected: str) -> Arrived | None:
        """The next answer whose fields are as expected; None when the time is up."""
        try:
            async with asyncio.timeout(timeout_seconds):
                async for message in self._consumer:
                    value = read_json_exactly(message.value)
                    if all(value.get(name) == wanted for name, wanted in expected.items()):
                        return Arrived(
                            message.topic,
                            message.partition,
                            message.offset,
                            value,
                            time.monotonic(),
                        )
        except TimeoutError:
            pass
        return None


@asynccontextmanager
async def topic_client(
    servers: Sequence[str], *, from_beginning: bool = False
) -> AsyncIterator[TopicClient]:
    """Connect; answers from now on, or from the beginning of the topics."""
    await _refuse_missing_topics(servers)
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=list(servers), acks="all")
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=list(servers),
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=20,
    )
    try:
        await producer.start()
        await consumer.start()
        partitions = [
            aiokafka.TopicPartition(topic, number)
            for topic in ANSWERS
            for number in await producer.partitions_for(topic)
        ]
        consumer.assign(partitions)
        if from_beginning:
            await consumer.seek_to_beginning(*partitions)
        else:
            await consumer.seek_to_end(*partitions)
        yield TopicClient(producer, consumer)
    finally:
        await consumer.stop()
        await producer.stop()


async def _refuse_missing_topics(servers: Sequence[str]) -> None:
    """Refuse to make topics by asking for them: they would get the broker's partitions."""
    known = await partitions_of(servers, _NEEDED)
    for topic in _NEEDED:
        if topic not in known:
            raise BrokerUnreachable(
                f"the broker at {', '.join(servers)} has no topic {topic}: start a worker once, "
                "it creates the topics"
            )
