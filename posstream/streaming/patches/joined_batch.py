"""Batches for records that have much in common: each record is joined from pieces of bytes.

aiokafka's builder takes a whole value and encodes every header of every record. Here a record comes
in pieces, which are joined into the batch, and a piece that many records share is encoded once. For
other records aiokafka's builder is faster: see `batch`.

To the producer a batch looks like a closed builder of aiokafka, uncompressed and not transactional.
Its bytes equal those of aiokafka's own builder (record format v2 of Kafka's protocol).
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final, Self

from aiokafka.record.util import calc_crc32c

#: The head of a batch: base offset, length, leader epoch, format and checksum. Then, covered by the
#: checksum: attributes, last offset, first and last time, the producer's id, epoch and sequence,
#: and the count of records.
_FRAME: Final = struct.Struct(">qiibI")
_ABOUT: Final = struct.Struct(">hiqqqhii")
_HEAD_BYTES: Final = _FRAME.size + _ABOUT.size
#: The length in the head counts the bytes after itself.
_LENGTH_FROM: Final = 12
_FORMAT: Final = 2
#: The start of a record: no attributes, and 0 ms after the first record of its batch.
_BEGIN: Final = b"\0\0"
_NO_TRANSACTION: Final = (-1, -1, 0)


def _encoded(number: int) -> bytes:
    """A number as it is written in a record: a signed varint of Protocol Buffers (zigzag)."""
    rest = number * 2 if number >= 0 else -number * 2 - 1
    found = bytearray()
    while rest > 0x7F:  # noqa: PLR2004 - seven bits a byte
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)


class _Varints(dict[int, bytes]):
    def __missing__(self, number: int) -> bytes:
        return _encoded(number)


#: Numbers as they are written in a record. Small ones, so most lengths and places, are ready made.
VARINTS: Final = _Varints({number: _encoded(number) for number in range(-1, 4096)})


def encoded_headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """The headers as they are written in a record."""
    return b"".join((VARINTS[len(headers)], *_pieces(headers)))


def _pieces(headers: Iterable[tuple[str, bytes | None]]) -> Iterator[bytes]:
    for name, value in headers:
        for text in (name.encode(), value):
            yield VARINTS[-1 if text is None else len(text)]
            yield text or b""


class JoinedBatch:
    """Records with one timestamp for one partition, which leave together.

    Args:
        most_bytes: the most bytes of the batch, unless its first record alone is longer.
        timestamp_ms: the time of its records.
    """

    __slots__ = ("_data", "_most_bytes", "_producer", "_timestamp_ms", "count", "length")

    def __init__(self, most_bytes: int, timestamp_ms: int) -> None:
        self._most_bytes = most_bytes
        self._timestamp_ms = timestamp_ms
        self._data = bytearray(_HEAD_BYTES)
        #: How many bytes and records it has so far.
        self.length = _HEAD_BYTES
        self.count = 0
        self._producer = _NO_TRANSACTION

    def put_whole(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> bool:
        """Put a record in; False if the batch is full."""
        end = encoded_headers(headers)
        if value is None:
            return self.put(key, -1, (end,), len(end))
        return self.put(key, len(value), (value, end), len(value) + len(end))

    def put(
        self, key: bytes | None, value_length: int, pieces: Sequence[bytes], length: int
    ) -> bool:
        """Put a record in that comes in pieces; False if the batch is full.

        Args:
            key: the key of the record.
            value_length: the length of its value; -1 if it has none.
            pieces: the value, then the headers as `encoded_headers` gives them.
            length: that of all pieces together.
        """
        place, of_value = VARINTS[self.count], VARINTS[value_length]
        of_key = VARINTS[-1 if key is None else len(key)]
        key = key or b""
        length += len(_BEGIN) + len(place) + len(of_key) + len(key) + len(of_value)
        of_record = VARINTS[length]
        end = self.length + len(of_record) + length
        if end > self._most_bytes and self.count:
            return False
        self._data += b"".join((of_record, _BEGIN, place, of_key, key, of_value, *pieces))
        self.length = end
        self.count += 1
        return True

    def complete(self) -> Self:
        """The builder for the producer: the batch itself."""
        return self

    # -- what aiokafka and our producer ask of a builder

    #: So that nobody adds records to the batch that waits last: they begin a new one.
    _closed: ClassVar = True

    def append(self, **_: Any) -> None:
        """Take no single record: the batch is closed."""

    def closed(self) -> bool:
        """True: nobody else may write into it."""
        return True

    def close(self) -> None:
        """Do nothing: it is closed."""

    def record_count(self) -> int:
        """How many records it has; the broker recognises a repeated batch by this."""
        return self.count

    def size(self) -> int:
        """How many bytes it has."""
        return self.length

    def _set_producer_state(self, producer_id: int, epoch: int, sequence: int) -> None:
        self._producer = producer_id, epoch, sequence

    def _build(self) -> bytearray:
        """The bytes, also when they are sent again."""
        data = self._data
        at = self._timestamp_ms
        about = 0, self.count - 1, at, at, *self._producer, self.count
        _ABOUT.pack_into(data, _FRAME.size, *about)
        checksum = calc_crc32c(memoryview(data)[_FRAME.size :])
        _FRAME.pack_into(data, 0, 0, len(data) - _LENGTH_FROM, -1, _FORMAT, checksum)
        return data
