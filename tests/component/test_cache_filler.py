"""The memory in front of RocksDB fills by itself, a little at a time."""

from pathlib import Path
from typing import Any

import pytest

from posstream.domain.errors import StorageFailed
from tables.cache_filler import FILL_SECONDS, CacheFiller
from tables.cache_sweep import SLICE
from tests.component.kept_cache import PARTITIONS, KeptCache


class TickingClock:
    """Each look at it takes some time."""

    def __init__(self, tick: float = 0.0) -> None:
        self.seconds, self.tick = 0.0, tick

    def now_ms(self) -> int:
        raise AssertionError("no age is asked for")

    def monotonic(self) -> float:
        self.seconds += self.tick
        return self.seconds


@pytest.fixture
async def cache(tmp_path: Path) -> KeptCache:
    cache = KeptCache(tmp_path)
    for number in range(4 * SLICE * PARTITIONS):
        cache.put_raw(f"+4930{number:08}", b"an entry")
    return cache


def in_memory(cache: KeptCache) -> int:
    stores: Any = cache.table.table.data._dbs
    return sum(len(store._kept) for store in stores.values())


async def test_all_partitions_are_filled(
    cache: KeptCache, caplog: pytest.LogCaptureFixture
) -> None:
    filler = CacheFiller(cache.table, TickingClock())
    with caplog.at_level("INFO"):
        await filler.fill()
        await filler.fill()
    assert in_memory(cache) == 4 * SLICE * PARTITIONS
    assert caplog.messages == ["the cache is in memory, as far as it fits"], "said once"


async def test_of_a_small_cache_the_log_tells_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = KeptCache(tmp_path)
    cache.put_raw("+49300", b"an entry")
    with caplog.at_level("INFO"):
        await CacheFiller(cache.table, TickingClock()).fill()
    assert in_memory(cache) == 1
    assert caplog.messages == ["the cache is in memory, as far as it fits"]


async def test_it_pauses_after_a_tenth_of_a_second_and_goes_on_later(cache: KeptCache) -> None:
    filler = CacheFiller(cache.table, TickingClock(FILL_SECONDS / 2))
    await filler.fill()
    assert in_memory(cache) == 2 * SLICE
    for _ in range(2 * PARTITIONS):
        await filler.fill()
    assert in_memory(cache) == 4 * SLICE * PARTITIONS


async def test_only_partitions_that_this_worker_has_are_filled(cache: KeptCache) -> None:
    cache.assign([1])
    await CacheFiller(cache.table, TickingClock()).fill()
    stores: Any = cache.table.table.data._dbs
    assert [len(stores[number]._kept) > 0 for number in range(PARTITIONS)] == [False, True, False]


async def test_a_recovery_while_it_fills_is_not_logged_as_its_end(
    cache: KeptCache, caplog: pytest.LogCaptureFixture
) -> None:
    filler = CacheFiller(cache.table, TickingClock(FILL_SECONDS / 2))
    with caplog.at_level("INFO"):
        await filler.fill()
        cache.app.tables.actives_ready = False
        await filler.fill()
    assert caplog.messages == []


async def test_while_tables_are_recovered_nothing_is_filled(cache: KeptCache) -> None:
    cache.app.tables.actives_ready = False
    await CacheFiller(cache.table, TickingClock()).fill()
    assert in_memory(cache) == 0


async def test_a_partition_that_cannot_be_read_holds_up_no_other(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = cache.table.table.data
    fill = store.fill

    def refuses(number: int, limit: int) -> bool:
        if number == 0:
            raise StorageFailed("a disk error")
        return bool(fill(number, limit))

    monkeypatch.setattr(store, "fill", refuses)
    await CacheFiller(cache.table, TickingClock()).fill()
    assert in_memory(cache) > 2 * SLICE
    assert not len(store._dbs[0]._kept)


async def test_without_memory_nothing_is_filled(tmp_path: Path) -> None:
    cache = KeptCache(tmp_path, hot_bytes=0)
    cache.put_raw("+49300", b"an entry")
    assert not any(cache.table.partition(number).fill(SLICE) for number in range(PARTITIONS))
