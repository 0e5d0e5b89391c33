"""The sweep on Faust's own RocksDB store: what leaves it, what stays, and how much at once."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from agents.customer_lookup.configuration import LookupConfiguration
from posstream.configuration.current import CurrentConfiguration
from tables.cache_sweep import MARGIN_MS, CacheSweeper, is_over
from tables.customer_cache import Stored
from tables.freshness import MAX_SKEW_MS, CacheEntry
from tables.partitioned import home
from tests.component.fakes import NOW_MS
from tests.component.kept_cache import PARTITIONS, KeptCache
from tests.lookup_metrics import RegisteredMetrics

PLAN = LookupConfiguration(api_endpoint="http://directory/")
STALE_MS, NEGATIVE_MS = PLAN.windows.stale_ms, PLAN.windows.negative_ms


class ManualClock:
    def __init__(self) -> None:
        self.now = NOW_MS

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1000


class Sweep:
    """A sweeper and all that it was given."""

    def __init__(self, cache: KeptCache, *, batch: int = 1000) -> None:
        self.clock, self.metrics = ManualClock(), RegisteredMetrics()
        self.configuration = CurrentConfiguration(PLAN)
        self.sweeper = CacheSweeper(
            cache.table,
            windows=lambda: self.configuration.value.windows,
            clock=self.clock,
            metrics=self.metrics,
            batch=batch,
        )

    @property
    def removed(self) -> float | None:
        return self.metrics.registry.get_sample_value(
            "posstream_cache_removed_total", {"why": "expired"}
        )

    @property
    def entries(self) -> float | None:
        return self.metrics.registry.get_sample_value("posstream_cache_entries")


@pytest.fixture
async def cache(tmp_path: Path) -> KeptCache:
    return KeptCache(tmp_path)


def known(age_ms: int) -> CacheEntry:
    return CacheEntry(NOW_MS - age_ms, b'{"customer_id":"C"}')


def unknown(age_ms: int) -> CacheEntry:
    return CacheEntry(NOW_MS - age_ms, None)


@pytest.mark.parametrize(
    ("entry", "over"),
    [
        (known(0), False),
        (known(STALE_MS), False),
        (known(STALE_MS + MARGIN_MS - 1), False),
        (known(STALE_MS + MARGIN_MS), True),
        (unknown(NEGATIVE_MS - 1), False),
        (unknown(NEGATIVE_MS), True),
        (known(-MAX_SKEW_MS), False),
        (known(-MAX_SKEW_MS - 1), True),
        (unknown(-MAX_SKEW_MS - 1), True),
        (None, True),
    ],
)
def test_an_entry_is_over_when_no_window_will_serve_it(
    entry: CacheEntry | None, *, over: bool
) -> None:
    assert is_over(entry, NOW_MS, PLAN.windows) is over


async def test_the_expired_leave_the_store_and_the_changelog_and_the_others_stay(
    cache: KeptCache,
) -> None:
    cache.put("+491", known(60_000))
    cache.put("+492", known(STALE_MS - 1))
    cache.put("+493", known(STALE_MS + MARGIN_MS))
    cache.put("+494", unknown(NEGATIVE_MS))
    cache.put("+495", unknown(0))
    cache.put_raw("+496", b"\x09 of another layout")
    sweep = Sweep(cache)
    await sweep.sweeper.sweep()
    assert cache.identifiers == {"+491", "+492", "+495"}
    gone = {"+493", "+494", "+496"}
    assert cache.tombstones == {(home(identifier, PARTITIONS), identifier) for identifier in gone}
    assert sweep.removed == 3


async def test_a_sweep_looks_at_no_more_than_its_batch_and_in_the_end_at_all(
    cache: KeptCache,
) -> None:
    for number in range(330):
        cache.put(f"+49{number:04}", known(STALE_MS + MARGIN_MS))
        cache.put(f"CARD_{number}", known(0))
    sweep = Sweep(cache, batch=70)
    left, sweeps = len(cache.identifiers), 0
    while left > 330:
        await sweep.sweeper.sweep()
        sweeps += 1
        before, left = left, len(cache.identifiers)
        assert before - left <= 70
        assert sweeps <= 11, "660 entries take ten sweeps of 70"
    assert cache.identifiers == {f"CARD_{number}" for number in range(330)}
    assert (sweep.removed, len(cache.tombstones)) == (330, 330)


async def test_the_sweep_comes_round_again(cache: KeptCache) -> None:
    cache.put("+491", known(0))
    sweep = Sweep(cache)
    await sweep.sweeper.sweep()
    assert cache.identifiers == {"+491"}
    sweep.clock.now += STALE_MS + MARGIN_MS
    await sweep.sweeper.sweep()
    assert cache.identifiers == set()


async def test_the_live_configuration_decides(cache: KeptCache) -> None:
    cache.put("+491", known(MARGIN_MS + 30_000))
    sweep = Sweep(cache)
    await sweep.sweeper.sweep()
    assert cache.identifiers == {"+491"}
    sweep.configuration.value = structs.replace(PLAN, stale_ttl_seconds=30)
    await sweep.sweeper.sweep()
    assert cache.identifiers == set()


async def test_fausts_own_offset_stays_however_often_it_is_swept_over(cache: KeptCache) -> None:
    for number in range(PARTITIONS):
        cache.persist_offset(number, 41 + number)
    for batch in (1, 2, 1000):
        sweep = Sweep(cache, batch=batch)
        for _ in range(5):
            await sweep.sweeper.sweep()
    assert [cache.persisted_offset(number) for number in range(PARTITIONS)] == [41, 42, 43]


async def test_partitions_of_other_workers_are_left_alone(cache: KeptCache) -> None:
    identifiers = [f"+49{number}" for number in range(30)]
    for identifier in identifiers:
        cache.put(identifier, unknown(NEGATIVE_MS))
    cache.assign([1])
    await Sweep(cache).sweeper.sweep()
    assert cache.identifiers == {i for i in identifiers if home(i, PARTITIONS) != 1}


async def test_nothing_is_swept_while_tables_are_recovered(cache: KeptCache) -> None:
    cache.put("+491", unknown(NEGATIVE_MS))
    cache.app.tables.actives_ready = False
    sweep = Sweep(cache)
    await sweep.sweeper.sweep()
    assert (cache.identifiers, sweep.entries) == ({"+491"}, 0)
    cache.app.tables.actives_ready = True
    await sweep.sweeper.sweep()
    assert cache.identifiers == set()


async def test_the_entries_of_all_own_partitions_are_counted(cache: KeptCache) -> None:
    for number in range(40):
        cache.put(f"+49{number}", known(0))
    sweep = Sweep(cache)
    await sweep.sweeper.sweep()
    assert sweep.entries == 40


class BrokenPartition:
    """A partition whose store fails as soon as something is removed."""

    def __init__(self, cache: "BrokenCache") -> None:
        self._cache = cache

    def entries(self, start: bytes, limit: int) -> Sequence[Stored] | None:
        return [Stored("+491", None)][:limit] if self._cache.owned and not start else []

    def remove(self, _: str) -> bool:
        self._cache.owned = not self._cache.moves
        raise OSError("the store is closed")

    def estimated(self) -> int:
        return 1


class BrokenCache:
    partitions = 1

    def __init__(self, *, moves: bool) -> None:
        self.moves, self.owned = moves, True

    def partition(self, _: int) -> BrokenPartition:
        return BrokenPartition(self)

    def owns(self, _: int) -> bool:
        return self.owned

    async def flush(self) -> None: ...


def sweeper_of(cache: BrokenCache) -> CacheSweeper:
    return CacheSweeper(
        cache, windows=lambda: PLAN.windows, clock=ManualClock(), metrics=RegisteredMetrics()
    )


async def test_a_partition_that_moves_away_in_the_middle_stops_nobody() -> None:
    cache = BrokenCache(moves=True)
    await sweeper_of(cache).sweep()
    assert not cache.owned


async def test_a_broken_store_of_our_own_is_not_passed_over() -> None:
    with pytest.raises(OSError, match="closed"):
        await sweeper_of(BrokenCache(moves=False)).sweep()


async def test_an_entry_that_is_not_where_its_key_belongs_is_removed(tmp_path: Path) -> None:
    cache, metrics = KeptCache(tmp_path), RegisteredMetrics()
    number = (home("+491", PARTITIONS) + 1) % PARTITIONS
    entry = CacheEntry(ManualClock().now_ms(), b"{}")
    cache.table.partition(number).put("+491", entry)
    cache.put("+492", entry)
    sweeper = CacheSweeper(
        cache.table,
        windows=lambda: PLAN.windows,
        clock=ManualClock(),
        metrics=metrics,
    )
    await sweeper.sweep()
    assert cache.identifiers == {"+492"}
    removed = metrics.registry.get_sample_value(
        "posstream_cache_removed_total", {"why": "misplaced"}
    )
    assert removed == 1
