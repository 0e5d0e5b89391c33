"""A Faust table whose entries are read and written by partition, outside of any stream.

Values are bytes. A worker has the entries of its partitions only, and only while it has recovered
them; where it has not, nothing is read or written.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from faust.types import TP

from posstream.domain.errors import TakesNothingNow
from posstream.kafka.partitioner import partition_of_known
from posstream.streaming.co_partitioning import CoPartitioning
from posstream.streaming.table_spec import TableSpec

#: Fetches of the changelog that are written at once. Not 1: Faust then goes on reading the
#: changelogs of its own partitions for ever.
_REPLAY_BUFFER: Final = 4


def home(key: str, partitions: int) -> int:
    """The partition of a key's entry: where Kafka's clients put it."""
    return partition_of_known(key.encode(), partitions)


class PartitionedTable:
    """A table. One per app.

    Args:
        app: whose table it is.
        spec: its names.
        partitions: how many it has.
        hot_bytes: the memory for entries that all partitions keep, in bytes.
    """

    def __init__(self, app: Any, spec: TableSpec, *, partitions: int, hot_bytes: int = 0) -> None:
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


class TablePartition:
    """The entries of one partition."""

    def __init__(self, whole: PartitionedTable, number: int) -> None:
        self._whole = whole
        self._table = whole.table
        self._number = number
        self._source = TP(whole.source, number)

    @property
    def at_hand(self) -> bool:
        """Whether this worker has the partition, has recovered it and may write it."""
        return self._may_write and self._whole.recovered

    @property
    def _may_write(self) -> bool:
        return self._whole.owns(self._number) and not self._whole.co_partitioning.is_frozen

    def read(self, key: str) -> bytes | None:
        """The value of a key; None if there is none, or the partition moved away.

        Raises:
            StorageFailed: if the partition cannot be read.
        """
        if not self._whole.owns(self._number):
            return None
        value: bytes | None = self._table.data.read(self._number, key.encode())
        return value

    def reads(self) -> Callable[[str], bytes | None]:
        """`read` for many keys: whether the partition is here is asked once.

        The function may be used until the next await.
        """
        if not self._whole.owns(self._number):
            return lambda _: None
        read, number = self._table.data.read, self._number
        return lambda key: read(number, key.encode())

    def reader(self) -> Callable[[bytes], bytes | None] | None:
        """A function that reads stored values by key; None if the partition moved away.

        It may be used until the next await. If it raises, the caller gives the error to `check`.
        """
        if not self._whole.owns(self._number):
            return None
        get: Callable[[bytes], bytes | None] = self._table.data.reader(self._number)
        return get

    def check(self, why: Exception) -> None:
        """Give the partition up if an error means that it is damaged."""
        self._table.data.check(self._number, why)

    def write(self, key: str, value: bytes) -> bool:
        """Keep a value.

        Returns:
            False, and nothing is kept, if the partition moved to another worker or is frozen.

        Raises:
            StorageFailed: if it was not written.
        """
        if not self._may_write:
            return False
        self._table.put_at(self._source, key.encode(), value)
        return True

    def write_all(self, values: Mapping[str, bytes]) -> Mapping[str, Exception]:
        """Keep values; the store writes them together.

        Returns:
            by key, why a value was not kept; empty if all were.

        Raises:
            TakesNothingNow: if the partition moved to another worker or is frozen.
        """
        if not self._may_write:
            raise TakesNothingNow(f"partition {self._number} of the table takes nothing now")
        encoded = {key.encode(): value for key, value in values.items()}
        refused = self._table.put_all_at(self._source, encoded)
        return {key.decode(): why for key, why in refused.items()}

    def remove(self, key: str) -> bool:
        """Remove a key, from the changelog too (a tombstone); whether there was one."""
        return self._may_write and self._table.remove_at(self._source, key.encode())

    def values(self, start: bytes, limit: int) -> Sequence[tuple[bytes, bytes]] | None:
        """At most `limit` keys and values in the order of keys, the first one at or after `start`.

        None if this worker does not have the partition, or has not recovered it.
        """
        if not self.at_hand:
            return None
        found: Sequence[tuple[bytes, bytes]] = self._table.data.entries(self._number, start, limit)
        return found

    def fill(self, limit: int) -> bool:
        """Read the next entries into memory, at most `limit`.

        Returns:
            False if the memory is full, or has all entries, or the partition is not at hand.

        Raises:
            StorageFailed: if the partition cannot be read.
        """
        return self.at_hand and bool(self._table.data.fill(self._number, limit))

    def estimated(self) -> int:
        """About how many entries there are; 0 if this worker does not have the partition."""
        return self._table.data.estimated(self._number) if self.at_hand else 0
