"""Records whose header names are not UTF-8: upstream's consumer cannot get past them."""

import struct
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from posstream.streaming.records import TolerantRecords

NAMES = (b"plain", b"caf\xe9", b"plain")


def batch(names: tuple[bytes, ...], *, gzip: bool = False) -> bytes:
    """One record per name, with a header of that name."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
    for offset, name in enumerate(names):
        builder.append(offset, 1, b"k", b"v%d" % offset, [("?" * len(name), b"x")])
    raw = bytearray(builder.build())
    for name in names:
        at = raw.index(b"?" * len(name))
        raw[at : at + len(name)] = name
    if gzip:
        from aiokafka.codec import gzip_encode

        raw[61:] = gzip_encode(bytes(raw[61:]))
        struct.pack_into(">i", raw, 8, len(raw) - 12)
        struct.pack_into(">h", raw, 21, 1)
    struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    return bytes(raw)


def read(records: Any) -> list[Any]:
    """As aiokafka's fetcher reads them."""
    tp = TopicPartition("t", 0)
    return list(PartitionRecords(tp, records, [], 0, None, None, True, READ_UNCOMMITTED))


@pytest.mark.parametrize("gzip", [False, True])
def test_every_record_is_read_once_and_in_order(*, gzip: bool) -> None:
    found = read(TolerantRecords(batch(NAMES, gzip=gzip)))
    assert [record.value for record in found] == [b"v0", b"v1", b"v2"]
    assert [record.headers[0][0] for record in found] == ["plain", "caf\\xe9", "plain"]


def test_the_batches_after_it_are_read_too() -> None:
    second = bytearray(batch((b"plain", b"\xff")))
    struct.pack_into(">q", second, 0, 3)
    found = read(TolerantRecords(batch(NAMES) + bytes(second)))
    assert [record.offset for record in found] == [0, 1, 2, 3, 4]


def test_upstream_cannot_get_past_it() -> None:
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords(batch(NAMES)))
