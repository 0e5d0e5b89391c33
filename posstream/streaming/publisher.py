"""Publishes records through the worker's own Faust producer (acks=all)."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.exceptions import FaustError

from posstream.domain.errors import PublishFailed
from posstream.kafka.record import Record

#: How long a caller of `publish` waits for the acknowledgement.
_PUBLISH_SECONDS: Final = 30


class FaustPublisher:
    """`EventPublisher` on the worker's own producer.

    `topic.send` of Faust returns before the broker has the record; here the second await is the
    broker's acknowledgement.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def send(self, record: Record) -> Awaitable[None]:
        """Hand a record over; see `EventPublisher.send`."""
        self._app.pulse.check()
        producer, headers = self._app.producer, list(record.headers)
        put = producer.put(record.topic, record.key, record.value, record.partition, headers)
        if put is not None:
            return _Written(put[0], record.topic)
        try:
            acknowledged = await producer.send(
                record.topic, record.key, record.value, record.partition, None, headers
            )
        except (KafkaError, FaustError, OSError) as why:
            raise PublishFailed(f"{record.topic}: {why!r}") from why
        return _Acknowledged(acknowledged, record.topic, self._app.tuning.delivery_seconds)

    async def publish(self, record: Record) -> None:
        """Hand a record over and wait for the broker's acknowledgement; see `EventPublisher`."""
        try:
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await (await self.send(record))
        except TimeoutError as why:
            raise PublishFailed(f"{record.topic}: {why!r}") from why


class _Written(Awaitable[None]):
    """Waits until the broker has a batch, and leaves the wait of others alone when cancelled."""

    __slots__ = ("_batch", "_topic")

    def __init__(self, batch: "asyncio.Future[int]", topic: str) -> None:
        self._batch = batch
        self._topic = topic

    def __await__(self) -> Generator[Any, None, None]:
        try:
            if self._batch.done():
                self._batch.result()
            else:
                yield from asyncio.shield(self._batch)
        except KafkaError as why:
            raise PublishFailed(f"{self._topic}: {why!r}") from why


class _Acknowledged(Awaitable[None]):
    """Waits for the broker's acknowledgement, and turns Kafka's errors into ours."""

    def __init__(self, future: Awaitable[Any], topic: str, seconds: float) -> None:
        self._future = future
        self._topic = topic
        self._seconds = seconds

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._future
        except (KafkaError, TimeoutError) as why:
            raise PublishFailed(f"{self._topic}: {why!r}") from why
