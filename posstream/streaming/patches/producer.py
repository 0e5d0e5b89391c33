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
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as faust_driver

from posstream.kafka.partitioner import partition_of

#: Between two questions for the leader of a partition that has none.
_METADATA_PAUSE_SECONDS: Final = 0.1
#: How long a flush may take. Events are acknowledged after their answers, so only changelog
#: records (a cache) can be left.
_FLUSH_SECONDS: Final = 5
#: Largest value that `put` takes; upstream measures larger records before it takes them.
_MOST_BYTES: Final = 64 * 1024


class Producer(faust_driver.Producer):
    """The producer of the worker."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: Batches and records of a partition leave in the order in which they take its lock.
        self._gates: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        #: How many batches and records wait for each lock.
        self._leaving: Counter[tuple[str, int]] = Counter()
        #: What is done when an open batch of `put` is written; see there.
        self._open: dict[Any, asyncio.Future[int]] = {}

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

    async def create_topic(self, topic: str, *args: Any, **options: Any) -> None:
        """Create a topic, unless the broker told of it.

        Upstream asks for all metadata again even then, twice for each table of a start.
        """
        if topic not in self._ensure_producer().client.cluster.topics():
            await super().create_topic(topic, *args, **options)

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
        if self._leaving and partition is None:
            partition = partition_of(key or b"", await self.partitions_of(topic))
        if partition is not None and (topic, partition) in self._leaving:
            async with self._in_turn(topic, partition):
                written = await super().send(topic, key, value, partition, *args, **options)
        else:
            written = await super().send(topic, key, value, partition, *args, **options)
        written.add_done_callback(self._check)
        return written

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        headers: list[tuple[str, bytes]],
    ) -> "tuple[asyncio.Future[int], int] | None":
        """Hand a record over without waiting.

        Upstream makes a future for each record; here the records of a batch share one.

        Returns:
            the offset of the batch's first record, once the broker has it, and the record's place
            in the batch. The future is shared: it must not be cancelled. None if the record must
            be handed over by `send`: the topic is not known yet, earlier batches wait, or the
            record is large.
        """
        producer = self._producer
        if producer is None or (value is not None and len(value) > _MOST_BYTES):
            return None
        partitions = producer.client.cluster._partitions.get(topic)
        accumulator = producer._message_accumulator
        if not partitions or accumulator._closed or accumulator._exception is not None:
            return None
        if partition is None:
            if key is None:
                return None
            partition = partition_of(key, len(partitions))
        if (topic, partition) in self._leaving or partition not in partitions:
            return None
        tp = TopicPartition(topic, partition)
        waiting = accumulator._batches.get(tp)
        batch = waiting[-1] if waiting else accumulator._append_batch(producer.create_batch(), tp)
        if (written := self._open.get(batch)) is not None and written.done():
            return None  # its first record was given up; this one has its own time
        place = _append(batch._builder, key, value, headers)
        if place is None:
            batch = accumulator._append_batch(producer.create_batch(), tp)
            place = _append(batch._builder, key, value, headers)
            assert place is not None, "an empty batch takes any record"  # noqa: S101 - for mypy
        return self._open.get(batch) or self._watched(batch), place

    def _watched(self, batch: Any) -> "asyncio.Future[int]":
        """The future of an open batch: its base offset, or why it was not written."""
        loop = asyncio.get_running_loop()
        written = self._open[batch] = loop.create_future()
        timer = loop.call_later(self.app.tuning.delivery_seconds, _give_up, written)

        def done(sent: "asyncio.Future[Any]") -> None:
            timer.cancel()
            del self._open[batch]
            self._check(sent)
            if written.done():
                return
            if sent.cancelled():
                written.cancel()
            elif (why := sent.exception()) is not None:
                _fail(written, why)
            else:
                written.set_result(sent.result().offset)

        batch.future.add_done_callback(done)
        return written

    async def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has."""
        return len(await self._ensure_producer().partitions_for(topic))

    def new_batch(self) -> Any:
        """An empty batch, for `send_batch`."""
        return self._ensure_producer().create_batch()

    async def send_batch(self, topic: str, partition: int, batch: Any) -> "asyncio.Future[Any]":
        """Hand a batch over, as `send` does a record, once earlier batches have left."""
        async with self._in_turn(topic, partition):
            written = await self._send_batch(topic, partition, batch)
        written.add_done_callback(self._check)
        return written

    @asynccontextmanager
    async def _in_turn(self, topic: str, partition: int) -> AsyncIterator[None]:
        """Wait behind what was handed over earlier; `put` passes nobody who waits."""
        at = topic, partition
        self._leaving[at] += 1
        try:
            async with self._gates[at]:
                yield
        finally:
            self._leaving[at] -= 1
            if not self._leaving[at]:
                del self._leaving[at]

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


def _append(
    builder: Any, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> int | None:
    """Append a record as `batch.Batch` does; its place in the batch, None if that is closed."""
    if builder._closed:
        return None
    place: int = builder._relative_offset
    if builder._builder.append(place, None, key, value, headers) is None:
        builder.close()  # it is full
        return None
    builder._relative_offset = place + 1
    return place


def _give_up(written: "asyncio.Future[int]") -> None:
    if not written.done():
        _fail(written, KafkaTimeoutError())


def _fail(written: "asyncio.Future[int]", why: BaseException) -> None:
    written.set_exception(why)
    written.exception()  # marks it as retrieved: the tasks that waited may be gone


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
