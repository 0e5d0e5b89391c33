"""Reading Kafka's record batches without falling over a header name that is not UTF-8.

Kafka says that header names are UTF-8, and no broker checks it. aiokafka 0.14 raises on such a
record, for ever: the consumer cannot get past it. Here a batch that aiokafka's fast reader
refuses is read once more by its reader in Python, which is given a buffer that decodes any bytes.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records
from aiokafka.record.memory_records import MemoryRecords

#: Of every batch: its base offset, then how many bytes follow these twelve.
_FRAME: Final = struct.Struct(">qi")


class TolerantRecords:
    """aiokafka's `MemoryRecords` whose batches can be read whatever their header names are."""

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

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except (UnicodeDecodeError, CorruptRecordException):
            # From the start: the fetcher skips the records that it has. Only v2 has headers.
            yield from _TolerantBatch(bytearray(self._data))


_PythonBatch: Any = default_records._DefaultRecordBatchPy  # noqa: SLF001


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


def install() -> None:
    """Make aiokafka's consumers of this process read by `TolerantRecords`."""
    fetcher.MemoryRecords = TolerantRecords
