"""Faust's RocksDB store, made to outlive its disk: the changelog has all of it.

A store that does not fit its changelog is thrown away and rebuilt. Upstream crashes on such a store
at every start (faust-streaming#158), or goes on with entries that were deleted meanwhile, or with
the entries of another cluster: an offset does not tell to which log it belongs. So each store notes
the identity of its changelog before its first entry (see `topic_identity`).
"""

import asyncio
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from faust.stores import rocksdb
from faust.streams import current_event
from faust.types import TP

from posstream.domain.errors import StorageFailed
from posstream.streaming.patches.hot import HotPartition
from posstream.streaming.patches.rocks import Options

log = logging.getLogger(__name__)

#: Where a store keeps the identity of its changelog, among the entries as Faust does its offset.
IDENTITY_KEY: Final = b"__posstream\0changelog__"
#: Keys of a store that hold no entry.
NO_ENTRIES: Final = frozenset({rocksdb.Store.offset_key, IDENTITY_KEY})


class Store(rocksdb.Store):
    """One RocksDB for each partition of a table.

    A partition that is damaged or does not fit its changelog when it is opened is rebuilt at once.
    Damage that is found later ends the worker, and the next start rebuilds the partition.

    Args:
        hot_bytes: the memory for values that one partition keeps, in bytes.
    """

    def __init__(self, *args: Any, hot_bytes: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rocksdb_options = Options(hot_bytes)
        #: Partitions that were thrown away: one that this process opens again would lack entries.
        self._gone: set[int] = set()
        #: Partitions with a failed write: their offset stays before it, so that it is read again.
        self._behind: set[int] = set()
        self._crash: asyncio.Future[None] | None = None
        #: Partitions that are assigned, but not compared with their changelog yet. The next
        #: rebalance may interrupt that, and does not report the partition as new again.
        self._unchecked: set[TP] = set()
        #: The changelog's identity where the broker has none: a store is then trusted only as long
        #: as this process has it open.
        self._this_process = f"process {uuid.uuid4()}"

    def revoke_partitions(self, table: Any, tps: set[TP]) -> None:
        """Close the stores of partitions that went to other workers."""
        self._unchecked -= tps
        super().revoke_partitions(table, tps)

    async def assign_partitions(self, table: Any, tps: set[TP], generation_id: int = 0) -> None:
        """Open the stores of new partitions; throw away those that do not fit their changelog."""
        self._unchecked |= {tp for tp in tps if tp.topic in table.changelog_topic.topics}
        await super().assign_partitions(table, tps, generation_id)
        if not self._unchecked or generation_id != self.app.consumer_generation_id:
            return
        ours = sorted(self._unchecked)
        identity = await self.app.consumer.topic_identity(ours[0].topic) or self._this_process
        self._bind([tp.partition for tp in ours], identity)
        await self._compare(ours, identity)
        self._unchecked.difference_update(ours)

    def _bind(self, partitions: list[int], identity: str) -> None:
        """Rebuild the stores that belong to another changelog."""
        rebuilt: dict[bytes | None, list[int]] = {}
        for partition in partitions:
            try:
                db = self._db_for_partition(partition)
                noted = db.get(IDENTITY_KEY)
                if noted == identity.encode():
                    continue
                if noted is None and _is_empty(db):
                    db.put(IDENTITY_KEY, identity.encode())
                    continue
                rebuilt.setdefault(noted, []).append(partition)
                self._make_anew(partition, identity)
            except Exception as why:
                self.check(partition, why)
                raise
        for noted, those in rebuilt.items():
            numbers = ", ".join(map(str, those))
            log.warning(
                "%s is rebuilt, partitions %s: %s",
                *(self.table_name, numbers, _whose(noted, identity)),
            )

    def _make_anew(self, partition: int, identity: str) -> None:
        """Replace a store by an empty one; after `kill -9` in between, the next start does it."""
        self._remove(partition)
        self._db_for_partition(partition).put(IDENTITY_KEY, identity.encode())

    async def _compare(self, ours: list[TP], identity: str) -> None:
        """Rebuild the stores that missed records which their changelog has deleted since."""
        offsets = {tp: self.persisted_offset(tp) for tp in ours}
        consumer = self.app.consumer
        starts = await consumer.earliest_offsets(*ours)
        ends = await consumer.highwaters(*ours)
        # Half of that time: clocks differ, and a recovery takes a while.
        since_ms = time.time_ns() // 1_000_000 - self.app.tuning.tombstones_ms // 2
        recent = await consumer.offsets_since(since_ms, ours)
        for tp, offset in offsets.items():
            start, end = starts.get(tp) or 0, ends.get(tp) or 0
            if offset is not None and not fits(offset, start, end, recent.get(tp)):
                log.warning(
                    "%s is rebuilt: it was at offset %d, and its changelog, from %d to before %d, "
                    "no longer has all later records",
                    *(self._name(tp.partition), offset, start, end),
                )
                self._make_anew(tp.partition, identity)

    def persisted_offset(self, tp: TP) -> int | None:
        """How far the store has read its changelog; None if it is empty."""
        try:
            offset: int | None = super().persisted_offset(tp)
        except Exception as why:
            self.check(tp.partition, why)
            raise
        return offset

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Note how far the store is, if it has every record before, and is still assigned."""
        if tp.partition in self._behind or tp.partition not in self._dbs:
            return
        try:
            super().set_persisted_offset(tp, offset)
        except Exception as why:  # noqa: BLE001 - RocksDB's errors have no class of their own
            self._note_unwritten(tp.partition, why)

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Write what was read of the changelog; upstream tries again what was not written."""
        batch = [record for event in batch for record in _replayed(event.message)]
        try:
            super().apply_changelog_batch(batch, to_key, to_value)
        except Exception as why:
            for partition in {event.message.partition for event in batch}:
                self.check(partition, why)
            raise

    def _open_for_partition(self, partition: int) -> Any:
        if partition in self._gone:
            raise StorageFailed(f"{self._name(partition)} was thrown away")
        try:
            return super()._open_for_partition(partition)
        except Exception as why:
            if not is_damage(why):
                raise
            log.warning("%s is damaged and is rebuilt: %s", self._name(partition), why)
            self._remove(partition)
            return super()._open_for_partition(partition)

    def reader(self, partition: int) -> Callable[[bytes], bytes | None]:
        """A function that reads a partition's values by key, outside of any stream.

        It may be used until the next await. If it raises, the caller gives the error to `check`.
        """
        get: Callable[[bytes], bytes | None] = self._db_for_partition(partition).get
        return get

    def read(self, partition: int, key: bytes) -> bytes | None:
        """Read a value by key, outside of any stream; None if there is none.

        Raises:
            StorageFailed: if the partition cannot be read.
        """
        try:
            return self.reader(partition)(key)
        except Exception as why:
            raise self._unread(partition, why) from why

    def write(self, partition: int, key: bytes, value: bytes) -> None:
        """Write a value by key, outside of any stream.

        Raises:
            StorageFailed: if it was not written.
        """
        try:
            self._db_for_partition(partition).put(key, value)
        except Exception as why:
            raise self._unwritten(partition, why) from why

    def write_all(self, partition: int, values: Mapping[bytes, bytes]) -> None:
        """Write values by key together, outside of any stream.

        Raises:
            StorageFailed: if the write failed; then no value was written.
        """
        try:
            db = self._db_for_partition(partition)
            hot = db if isinstance(db, HotPartition) else HotPartition(db, 0)
            hot.put_all(values)
        except Exception as why:
            raise self._unwritten(partition, why) from why

    def entries(self, partition: int, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` keys and values in the order of keys, the first at or after `start`.

        Raises:
            StorageFailed: if the partition cannot be read.
        """
        found: list[tuple[bytes, bytes]] = []
        try:
            at = self._db_for_partition(partition).iter()
            at.seek(start)
            while len(found) < limit and at.valid():
                if at.key() not in NO_ENTRIES:
                    found.append((at.key(), at.value()))
                at.next()
            at.status()  # an iterator also ends at damage
        except Exception as why:
            raise self._unread(partition, why) from why
        return found

    def fill(self, partition: int, limit: int) -> bool:
        """Read the next values of a partition into its memory; see `HotPartition.fill`.

        Raises:
            StorageFailed: if the partition cannot be read.
        """
        try:
            db = self._dbs.get(partition)  # opens none
            return isinstance(db, HotPartition) and db.fill(limit)
        except Exception as why:
            raise self._unread(partition, why) from why

    def estimated(self, partition: int) -> int:
        """About how many entries a partition has."""
        db = self._db_for_partition(partition)
        return int(db.property_int_value("rocksdb.estimate-num-keys") or 0)

    def _unread(self, partition: int, why: Exception) -> StorageFailed:
        self.check(partition, why)
        return StorageFailed(f"{self._name(partition)} cannot be read: {why}")

    def _get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = super()._get(key)
        except Exception as why:
            self.check(current_event().message.partition, why)
            raise
        return value

    def _contains(self, key: bytes) -> bool:
        try:
            found: bool = super()._contains(key)
        except Exception as why:
            self.check(current_event().message.partition, why)
            raise
        return found

    def _set(self, key: bytes, value: bytes | None) -> None:
        try:
            super()._set(key, value)
        except Exception as why:
            raise self._unwritten(current_event().message.partition, why) from why

    def _del(self, key: bytes) -> None:
        try:
            super()._del(key)
        except Exception as why:
            raise self._unwritten(current_event().message.partition, why) from why

    def _unwritten(self, partition: int, why: Exception) -> StorageFailed:
        self._note_unwritten(partition, why)
        return StorageFailed(f"{self._name(partition)} was not written: {why}")

    def _note_unwritten(self, partition: int, why: Exception) -> None:
        self.check(partition, why)
        if partition not in self._behind:
            self._behind.add(partition)
            log.error("%s cannot be written: %s", self._name(partition), why)

    def check(self, partition: int, why: Exception) -> None:
        """Give a partition up if an error of RocksDB means that it is damaged."""
        if is_damage(why):
            self._give_up(partition, why)

    def _give_up(self, partition: int, why: Exception) -> None:
        """End the worker: the next start rebuilds the partition."""
        if partition in self._gone:
            return
        # Damage seldom comes alone: without this search, each damaged partition costs a restart.
        others = [n for n, db in self._dbs.items() if n != partition and not _is_whole(db)]
        for number in (partition, *others):
            log.critical("%s is rebuilt at the next start: %s", self._name(number), why)
            self._gone.add(number)
            self._remove(number)
        self._crash = asyncio.ensure_future(self.app.crash(why))

    def _remove(self, partition: int) -> None:
        db = self._dbs.pop(partition, None)
        if db is not None:
            try:
                db.close()
            except Exception as why:  # noqa: BLE001 - it is thrown away
                log.info("%s did not close: %s", self._name(partition), why)
        self._key_index.clear()
        path = self.partition_path(partition)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _name(self, partition: int) -> str:
        return f"partition {partition} of {self.table_name}"


def _is_empty(db: Any) -> bool:
    at = db.iter()
    at.seek_to_first()
    at.status()  # an iterator also ends at a damaged block
    return not at.valid()


def _whose(noted: bytes | None, identity: str) -> str:
    if noted is None:
        return "an earlier version did not note which changelog they belong to"
    return f"they belong to changelog {noted.decode()}, the broker's is {identity} (CLUSTER/TOPIC)"


def _is_whole(db: Any) -> bool:
    """Whether each entry can be read."""
    at = db.iter()
    at.seek_to_first()
    while at.valid():
        at.next()
    try:
        at.status()
    except Exception:  # noqa: BLE001 - RocksDB's errors have no class of their own
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Replayed:
    """One record of a `consumer.Replay`, as upstream's store takes it: an event and its message."""

    tp: TP
    partition: int
    offset: int
    key: bytes
    value: bytes | None

    @property
    def message(self) -> "_Replayed":
        return self


def _replayed(message: Any) -> Iterator[_Replayed]:
    for record in getattr(message, "replay", (message,)):
        yield _Replayed(message.tp, message.partition, record.offset, record.key, record.value)


def fits(offset: int, start: int, end: int, recent: int | None) -> bool:
    """Whether a changelog still has all that a store has missed since `offset`.

    That includes deletions: compaction drops a tombstone after `delete.retention.ms`, and a store
    that missed the tombstone would serve the deleted entry. `recent` is the first offset younger
    than that time.
    """
    if not start - 1 <= offset < end:
        return False
    return offset == end - 1 or (recent is not None and recent <= offset + 1)


def is_damage(why: Exception) -> bool:
    """Whether an error of RocksDB says that its files are not what they were.

    A lock, a full disk and a lack of rights are not damage; rocksdict tells by words only.
    """
    text = str(why)
    return text.startswith("Corruption") or any(
        words in text for words in ("No such file or directory", "File exists", "Not a directory")
    )
