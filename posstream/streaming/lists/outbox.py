"""Collects the answers of one fetched list in batches of the producer, by topic and partition."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from murmurhash2 import murmurhash2

from posstream.kafka.partitioner import POSITIVE, SEED, partition_of_known
from posstream.kafka.record import Record
from posstream.kafka.tuning import BATCH_BYTES
from posstream.streaming.patches.batch import Batch
from posstream.streaming.patches.joined_batch import JoinedBatch

#: Puts in a record; the arguments are those of `JoinedBatch.put`.
Put = Callable[[bytes, int, Sequence[bytes], int], None]


class Outbox:
    """The answers to one fetched list.

    Args:
        new_batch: makes an empty `aiokafka` batch builder.
        now_ms: the records' timestamp.
        partitions: how many partitions each topic has.
    """

    def __init__(
        self, new_batch: Callable[[], Any], now_ms: int, partitions: Mapping[str, int]
    ) -> None:
        self._new_batch = new_batch
        self._now_ms = now_ms
        self._partitions = partitions
        #: By topic, the batch of each partition that takes records.
        self._open: dict[str, dict[int, Batch]] = {}
        #: By topic whose records come as pieces of bytes (`to`), the batch of each partition.
        self._joined: dict[str, dict[int, JoinedBatch]] = {}
        self._begun: list[tuple[str, int, Batch | JoinedBatch]] = []

    def add(self, record: Record) -> None:
        """Put a record in; it has a key or a partition."""
        topic, partition = record.topic, record.partition
        if partition is None:
            partition = partition_of_known(record.key or b"", self._partitions[topic])
        if topic in self._joined:
            batch = self._joined[topic].get(partition)
            content = record.key, record.value, record.headers
            if batch is None or not batch.put_whole(*content):
                self._begin(topic, partition).put_whole(*content)
        else:
            self._put(topic, partition, record.key, record.value, list(record.headers))

    def to(self, topic: str) -> Put:
        """A function that puts in records of one topic; their values and headers come in pieces."""
        self._open.pop(topic, None)  # full or not: what comes now leaves later
        batches = self._joined.setdefault(topic, {})
        partitions, begin = self._partitions[topic], self._begin

        def put(key: bytes, value_length: int, pieces: Sequence[bytes], length: int) -> None:
            partition = (murmurhash2(key, SEED) & POSITIVE) % partitions
            batch = batches.get(partition)
            if batch is None or not batch.put(key, value_length, pieces, length):
                begin(topic, partition).put(key, value_length, pieces, length)

        return put

    def _begin(self, topic: str, partition: int) -> JoinedBatch:
        batch = self._joined[topic][partition] = JoinedBatch(BATCH_BYTES, self._now_ms)
        self._begun.append((topic, partition, batch))
        return batch

    def _put(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> None:
        batches = self._open.setdefault(topic, {})
        batch = batches.get(partition)
        if batch is None or not batch.append(batch.count, self._now_ms, key, value, headers):
            batch = batches[partition] = Batch(self._new_batch())
            batch.append(0, self._now_ms, key, value, headers)
            self._begun.append((topic, partition, batch))
        batch.count += 1

    def batches(self) -> Sequence[tuple[str, int, Any]]:
        """Topic, partition and builder of each batch, in the order in which they were begun."""
        return [(topic, partition, batch.complete()) for topic, partition, batch in self._begun]
