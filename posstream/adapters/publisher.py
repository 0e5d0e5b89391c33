"""The topics, written through Faust's producer (acks=all)."""

from collections.abc import Awaitable
from typing import Any

from aiokafka.errors import KafkaError
from faust.exceptions import FaustError

from posstream.domain.errors import PublishFailed
from posstream.ports import Record


class FaustPublisher:
    """`EventPublisher` on the worker's own producer.

    `topic.send` of Faust returns before the broker has the record; here the second await is the
    broker's acknowledgement.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def send(self, record: Record) -> Awaitable[None]:
        """Hand a record over; see `EventPublisher.send`."""
        try:
            acknowledged = await self._app.producer.send(
                record.topic,
                record.key,
                record.value,
                record.partition,
                None,
                list(record.headers),
            )
        except (KafkaError, FaustError, OSError) as why:
            raise PublishFailed(f"{record.topic}: {why!r}") from why
        return _Acknowledged(acknowledged, record.topic)

    async def publish(self, record: Record) -> None:
        """Hand a record over and wait for the broker's acknowledgement."""
        await (await self.send(record))


class _Acknowledged(Awaitable[None]):
    """The broker's acknowledgement, with Kafka's errors turned into ours."""

    def __init__(self, future: Awaitable[Any], topic: str) -> None:
        self._future = future
        self._topic = topic

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> None:
        try:
            await self._future
        except KafkaError as why:
            raise PublishFailed(f"{self._topic}: {why!r}") from why
