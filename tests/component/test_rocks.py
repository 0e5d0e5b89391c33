"""The partitions of a table on disk: one memory for all of them, at every start."""

from pathlib import Path
from typing import Any

import pytest
from faust.stores import rocksdb

from posstream.streaming.patches.rocks import CACHE_BYTES, UNWRITTEN_BYTES, Options

MEBIBYTE = 1024 * 1024
CAPACITY, USAGE = "rocksdb.block-cache-capacity", "rocksdb.block-cache-usage"


def bytes_of(db: Any, name: str) -> int:
    return int(db.property_int_value(name))


@pytest.mark.parametrize(
    ("options", "capacities"),
    [(Options, [CACHE_BYTES, CACHE_BYTES]), (rocksdb.RocksDBOptions, [2**31, 8 * MEBIBYTE])],
)
def test_a_partition_has_its_cache_when_it_is_opened_again_too(
    tmp_path: Path, options: Any, capacities: list[int]
) -> None:
    """Upstream's has rocksdict's own one from then on."""
    found = []
    for _ in range(2):
        db = options().open(tmp_path / "0")
        found.append(bytes_of(db, CAPACITY))
        db.close()
    assert found == capacities


def test_all_partitions_share_one_cache(tmp_path: Path) -> None:
    options = Options()
    dbs = [options.open(tmp_path / str(number)) for number in range(2)]
    dbs[0].put(b"who", b"x" * MEBIBYTE)
    dbs[0].flush()
    assert dbs[0].get(b"who") == b"x" * MEBIBYTE
    usages = [bytes_of(db, USAGE) for db in dbs]
    assert usages[0] == usages[1] > 0
    for db in dbs:
        db.close()


def test_what_is_not_written_yet_is_bounded_for_all_partitions_together(tmp_path: Path) -> None:
    options = Options()
    dbs = [options.open(tmp_path / str(number)) for number in range(16)]
    most = 0
    for number in range(6 * 16):
        dbs[number % 16].put(b"%d" % number, bytes(MEBIBYTE))
        most = max(most, sum(bytes_of(db, "rocksdb.cur-size-all-mem-tables") for db in dbs))
    assert 0.5 * UNWRITTEN_BYTES < most < 1.25 * UNWRITTEN_BYTES
    for db in dbs:
        db.close()


def test_partitions_of_earlier_versions_are_opened(tmp_path: Path) -> None:
    before = rocksdb.RocksDBOptions(use_rocksdict=True).open(tmp_path / "0")
    before.put(b"who", b"a customer")
    before.close()
    db = Options().open(tmp_path / "0")
    assert db.get(b"who") == b"a customer"
    db.close()
