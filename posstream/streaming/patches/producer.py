"""A producer that waits while brokers are away, and writes each record once.

aiokafka gives a batch no more time than one request. After a lost acknowledgement it sends the
batch again, and the broker writes the batch twice. Here a request may take some seconds, so that a
frozen broker is noticed. A batch waits until it is written, so that it survives a restart of
brokers or an election. `publisher.FaustPublisher` says how long an acknowledgement may take.

A batch is never given up: the broker recognises repeats by the batches' numbers, and after a gap in
these numbers it would refuse all later batches.
"""

import asyncio
import contextlib
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from aiokafka.errors import KafkaTimeoutError
from faust.transport.drivers import aiokafka as faust_driver

from posstream.kafka.partitioner import partition_of

#: Between two questions for the leader of a partition that has none.
_METADATA_PAUSE_SECONDS: Final = 0.1
#: How long a flush may take. Events are acknowledged after their answers, so only changelog
#: records (a cache) can be left.
_FLUSH_SECONDS: Final = 5


class Producer(faust_driver.Producer):
    """The producer of the worker."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: Batches and records of a partition leave in the order in which they take its lock.
        self._gates: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        #: How many batches wait for their lock.
        self._leaving = 0

    def _settings_extra(self) -> dict[str, Any]:
        return {"enable_idempotence": self.app.tuning.idempotent}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        # How long a record may wait for a place in a batch, and the batch until it is written.
        producer._request_timeout_ms = self.app.tuning.delivery_seconds * 1000
        producer._message_accumulator._batch_ttl = math.inf
        client = producer.client
        client.force_metadata_update = partial(_after_a_pause, client.force_metadata_update)
        return producer

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        *args: Any,
        **options: Any,
    ) -> Any:
        """Hand a record over; a batch that the broker refuses for good ends the worker.

        A refused batch leaves a gap in the numbers by which the broker knows repeats, and every
        later batch of its partition would be refused until a restart.

        The record waits behind earlier batches of its partition.
        """
        if self._leaving:
            if partition is None:
                partition = partition_of(key or b"", await self.partitions_of(topic))
            async with self._gates[topic, partition]:
                written = await super().send(topic, key, value, partition, *args, **options)
        else:
            written = await super().send(topic, key, value, partition, *args, **options)
        written.add_done_callback(self._check)
        return written

    async def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has."""
        return len(await self._ensure_producer().partitions_for(topic))

    def new_batch(self) -> Any:
        """An empty batch, for `send_batch`."""
        return self._ensure_producer().create_batch()

    async def send_batch(self, topic: str, partition: int, batch: Any) -> "asyncio.Future[Any]":
        """Hand a batch over, as `send` does a record, once earlier batches have left."""
        self._leaving += 1
        try:
            async with self._gates[topic, partition]:
                written = await self._send_batch(topic, partition, batch)
        finally:
            self._leaving -= 1
        written.add_done_callback(self._check)
        return written

    async def _send_batch(self, topic: str, partition: int, batch: Any) -> "asyncio.Future[Any]":
        give_up_at = time.monotonic() + self.app.tuning.delivery_seconds
        while True:
            try:
                written: asyncio.Future[Any]
                written = await self._ensure_producer().send_batch(
                    batch, topic, partition=partition
                )
            except KafkaTimeoutError:
                # It may be too early: aiokafka counts each wait again in the next one.
                if time.monotonic() >= give_up_at:
                    raise
            else:
                return written

    def _check(self, written: "asyncio.Future[Any]") -> None:
        if not written.cancelled() and (why := written.exception()) is not None:
            self._crash = asyncio.ensure_future(self.app.crash(why))

    async def flush(self) -> None:
        """Wait for records on their way, but not for as long as brokers may be away."""
        await _briefly(super().flush)

    async def on_stop(self) -> None:
        """Stop, whether or not brokers are there to take the rest."""
        await _briefly(super().on_stop)


def _after_a_pause(ask: Callable[[], Awaitable[bool]]) -> "asyncio.Future[bool]":
    # aiokafka's sender asks again at once: some 500 times a second while there is no leader.
    async def pause_and_ask() -> bool:
        await asyncio.sleep(_METADATA_PAUSE_SECONDS)
        return await ask()

    return asyncio.ensure_future(pause_and_ask())


async def _briefly(what: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FLUSH_SECONDS):
            await what()
