"""Reading Kafka's record batches: any header names, and no object more than needed.

Kafka says that header names are UTF-8, and no broker checks it. aiokafka 0.14 raises on a record
with another header name each time it is fetched: the consumer cannot get past it. Here a batch that
aiokafka's fast reader refuses is read once more by its reader in Python, which is given a buffer
that decodes any bytes.

aiokafka makes a `ConsumerRecord` with eleven fields for each record: a seventh of all work, for a
list of events that are answered at once. A consumer that asks for it gets its records as they were
read, with offset, timestamp, key, value and headers only.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Never

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord

if TYPE_CHECKING:
    from faust.types import TP

#: Of every batch: its base offset, then how many bytes follow these twelve.
_FRAME: Final = struct.Struct(">qi")


class TolerantRecords:
    """aiokafka's `MemoryRecords`; reads batches with any header names."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> "_Batch":
        """The next batch."""
        start = self._at
        _, length = _FRAME.unpack_from(self._data, start)
        self._at = start + _FRAME.size + length
        return _Batch(self._records.next_batch(), memoryview(self._data)[start : self._at])


class _Batch:
    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """The next record; aiokafka reads the single record of a transaction's marker this way."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            records = list(self._batch)  # all together: a third of the time of one by one
        except (UnicodeDecodeError, CorruptRecordException):
            records = list(_TolerantBatch(bytearray(self._data)))  # only v2 has headers
        return iter(records)


_PythonBatch: Any = default_records._DefaultRecordBatchPy


class _TolerantBatch(_PythonBatch):
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Buffer(self._buffer)


class _Buffer(bytearray):
    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Buffer(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", _: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


def as_read(_: bytes) -> Never:
    """Given to a consumer as its deserializer of keys: it gets its records as they were read."""
    raise AssertionError("a mark, not a function")


_UpstreamRecords: Any = fetcher.PartitionRecords


class PartitionRecords(_UpstreamRecords):
    """aiokafka's records of a partition; as they were read, for a consumer that asks for it."""

    _key_deserializer: Any
    _records_iterator: Iterator[Any]

    def __iter__(self) -> Iterator[Any]:
        return self._records_iterator  # upstream's own `__next__` is a call more for each record

    def _consumer_record(self, tp: "TP", record: Any) -> Any:
        if self._key_deserializer is as_read:
            return record
        return super()._consumer_record(tp, record)


def consumer_record(tp: "TP", record: Any) -> ConsumerRecord:
    """Make aiokafka's `ConsumerRecord` from the record that its parser read."""
    key, value = record.key, record.value
    return ConsumerRecord(
        tp.topic,
        tp.partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        key,
        value,
        record.checksum,
        -1 if key is None else len(key),
        -1 if value is None else len(value),
        tuple(record.headers),
    )


def install() -> None:
    """Make aiokafka's consumers of this process read by the classes of this module."""
    fetcher.MemoryRecords = TolerantRecords
    fetcher.PartitionRecords = PartitionRecords
