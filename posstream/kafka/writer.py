"""Writes records to topics, each acknowledged by all in-sync replicas (acks=all)."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import Any, Final, NamedTuple, Self

from aiokafka.errors import KafkaError, KafkaTimeoutError

from posstream.domain.errors import BrokerUnreachable, PublishFailed
from posstream.kafka.connection import producer_of
from posstream.kafka.partitioner import partitioner
from posstream.kafka.record import Record
from posstream.kafka.security import Brokers
from posstream.resilience.retry import growing_pauses

log = logging.getLogger(__name__)

#: How long a broker may take to acknowledge a record.
_REQUEST_SECONDS: Final = 10.0
#: How long a stop waits for records on their way.
_STOP_SECONDS: Final = 5


class Written(NamedTuple):
    """The place of a record in its topic."""

    partition: int
    offset: int


class TopicWriter:
    """Writes records; connects with the first one.

    Args:
        brokers: host:port of each.
        within_seconds: how long a record is tried; None = until the broker has it or refuses it.
    """

    def __init__(
        self, brokers: Brokers, *, within_seconds: float | None = _REQUEST_SECONDS
    ) -> None:
        self._brokers = brokers
        self._within_seconds = within_seconds
        self._producer: Any = None
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def write(self, record: Record, *, is_alone: bool = False) -> Written:
        """Write a record and wait for the acknowledgement.

        Args:
            record: the record.
            is_alone: send it in a batch of its own, so that it is not refused because of another.

        Raises:
            PublishFailed: the broker refuses the record for good; the cause is Kafka's error.
            BrokerUnreachable: no acknowledgement came in time; the record may be written yet.
        """
        try:
            async with asyncio.timeout(self._within_seconds):
                return await self._tried(record, is_alone=is_alone)
        except (KafkaError, OSError) as why:
            raise BrokerUnreachable(
                f"the Kafka broker at {', '.join(self._brokers)} did not acknowledge it "
                f"({type(why).__name__}): see POSSTREAM_BROKER"
            ) from why

    async def send(self, record: Record) -> Awaitable[None]:
        """Hand a record over; see `EventPublisher.send`."""
        return asyncio.ensure_future(self.publish(record))

    async def publish(self, record: Record) -> None:
        """Hand a record over and wait for the acknowledgement; see `EventPublisher.publish`."""
        try:
            await self.write(record)
        except BrokerUnreachable as why:
            raise PublishFailed(str(why)) from why

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await producer.stop()

    async def _tried(self, record: Record, *, is_alone: bool) -> Written:
        pauses = growing_pauses()
        while True:
            try:
                producer = await self._connected()
                sent = await (_send_alone if is_alone else _send)(producer, record)
            except (KafkaError, OSError) as why:
                if isinstance(why, KafkaError) and not (
                    why.retriable or isinstance(why, KafkaTimeoutError)
                ):
                    raise PublishFailed(f"{record.topic}: {why!r}") from why
                if self._within_seconds is not None:
                    raise
                log.debug("a record of %s is not written yet (%r)", record.topic, why)
                await asyncio.sleep(next(pauses))
            else:
                return Written(sent.partition, sent.offset)

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._producer is None:
                producer = producer_of(
                    self._brokers,
                    request_ms=round((self._within_seconds or _REQUEST_SECONDS) * 1000),
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer


async def _send(producer: Any, record: Record) -> Any:
    return await producer.send_and_wait(
        record.topic,
        record.value,
        key=record.key,
        partition=record.partition,
        headers=list(record.headers),
    )


async def _send_alone(producer: Any, record: Record) -> Any:
    partition = record.partition
    if partition is None:
        numbers = sorted(await producer.partitions_for(record.topic))
        partition = partitioner(record.key, numbers, numbers)
    batch = producer.create_batch()
    batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
    batch.close()  # no other record may join it
    return await (await producer.send_batch(batch, record.topic, partition=partition))
