"""As fast as aiokafka goes: whole batches are built and sent, one for each partition and fetch.

No miss is possible here: this is the limit of the hit path. The answers of one fetch are
acknowledged while those of the next one are made. Bare, an answer goes to the partition that its
event came from; else to that of its key.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiokafka
import orjson
import uvloop
from aiokafka import TopicPartition

from benchmarks.connecting import by_aiokafka
from benchmarks.contestants.answers import Headers, Known, Moment, bare
from benchmarks.contestants.job import COMMIT_SECONDS, PARTITIONS, Job, job
from posstream.kafka.partitioner import partition_of

_BATCH_BYTES: Final = 512 * 1024


class Batches:
    """Answers on their way, by partition."""

    def __init__(self, producer: aiokafka.AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._open: dict[int, Any] = {}
        self._sent: list[asyncio.Future[Any]] = []

    async def add(self, number: int, key: bytes, value: bytes, headers: Headers) -> None:
        """Put an answer into the batch of a partition; a full one is sent."""
        batch = self._open.get(number)
        if batch is None:
            batch = self._open[number] = self._producer.create_batch()
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            await self._send(number)
            await self.add(number, key, value, headers)

    async def send(self) -> "Sequence[asyncio.Future[Any]]":
        """Send what there is; the acknowledgements of everything since the last time."""
        for number in list(self._open):
            await self._send(number)
        sent, self._sent = self._sent, []
        return sent

    async def _send(self, number: int) -> None:
        batch = self._open.pop(number)
        batch.close()
        self._sent.append(await self._producer.send_batch(batch, self._topic, partition=number))


async def run(it: Job) -> None:
    """Answer until the process is ended."""
    known = it.known()
    consumer = aiokafka.AIOKafkaConsumer(
        it.source,
        **by_aiokafka(it.servers),
        group_id=it.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = aiokafka.AIOKafkaProducer(
        **by_aiokafka(it.servers), acks="all", max_batch_size=_BATCH_BYTES
    )
    async with producer, consumer:
        batches = Batches(producer, it.answers)
        answer = _answer_bare if it.bare else _answer_fully
        committed_at = time.monotonic()
        before: Sequence[asyncio.Future[Any]] = ()
        done: dict[TopicPartition, int] = {}
        while True:
            fetched = await consumer.getmany(timeout_ms=200)
            await answer(batches, fetched, known)
            sent = await batches.send()
            for acknowledged in before:
                await acknowledged
            if done and time.monotonic() > committed_at + COMMIT_SECONDS:
                await consumer.commit(done)
                committed_at = time.monotonic()
            before = sent
            done |= {tp: records[-1].offset + 1 for tp, records in fetched.items()}


async def _answer_fully(
    batches: Batches, fetched: Mapping[TopicPartition, Sequence[Any]], known: Mapping[str, Known]
) -> None:
    moment = Moment()
    for records in fetched.values():
        for record in records:
            event = orjson.loads(record.value)
            key, value, headers = moment.full(event, known[event["customer_identifier"]])
            await batches.add(partition_of(key, PARTITIONS), key, value, headers)


async def _answer_bare(
    batches: Batches, fetched: Mapping[TopicPartition, Sequence[Any]], known: Mapping[str, Known]
) -> None:
    for tp, records in fetched.items():
        for record in records:
            event = orjson.loads(record.value)
            key, value = bare(event, known[event["customer_identifier"]])
            await batches.add(tp.partition, key, value, [])


if __name__ == "__main__":
    uvloop.run(run(job()))
