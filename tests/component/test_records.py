"""Reading batches: header names that are not UTF-8, and records as they were read."""

import struct
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from faust.types import TP

from posstream.streaming.patches import records as module
from posstream.streaming.patches.records import TolerantRecords, as_read, consumer_record

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


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_a_batch_of_any_codec_is_read(codec: int) -> None:
    """None, gzip, snappy, lz4, zstd: a till's producer chooses, and Kafka keeps it."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1_000_000)
    builder.append(0, 1, b"k", b"v" * 1000, [])
    assert [record.value for record in read(TolerantRecords(bytes(builder.build())))] == [
        b"v" * 1000
    ]


def test_the_batches_after_it_are_read_too() -> None:
    second = bytearray(batch((b"plain", b"\xff")))
    struct.pack_into(">q", second, 0, 3)
    found = read(TolerantRecords(batch(NAMES) + bytes(second)))
    assert [record.offset for record in found] == [0, 1, 2, 3, 4]


def test_upstream_cannot_get_past_it() -> None:
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords(batch(NAMES)))


# -- records as they were read


def ours(records: Any, key_deserializer: Any) -> list[Any]:
    """As the fetcher reads them once our classes are installed."""
    tp = TopicPartition("t", 0)
    reading: Any = module.PartitionRecords(
        tp, records, [], 0, key_deserializer, None, True, READ_UNCOMMITTED
    )
    found = list(reading)
    assert reading.next_fetch_offset == (found[-1].offset + 1 if found else 0)
    return found


#: A key and a value, each once missing and once empty, with and without headers.
MANY = [
    (b"k", b"v", [("h", b"x"), ("h", b""), ("g", None)]),
    (None, b"v", []),
    (b"", b"", [("", b"")]),
    (b"k", None, []),
]


def many() -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
    for offset, (key, value, headers) in enumerate(MANY):
        builder.append(offset, 1_700_000_000_000 + offset, key, value, headers)
    return bytes(builder.build())


def test_a_consumer_that_asks_for_it_gets_its_records_as_they_were_read() -> None:
    found = ours(TolerantRecords(many()), as_read)
    assert not any(isinstance(record, ConsumerRecord) for record in found)
    assert [(it.offset, it.timestamp, it.key, it.value, list(it.headers)) for it in found] == [
        (offset, 1_700_000_000_000 + offset, key, value, headers)
        for offset, (key, value, headers) in enumerate(MANY)
    ]


def test_what_was_read_makes_the_record_that_upstream_makes() -> None:
    upstream = read(MemoryRecords(many()))
    assert all(isinstance(record, ConsumerRecord) for record in upstream)
    made = [consumer_record(TP("t", 0), it) for it in ours(TolerantRecords(many()), as_read)]
    assert made == upstream
    assert [type(record.headers) for record in made] == [type(it.headers) for it in upstream]


def test_other_consumers_of_the_process_get_what_they_always_got() -> None:
    assert ours(TolerantRecords(many()), None) == read(MemoryRecords(many()))
    shouting = ours(TolerantRecords(batch(NAMES)), bytes.upper)
    assert [record.key for record in shouting] == [b"K"] * len(NAMES)


def test_records_with_odd_header_names_are_as_good_as_others() -> None:
    found = ours(TolerantRecords(batch(NAMES)), as_read)
    assert [(it.offset, it.timestamp, it.key, it.value) for it in found] == [
        (offset, 1, b"k", b"v%d" % offset) for offset in range(3)
    ]
    made = [consumer_record(TP("t", 0), record) for record in found]
    assert made == ours(TolerantRecords(batch(NAMES)), None)


def test_the_mark_is_never_called() -> None:
    with pytest.raises(AssertionError):
        as_read(b"k")


def transactional(offset: int, producer: int, key: bytes, *, control: bool = False) -> bytes:
    """A batch of one record within a transaction, or the marker that ends one."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, 0, 1000)
    builder.append(0, 1, key, b"v%d" % offset, [])
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, offset)
    if control:
        raw[22] |= 0x20
    struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    return bytes(raw)


def test_of_an_aborted_transaction_nothing_is_read_and_what_comes_after_it_is() -> None:
    aborted, committed = struct.pack(">hh", 0, 0), struct.pack(">hh", 0, 1)
    log = b"".join(
        (
            transactional(0, 7, b"k"),
            transactional(1, 8, b"k"),
            transactional(2, 7, aborted, control=True),
            transactional(3, 7, b"k"),
            transactional(4, 8, committed, control=True),
            transactional(5, 7, committed, control=True),
        )
    )
    tp = TopicPartition("t", 0)
    found = module.PartitionRecords(
        tp, TolerantRecords(log), [(7, 0)], 0, None, None, True, READ_COMMITTED
    )
    assert [record.value for record in found] == [b"v1", b"v3"]
    assert found.next_fetch_offset == 6
