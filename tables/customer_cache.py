"""The customer cache: a Faust table in RocksDB with a changelog topic, keyed by identifier.

The windows are not here: a value carries `fetched_at`, and `tables.freshness` judges it. Faust's
windowed tables never expire after a restart (faust-streaming#385) and lose windows after a
rebalance (#193).
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from faust.types import TP

from posstream.kafka.partitioner import partition_of
from posstream.streaming.co_partitioning import CoPartitioning
from posstream.streaming.table_spec import TableSpec
from tables.freshness import CacheEntry

#: Layout version, 1 = known or 0 = unknown, fetched_at in ms; the customer's JSON follows.
HEADER: Final = struct.Struct(">BBq")
_LAYOUT: Final = 1
#: How the header of a known customer begins.
KNOWN: Final = (_LAYOUT, 1)

#: Fetches of the changelog that are written at once. Not 1: Faust then goes on reading the
#: changelogs of its own partitions for ever.
_REPLAY_BUFFER: Final = 4


def encode(entry: CacheEntry) -> bytes:
    """A cache entry as it is stored."""
    known = entry.document is not None
    return HEADER.pack(_LAYOUT, known, entry.fetched_at_ms) + (entry.document or b"")


def decode(value: bytes) -> CacheEntry | None:
    """A stored value; None if another version of posstream wrote it (then it is a miss)."""
    if len(value) < HEADER.size:
        return None
    layout, known, fetched_at_ms = HEADER.unpack_from(value)
    if layout != _LAYOUT:
        return None
    return CacheEntry(fetched_at_ms, value[HEADER.size :] if known else None)


def home(identifier: str, partitions: int) -> int:
    """The partition of a normalised identifier's entry: where Kafka's clients put it by key."""
    return partition_of(identifier.encode(), partitions)


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry as a slice of a partition has it."""

    identifier: str
    #: None if another version of posstream wrote it.
    entry: CacheEntry | None

    @property
    def next(self) -> bytes:
        """Where the slice after this entry starts."""
        return self.identifier.encode() + b"\0"


class CustomerCacheTable:
    """The table and its partitions. One per app.

    Args:
        app: whose table it is.
        spec: its names.
        partitions: how many it has.
        hot_bytes: the memory for entries that all partitions keep, in bytes.
    """

    def __init__(self, app: Any, spec: TableSpec, *, partitions: int, hot_bytes: int) -> None:
        self.partitions = partitions
        self.co_partitioning = CoPartitioning(app, spec, partitions=partitions)
        self.source = spec.co_partitioned[0]
        self._changelog = spec.changelog.name
        self._app = app
        self.table = app.Table(
            spec.name,
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            extra_topic_configs=spec.changelog.config,
            recovery_buffer_size=_REPLAY_BUFFER,
            # A standby writes each record at once: one that waits is lost with its worker.
            standby_buffer_size=1,
            hot_bytes=hot_bytes,
        )
        self._parts = [CachePartition(self, number) for number in range(partitions)]

    def partition(self, number: int) -> "CachePartition":
        """The part of the cache that belongs to one partition of the source topics.

        A partition that was added to a topic since the start has a part that is never at hand.
        """
        return self._parts[number] if number < self.partitions else CachePartition(self, number)

    def holder(self, identifier: str) -> "CachePartition":
        """The part of the cache that has the entry of an identifier, or would have it."""
        if self.co_partitioning.is_frozen:
            moved = self.partition(home(identifier, self.co_partitioning.of_changelog))
            if moved.get(identifier) is not None:
                return moved
        return self.partition(home(identifier, self.partitions))

    def owns(self, number: int) -> bool:
        """Whether this worker may touch a partition: an open store holds a lock on its files."""
        self._app.pulse.check()
        return bool(self.table.is_assigned(self._changelog, number))

    async def flush(self) -> None:
        """Wait until the broker has every change that was made: Faust sends changes later."""
        await self.table.acknowledged()

    @property
    def recovered(self) -> bool:
        """Whether the stores are whole; during a recovery they fill up, or change hands."""
        return bool(self._app.tables.actives_ready and not self._app.rebalancing)


class CachePartition:
    """The cache entries of one partition."""

    def __init__(self, cache: CustomerCacheTable, number: int) -> None:
        self._cache = cache
        self._table = cache.table
        self._number = number
        self._source = TP(cache.source, number)

    @property
    def at_hand(self) -> bool:
        """Whether this worker has the partition, has recovered it and may write it."""
        return self._may_write and self._cache.recovered

    @property
    def _may_write(self) -> bool:
        return self._cache.owns(self._number) and not self._cache.co_partitioning.is_frozen

    def get(self, identifier: str) -> CacheEntry | None:
        """The entry of a normalised identifier, however old; None if the partition moved away."""
        if not self._cache.owns(self._number):
            return None
        value = self._table.data.read(self._number, identifier.encode())
        return None if value is None else decode(value)

    def reader(self) -> Callable[[bytes], bytes | None] | None:
        """A function that reads stored values by key; None if the partition moved away.

        It may be used until the next await. If it raises, the caller gives the error to `check`.
        """
        if not self._cache.owns(self._number):
            return None
        get: Callable[[bytes], bytes | None] = self._table.data.reader(self._number)
        return get

    def check(self, why: Exception) -> None:
        """Give the partition up if an error means that it is damaged."""
        self._table.data.check(self._number, why)

    def put(self, identifier: str, entry: CacheEntry) -> None:
        """Keep an entry, unless the partition moved to another worker or is frozen meanwhile."""
        if self._may_write:
            self._table.put_at(self._source, identifier.encode(), encode(entry))

    def remove(self, identifier: str) -> bool:
        """Remove an entry, from the changelog too (a tombstone); whether there was one."""
        return self._may_write and self._table.remove_at(self._source, identifier.encode())

    def entries(self, start: bytes, limit: int) -> Sequence[Stored] | None:
        """At most `limit` entries in the order of their keys, the first one at or after `start`.

        None if this worker does not have the partition, or has not recovered it.
        """
        if not self.at_hand:
            return None
        found = self._table.data.entries(self._number, start, limit)
        return [Stored(key.decode(), decode(value)) for key, value in found]

    def estimated(self) -> int:
        """About how many entries there are; 0 if this worker does not have the partition."""
        return self._table.data.estimated(self._number) if self.at_hand else 0
