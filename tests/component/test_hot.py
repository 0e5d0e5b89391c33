"""What is read most stays in memory, and is never another than RocksDB would give."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rocksdict
from faust.types import TP
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from posstream.streaming.patches.hot import ENTRY_BYTES, HotPartition
from posstream.streaming.patches.rocks import Options
from tables.cache_spec import CACHE_CHANGELOG
from tables.customer_cache import decode, encode
from tables.freshness import CacheEntry
from tables.partitioned import home
from tests.component.kept_cache import PARTITIONS, KeptCache
from tests.examples import most

#: Of each partition. What is longer than an eighth of it does not stay.
MEMORY = 8 * (ENTRY_BYTES + 100)


class CountedReads:
    """A partition of RocksDB that counts its reads."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self.reads = 0

    def get(self, key: bytes) -> Any:
        self.reads += 1
        return self._db.get(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


class RefusesWrites(CountedReads):
    """The same on a full disk."""

    def _refuse(self, *_: Any) -> None:
        raise OSError("no room")

    put = delete = write = _refuse


@pytest.fixture
def db(tmp_path: Path) -> CountedReads:
    return CountedReads(Options().open(tmp_path / "0"))


def test_a_value_is_read_from_rocksdb_once(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    hot.put(b"who", b"a customer")
    assert [hot.get(b"who") for _ in range(3)] == [b"a customer"] * 3
    assert db.reads == 1


def test_values_written_together_replace_those_in_memory(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    hot.put(b"who", b"a customer")
    hot.put(b"else", b"stays")
    assert (hot.get(b"who"), hot.get(b"else")) == (b"a customer", b"stays")
    hot.put_all({b"who": b"another", b"new": b"one"})
    assert (hot.get(b"who"), hot.get(b"new")) == (b"another", b"one")
    before = db.reads
    assert hot.get(b"else") == b"stays"
    assert db.reads == before, "the others stay in memory"


def test_a_value_in_memory_stays_there_when_it_is_written(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    for who in (b"who", b"else"):
        hot.put(who, b"a customer")
        hot.get(who)
    before = db.reads
    hot.put(b"who", b"another")
    hot.put_all({b"else": b"one more"})
    assert (hot.get(b"who"), hot.get(b"else")) == (b"another", b"one more")
    assert db.reads == before


def test_what_is_not_there_is_looked_for_each_time(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    assert [hot.get(b"who") for _ in range(2)] == [None, None]
    assert db.reads == 2


def test_what_was_read_last_stays(db: CountedReads) -> None:
    hot = HotPartition(db, 8 * (ENTRY_BYTES + 1 + 99))
    for number in range(9):
        hot.put(b"%d" % number, bytes(99))
    for number in (0, 1, 2, 3, 4, 5, 6, 7, 0, 8):
        hot.get(b"%d" % number)
    before = db.reads
    assert hot.get(b"0") == bytes(99)
    assert db.reads == before, "it was read before the newest one"
    hot.get(b"1")
    assert db.reads == before + 1, "the oldest one went"


def test_the_values_take_no_more_than_their_memory(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    for number in range(200):
        key = b"%d" % number
        hot.put(key, bytes(number % 100))
        hot.get(key)
        assert 0 < hot.kept_bytes <= MEMORY


def test_a_long_value_does_not_take_the_place_of_many(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    for size in (MEMORY // 8, 2 * MEMORY):
        hot.put(b"who", bytes(size))
        assert hot.get(b"who") == bytes(size)
    assert hot.kept_bytes == 0


def filled(hot: HotPartition, limit: int = 2) -> None:
    while hot.fill(limit):
        pass


def test_a_filled_memory_has_values_that_nobody_asked_for(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    values = {b"%d" % number: b"customer %d" % number for number in range(5)}
    hot.put_all(values)
    assert hot.fill(2), "there are others"
    filled(hot)
    assert {key: hot.get(key) for key in values} == values
    assert db.reads == 0


def test_filling_drops_no_value(db: CountedReads) -> None:
    hot = HotPartition(db, 8 * (ENTRY_BYTES + 1 + 99))
    for number in range(9):
        hot.put(b"%d" % number, bytes(99))
    hot.get(b"8")
    filled(hot)
    before = db.reads
    for number in (*range(7), 8):
        assert hot.get(b"%d" % number) == bytes(99)
    assert db.reads == before
    hot.get(b"7")
    assert db.reads == before + 1, "there was no room for it"


def test_values_written_while_the_memory_is_filled_are_read_as_written(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    hot.put_all({b"a": b"1", b"b": b"1", b"c": b"1"})
    assert hot.fill(2)
    hot.put(b"a", b"2")
    hot.delete(b"b")
    hot.put(b"c", b"2")
    filled(hot)
    assert [hot.get(key) for key in (b"a", b"b", b"c")] == [b"2", None, b"2"]


def test_a_memory_that_has_all_values_reads_no_more(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    hot.put(b"who", b"a customer")
    filled(hot)
    db.iter = None  # type: ignore[attr-defined]
    assert not hot.fill(2)


def test_after_a_recovery_the_memory_is_filled_anew(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    hot.put(b"who", b"a customer")
    filled(hot)
    batch = rocksdict.WriteBatch(raw_mode=True)
    batch.put(b"who", b"another")
    hot.write(batch)
    filled(hot)
    before = db.reads
    assert hot.get(b"who") == b"another"
    assert db.reads == before


def test_a_long_value_is_not_filled_in(db: CountedReads) -> None:
    hot = HotPartition(db, MEMORY)
    hot.put_all({b"long": bytes(2 * MEMORY), b"who": b"a customer"})
    filled(hot)
    assert hot.kept_bytes == ENTRY_BYTES + len(b"who") + len(b"a customer")


def test_after_a_write_that_failed_the_value_is_read_again(tmp_path: Path) -> None:
    rocks = Options().open(tmp_path / "0")
    rocks.put(b"who", b"a customer")
    full = RefusesWrites(rocks)
    hot = HotPartition(full, MEMORY)
    writes = (
        lambda: hot.put(b"who", b"another"),
        lambda: hot.put_all({b"who": b"another"}),
        lambda: hot.delete(b"who"),
        lambda: hot.write(rocksdict.WriteBatch(raw_mode=True)),
    )
    for number, write in enumerate(writes, start=1):
        assert hot.get(b"who") == b"a customer"
        assert full.reads == number
        with pytest.raises(OSError, match="no room"):
            write()


def test_a_closed_partition_gives_nothing_of_its_memory(tmp_path: Path) -> None:
    hot = Options(MEMORY).open(tmp_path / "0")
    hot.put(b"who", b"a customer")
    get = hot.get
    assert get(b"who") == b"a customer"
    hot.close()
    with pytest.raises(Exception, match="closed"):
        get(b"who")


def test_the_files_of_a_partition_that_nobody_holds_are_free_at_once(tmp_path: Path) -> None:
    """Faust drops the object of a partition that moved away, and does not close it."""
    hot = Options(MEMORY).open(tmp_path / "0")
    hot.put(b"who", b"a customer")
    assert hot.get(b"who") == b"a customer"
    del hot
    again = Options(MEMORY).open(tmp_path / "0")
    assert again.get(b"who") == b"a customer"
    again.close()


def test_without_memory_a_partition_is_rocksdicts_own(tmp_path: Path) -> None:
    db = Options(0).open(tmp_path / "0")
    assert isinstance(db, rocksdict.Rdict)
    db.close()


# -- the whole cache

#: Of every partition some.
WHO = [f"+49300000{number:02}" for number in range(12)]
NOBODY = "+4930000099"
identifiers = st.sampled_from(WHO)
entries = st.builds(
    CacheEntry,
    st.integers(0, 99),
    st.one_of(st.none(), st.sampled_from([b"{}", bytes(60), bytes(400), bytes(2000)])),
)


class HotCache(RuleBasedStateMachine):
    """The cache in front of RocksDB, beside a dict that is told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.datadir = Path(tempfile.mkdtemp())
        self.cache = KeptCache(self.datadir, hot_bytes=PARTITIONS * MEMORY)
        self.plain: dict[str, CacheEntry] = {}
        self.offset = 0
        self.store: Any = self.cache.table.table.data

    def teardown(self) -> None:
        for number in list(self.store._dbs):
            self.store._dbs.pop(number).close()
        asyncio.set_event_loop(None)
        self.loop.close()
        shutil.rmtree(self.datadir)

    def run(self, step: Any) -> Any:
        """Take a step as a worker does: in its event loop."""

        async def taken() -> Any:
            return step()

        return self.loop.run_until_complete(taken())

    @rule(who=identifiers)
    def read(self, who: str) -> None:
        """Some more than others, so that those stay."""
        assert self.partition(who).get(who) == self.plain.get(who)

    @rule(who=identifiers, entry=entries)
    def keep(self, who: str, entry: CacheEntry) -> None:
        """A call has brought an answer."""
        self.run(lambda: self.partition(who).put(who, entry))
        self.plain[who] = entry

    @rule(who=identifiers)
    def remove(self, who: str) -> None:
        """A customer is forgotten, or a command evicts the entry."""
        was_there = self.run(lambda: self.partition(who).remove(who))
        assert was_there == (self.plain.pop(who, None) is not None)

    @rule(number=st.integers(0, PARTITIONS - 1), before_ms=st.integers(0, 99))
    def sweep(self, number: int, before_ms: int) -> None:
        """Old entries are removed, as the sweep finds and removes them."""
        partition = self.cache.table.partition(number)
        found = partition.entries(b"", 100)
        assert found is not None
        assert {it.identifier: it.entry for it in found} == self.at(number)
        for stored in found:
            if stored.entry is not None and stored.entry.fetched_at_ms < before_ms:
                assert self.run(lambda who=stored.identifier: partition.remove(who))
                del self.plain[stored.identifier]

    @rule(
        number=st.integers(0, PARTITIONS - 1),
        changes=st.dictionaries(identifiers, st.one_of(st.none(), entries), max_size=5),
    )
    def replay(self, number: int, changes: dict[str, CacheEntry | None]) -> None:
        """A recovery, or a standby, writes what another worker wrote to the changelog."""
        batch = []
        for who, entry in changes.items():
            if home(who, PARTITIONS) != number:
                continue
            self.offset += 1
            value = None if entry is None else encode(entry)
            batch.append(changed(number, self.offset, who.encode(), value))
            if entry is None:
                self.plain.pop(who, None)
            else:
                self.plain[who] = entry
        self.store.apply_changelog_batch(batch, to_key=None, to_value=None)

    @rule(number=st.integers(0, PARTITIONS - 1), others=st.dictionaries(identifiers, entries))
    def lose_and_get_again(self, number: int, others: dict[str, CacheEntry]) -> None:
        """Another worker has the partition for a while, and changes it."""
        self.cache.assign([it for it in range(PARTITIONS) if it != number])
        self.store.revoke_partitions(self.cache.table.table, {TP(CACHE_CHANGELOG, number)})
        for who in self.at(number):
            assert self.partition(who).get(who) is None
        self.cache.assign(range(PARTITIONS))
        self.replay(number, dict(others))

    @rule(number=st.integers(0, PARTITIONS - 1), limit=st.integers(1, 3))
    def fill(self, number: int, limit: int) -> None:
        """Memory is filled between the events."""
        self.cache.table.partition(number).fill(limit)

    @rule(number=st.integers(0, PARTITIONS - 1))
    def rebuild(self, number: int) -> None:
        """The partition did not fit its changelog: it is thrown away."""
        self.store._make_anew(number, "another changelog")
        for who in self.at(number):
            del self.plain[who]

    @rule(number=st.integers(0, PARTITIONS - 1))
    def note_offset(self, number: int) -> None:
        """Faust's own key is among the entries."""
        self.offset += 1
        self.cache.persist_offset(number, self.offset)
        assert self.cache.persisted_offset(number) == self.offset

    @invariant()
    def lists_and_single_events_read_what_was_written(self) -> None:
        """Of one after the other: reading all of them each time would leave nothing to forget."""
        who = WHO[self.offset % len(WHO)]
        expected = self.plain.get(who)
        get = self.partition(who).reader()
        assert get is not None
        value = get(who.encode())
        assert (None if value is None else decode(value)) == expected
        assert self.partition(who).get(who) == expected
        assert self.partition(NOBODY).get(NOBODY) is None

    @invariant()
    def its_memory_is_bounded(self) -> None:
        assert all(db.kept_bytes <= MEMORY for db in self.store._dbs.values())

    def at(self, number: int) -> dict[str, CacheEntry]:
        return {who: it for who, it in self.plain.items() if home(who, PARTITIONS) == number}

    def partition(self, who: str) -> Any:
        return self.cache.table.partition(home(who, PARTITIONS))


def changed(number: int, offset: int, key: bytes, value: bytes | None) -> Any:
    """A record of the changelog, as Faust hands it to a store."""
    message = SimpleNamespace(
        tp=TP(CACHE_CHANGELOG, number), partition=number, offset=offset, key=key, value=value
    )
    return SimpleNamespace(message=message)


TestHotCache = HotCache.TestCase
TestHotCache.settings = settings(max_examples=most(100), stateful_step_count=40, deadline=None)
