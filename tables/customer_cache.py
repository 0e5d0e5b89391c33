"""The customer cache: a Faust table in RocksDB with a changelog topic, keyed by identifier.

The windows are not here: a value carries `fetched_at`, and `domain.freshness` judges it. Faust's
windowed tables never expire after a restart (faust-streaming#385) and lose windows after a
rebalance (#193).
"""

import struct
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from faust.streams import _current_event

from posstream.kafka.partitioner import partition_of
from posstream.streaming.co_partitioning import CoPartitioning
from posstream.streaming.patches.store import NO_ENTRIES
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


@dataclass(slots=True, weakref_slot=True)
class _StandIn:
    """Stands for a stream's event: Faust asks it which partition of the table is meant."""

    message: "_StandInMessage"


@dataclass(slots=True)
class _StandInMessage:
    topic: str
    partition: int


class CustomerCacheTable:
    """The table and its partitions. One per app."""

    def __init__(self, app: Any, spec: TableSpec, *, partitions: int) -> None:
        self.partitions = partitions
        self.co_partitioning = CoPartitioning(app, spec, partitions=partitions)
        self.source = spec.co_partitioned[0]
        self._changelog = spec.changelog.name
        self._app = app
        self._table = app.Table(
            spec.name,
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            extra_topic_configs=spec.changelog.config,
            recovery_buffer_size=_REPLAY_BUFFER,
            # At once: a copy that waits for more is lost with its worker.
            standby_buffer_size=1,
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
        # `assigned_actives` builds a set of every partition; hits cannot afford that.
        assigned = self._app.assignor._assignment.actives  # noqa: SLF001
        return number in assigned.get(self._changelog, ())

    async def flush(self) -> None:
        """Wait until the broker has every change that was made: Faust writes them in its time."""
        await self._table.acknowledged()

    @property
    def recovered(self) -> bool:
        """Whether the stores are whole; during a recovery they fill up, or change hands."""
        return bool(self._app.tables.actives_ready and not self._app.rebalancing)


class CachePartition:
    """`CustomerCache` of one partition.

    Faust takes the partition from the event that a stream is at, but a call may end when the
    stream is long at another event; so each access names the partition by a stand-in event.
    """

    def __init__(self, cache: CustomerCacheTable, number: int) -> None:
        self._cache = cache
        self._table = cache._table  # noqa: SLF001 - two classes, one table
        self._number = number
        self._event = _StandIn(_StandInMessage(cache.source, number))
        self._current: Any = weakref.ref(self._event)

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
        """What reads stored values by key until the next await; None if the partition moved away.

        Whoever uses it tells `check` of an error.
        """
        if not self._cache.owns(self._number):
            return None
        get: Callable[[bytes], bytes | None] = self._store.get
        return get

    def check(self, why: Exception) -> None:
        """See whether an error means that the partition is damaged."""
        self._table.data.check(self._number, why)

    def put(self, identifier: str, entry: CacheEntry) -> None:
        """Keep an entry, unless the partition moved to another worker or is frozen meanwhile."""
        if not self._may_write:
            return
        token = _current_event.set(self._current)
        try:
            self._table[identifier.encode()] = encode(entry)
        finally:
            _current_event.reset(token)

    def remove(self, identifier: str) -> bool:
        """Remove an entry, from the changelog too (a tombstone); whether there was one."""
        key = identifier.encode()
        if not self._may_write:
            return False
        token = _current_event.set(self._current)
        try:
            # Besides: Faust learns by the `get` in which partition it has to delete.
            if self._table.get(key) is None:
                return False
            del self._table[key]
        finally:
            _current_event.reset(token)
        return True

    def entries(self, start: bytes, limit: int) -> Sequence[Stored] | None:
        """At most `limit` entries in the order of their keys, the first one at or after `start`.

        None if this worker does not have the partition, or has not recovered it.
        """
        if not self.at_hand:
            return None
        store = self._table.data
        found: list[Stored] = []
        at = self._store.iter()
        at.seek(start)
        while len(found) < limit and at.valid():
            if at.key() not in NO_ENTRIES:
                found.append(Stored(at.key().decode(), decode(at.value())))
            at.next()
        try:
            at.status()  # at damage, too, an iterator ends
        except Exception as why:
            store.check(self._number, why)
            raise
        return found

    def estimated(self) -> int:
        """About how many entries there are; 0 if this worker does not have the partition."""
        if not self.at_hand:
            return 0
        return int(self._store.property_int_value("rocksdb.estimate-num-keys") or 0)

    @property
    def _store(self) -> Any:
        """This partition's RocksDB."""
        return self._table.data._db_for_partition(self._number)  # noqa: SLF001 - no public way
