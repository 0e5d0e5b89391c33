"""A till's view of the topics: no Faust and no consumer group, as any other service would do it."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from agents.customer_lookup.topics import (
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_IDENTIFIED,
    CUSTOMER_LOOKUP_FAILED,
)
from posstream.domain.errors import BrokerUnreachable
from posstream.json.reading import read_json_exactly
from posstream.kafka.counts import partitions_of
from posstream.kafka.reader import GrouplessReader, topic_reader
from posstream.kafka.record import Record
from posstream.kafka.security import Brokers
from posstream.kafka.writer import TopicWriter

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
    """Sends events and sees the answers of all partitions."""

    def __init__(self, writer: TopicWriter, reader: GrouplessReader) -> None:
        self._writer = writer
        self._reader = reader
        #: Fetched, and not looked at yet.
        self._waiting: deque[Any] = deque()

    async def send(self, record: Record) -> None:
        """Send one record and wait for the acknowledgement of all in-sync replicas."""
        await self._writer.write(record)

    async def answer(self, timeout_seconds: float, **expected: str) -> Arrived | None:
        """The next answer whose fields are as expected; None when the time is up."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    message = await self._next()
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
            return None

    async def _next(self) -> Any:
        while not self._waiting:
            self._waiting.extend(await self._reader.fetch())
        return self._waiting.popleft()


@asynccontextmanager
async def topic_client(
    brokers: Brokers, *, from_beginning: bool = False
) -> AsyncIterator[TopicClient]:
    """Connect; answers from now on, or from the beginning of the topics."""
    await _refuse_missing_topics(brokers)
    async with topic_reader(brokers, *ANSWERS) as reader, TopicWriter(brokers) as writer:
        if not from_beginning:
            await reader.skip_to_the_end()
        yield TopicClient(writer, reader)


async def _refuse_missing_topics(brokers: Brokers) -> None:
    """Refuse to go on without the topics: a broker would create them with partitions of its own."""
    known = await partitions_of(brokers, _NEEDED)
    for topic in _NEEDED:
        if topic not in known:
            raise BrokerUnreachable(
                f"the broker at {', '.join(brokers)} has no topic {topic}: start a worker once, "
                "it creates the topics"
            )
