"""Collects the answers of one fetched list in batches of the producer, by topic and partition."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from murmurhash2 import murmurhash2

from posstream.kafka.partitioner import POSITIVE, SEED, partition_of_known
from posstream.kafka.record import Record
from posstream.streaming.patches.batch import Batch


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
        self._begun: list[tuple[str, int, Batch]] = []

    def add(self, record: Record) -> None:
        """Put a record in; it has a key or a partition."""
        partition = record.partition
        if partition is None:
            partition = partition_of_known(record.key or b"", self._partitions[record.topic])
        self._put(record.topic, partition, record.key, record.value, list(record.headers))

    def to(self, topic: str) -> Callable[[bytes, bytes, list[tuple[str, bytes]]], None]:
        """A function that puts in records of one topic: key, value, headers."""
        batches = self._open.setdefault(topic, {})
        partitions, now_ms = self._partitions[topic], self._now_ms

        def add(key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
            partition = (murmurhash2(key, SEED) & POSITIVE) % partitions
            batch = batches.get(partition)
            if batch is not None and batch.append(batch.count, now_ms, key, value, headers):
                batch.count += 1
            else:
                self._put(topic, partition, key, value, headers)

        return add

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
        """Topic, partition and aiokafka's builder, in the order in which they were begun."""
        return [(topic, partition, batch.closed()) for topic, partition, batch in self._begun]
