"""The customer cache: a Faust table in RocksDB with a changelog topic, keyed by identifier.

The windows are not here: a value carries `fetched_at`, and `tables.freshness` judges it. Faust's
windowed tables never expire after a restart (faust-streaming#385) and lose windows after a
rebalance (#193).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from posstream.streaming.table_spec import TableSpec
from tables.freshness import CacheEntry
from tables.partitioned import PartitionedTable, TablePartition, home

#: Layout version, 1 = known or 0 = unknown, fetched_at in ms; the customer's JSON follows.
HEADER: Final = struct.Struct(">BBq")
_LAYOUT: Final = 1
#: How the header of a known customer begins.
KNOWN: Final = (_LAYOUT, 1)


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


class CustomerCacheTable(PartitionedTable):
    """The table and its partitions; see `PartitionedTable`."""

    def __init__(self, app: Any, spec: TableSpec, *, partitions: int, hot_bytes: int) -> None:
        super().__init__(app, spec, partitions=partitions, hot_bytes=hot_bytes)
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


class CachePartition(TablePartition):
    """The cache entries of one partition."""

    def get(self, identifier: str) -> CacheEntry | None:
        """The entry of a normalised identifier, however old; None if the partition moved away."""
        value = self.read(identifier)
        return None if value is None else decode(value)

    def put(self, identifier: str, entry: CacheEntry) -> None:
        """Keep an entry, unless the partition moved to another worker or is frozen meanwhile."""
        self.write(identifier, encode(entry))

    def entries(self, start: bytes, limit: int) -> Sequence[Stored] | None:
        """At most `limit` entries in the order of their keys; see `values`."""
        found = self.values(start, limit)
        if found is None:
            return None
        return [Stored(key.decode(), decode(value)) for key, value in found]
