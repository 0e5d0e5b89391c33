"""The table store that outlives its disk, without a broker."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from faust.types import TP

from posstream.domain.errors import StorageFailed, TakesNothingNow
from posstream.streaming.patches.store import fits, is_damage
from tables.cache_spec import CACHE_CHANGELOG
from tables.customer_cache import encode
from tables.freshness import CacheEntry
from tables.partitioned import TablePartition, home
from tests.component.kept_cache import PARTITIONS, KeptCache

ENTRY = CacheEntry(1_000, b"{}")
WHO = "+4930000001"
NUMBER = home(WHO, PARTITIONS)
CHANGELOG = TP(CACHE_CHANGELOG, NUMBER)


@pytest.fixture
def cache(tmp_path: Path, crashes: list[BaseException]) -> KeptCache:
    return opened(tmp_path, crashes)


@pytest.fixture
def crashes() -> list[BaseException]:
    return []


def opened(datadir: Path, crashes: list[BaseException]) -> KeptCache:
    cache = KeptCache(datadir)

    async def crash(why: BaseException) -> None:
        crashes.append(why)

    cache.app.crash = crash
    return cache


def store_of(cache: KeptCache) -> Any:
    return cache.table.table.data


def put_away(cache: KeptCache, number: int = NUMBER) -> Path:
    """Close the store of a partition; its folder."""
    store = store_of(cache)
    store._dbs.pop(number).close()
    folder: Path = store.partition_path(number)
    return folder


def harm_entries(folder: Path) -> None:
    """Damage that opening does not show: a block of entries; the index at the end is whole."""
    (table,) = folder.glob("*.sst")
    content = bytearray(table.read_bytes())
    content[:8] = bytes(8)
    table.write_bytes(content)


def no_room(*_: Any) -> None:
    raise Exception("IO error: No space left on device: While appending to file")  # noqa: TRY002


class Refusing:
    """A RocksDB on a full disk: it reads, and refuses to write."""

    def __init__(self, db: Any) -> None:
        self.get, self.close = db.get, db.close
        self.put = self.delete = self.write = no_room


@contextmanager
def full_disk(store: Any) -> Iterator[None]:
    """The disk of the partition refuses writes meanwhile."""
    held = store._dbs[NUMBER]
    store._dbs[NUMBER] = Refusing(held)
    yield
    store._dbs[NUMBER] = held


@pytest.mark.parametrize(
    ("files", "harm"),
    [
        ("CURRENT", lambda file: os.truncate(file, 3)),
        ("MANIFEST-*", lambda file: os.truncate(file, 0)),
        ("MANIFEST-*", Path.unlink),
        ("*.sst", lambda file: os.truncate(file, 10)),
        ("*.sst", Path.unlink),
    ],
)
async def test_a_damaged_store_is_thrown_away_when_it_is_opened(
    cache: KeptCache,
    caplog: pytest.LogCaptureFixture,
    files: str,
    harm: Callable[[Path], None],
) -> None:
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 7)
    for file in put_away(cache).glob(files):
        harm(file)
    assert cache.persisted_offset(NUMBER) is None, "all of the changelog is read"
    assert cache.table.partition(NUMBER).get(WHO) is None
    assert [r.getMessage()[:40] for r in caplog.records if "damaged" in r.getMessage()] == [
        f"partition {NUMBER} of customer-cache is damaged"[:40]
    ]


class Puts:
    """A producer that takes records of the changelog into batches, unless it is told not to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes | None, bytes | None, int | None]] = []
        self.batch: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def put(self, topic: str, key: bytes, value: bytes, partition: int, _: object) -> Any:
        self.taken.append((topic, key, value, partition))
        return self.batch, len(self.taken) - 1


async def test_a_change_goes_straight_to_the_producer_and_its_offset_is_noted_once_it_is_written(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = Puts()
    monkeypatch.setattr(cache.app.producer, "put", puts.put)
    for _ in range(2):
        cache.put(WHO, ENTRY)
    record = ("kept-customer-cache-changelog", WHO.encode(), encode(ENTRY), NUMBER)
    assert puts.taken == [record, record]
    assert cache.table.partition(NUMBER).get(WHO) == ENTRY
    assert cache.persisted_offset(NUMBER) is None
    flushing = asyncio.ensure_future(cache.table.table.acknowledged())
    await asyncio.sleep(0)
    assert not flushing.done()
    puts.batch.set_result(40)
    await flushing
    assert cache.persisted_offset(NUMBER) == 41


@pytest.mark.parametrize("end", ["refused", "repeated", "cancelled"])
async def test_without_an_offset_of_the_broker_none_is_noted(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    puts = Puts()
    monkeypatch.setattr(cache.app.producer, "put", puts.put)
    cache.put(WHO, ENTRY)
    if end == "refused":
        puts.batch.set_exception(OSError())
    elif end == "repeated":
        puts.batch.set_result(-1)
    else:
        puts.batch.cancel()
    await asyncio.sleep(0)
    assert cache.persisted_offset(NUMBER) is None


async def test_a_change_passes_no_earlier_one(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.table.partition(NUMBER).put(WHO, ENTRY)  # by upstream's queue: no producer is there
    puts = Puts()
    monkeypatch.setattr(cache.app.producer, "put", puts.put)
    cache.put(WHO, ENTRY)
    assert puts.taken == []
    assert cache.app.producer.buffer.size == 2


async def test_a_change_that_the_disk_refuses_leaves_the_offset_before_it(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = Puts()
    monkeypatch.setattr(cache.app.producer, "put", puts.put)
    cache.put(WHO, ENTRY)
    with full_disk(store_of(cache)), pytest.raises(StorageFailed):
        cache.put(WHO, ENTRY)
    puts.batch.set_result(0)
    await asyncio.sleep(0)
    assert cache.persisted_offset(NUMBER) is None


async def test_changes_of_a_list_go_to_the_producer_one_by_one_and_to_the_store_together(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = Puts()
    monkeypatch.setattr(cache.app.producer, "put", puts.put)
    part = TablePartition(cache.table, NUMBER)
    assert part.write_all({"a": b"1", "b": b"2"}) == {}
    assert [(key, value) for _, key, value, _ in puts.taken] == [(b"a", b"1"), (b"b", b"2")]
    assert (part.read("a"), part.read("b")) == (b"1", b"2")
    assert part.write_all({"a": b"3"}) == {}
    assert part.read("a") == b"3", "not what was read before"
    puts.batch.set_result(40)
    await asyncio.sleep(0)
    assert cache.persisted_offset(NUMBER) == 42


async def test_changes_of_a_list_pass_no_earlier_one(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.table.partition(NUMBER).put(WHO, ENTRY)  # by upstream's queue: no producer is there
    puts = Puts()
    monkeypatch.setattr(cache.app.producer, "put", puts.put)
    part = TablePartition(cache.table, NUMBER)
    assert part.write_all({WHO: b"1", "b": b"2"}) == {}
    assert puts.taken == []
    assert cache.app.producer.buffer.size == 3
    assert (part.read(WHO), part.read("b")) == (b"1", b"2")


async def test_a_change_that_the_producer_refuses_holds_up_no_other_of_its_list(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts, why = Puts(), ValueError("no")

    def put(topic: str, key: bytes, *rest: Any) -> Any:
        if key == b"b":
            raise why
        return puts.put(topic, key, *rest)

    monkeypatch.setattr(cache.app.producer, "put", put)
    part = TablePartition(cache.table, NUMBER)
    assert part.write_all({"a": b"1", "b": b"2", "c": b"3"}) == {"b": why}
    assert [part.read(key) for key in "abc"] == [b"1", None, b"3"]


async def test_of_a_list_that_the_disk_refuses_nothing_is_kept_and_no_offset_passes_it(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = Puts()
    monkeypatch.setattr(cache.app.producer, "put", puts.put)
    part = TablePartition(cache.table, NUMBER)
    part.write("a", b"1")
    with full_disk(store_of(cache)):
        refused = part.write_all({"a": b"2", "b": b"3"})
    assert {key: type(why) for key, why in refused.items()} == dict.fromkeys("ab", StorageFailed)
    assert (part.read("a"), part.read("b")) == (b"1", None)
    puts.batch.set_result(0)
    await asyncio.sleep(0)
    assert cache.persisted_offset(NUMBER) is None


async def test_a_partition_that_moved_away_takes_no_list(
    cache: KeptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = Puts()
    monkeypatch.setattr(cache.app.producer, "put", puts.put)
    cache.assign([number for number in range(PARTITIONS) if number != NUMBER])
    with pytest.raises(TakesNothingNow):
        TablePartition(cache.table, NUMBER).write_all({"a": b"1"})
    assert puts.taken == []


async def test_a_locked_store_is_left_alone(cache: KeptCache) -> None:
    cache.put(WHO, ENTRY)
    store = store_of(cache)
    held = store._dbs.pop(NUMBER)
    with pytest.raises(Exception, match="lock"):
        store._db_for_partition(NUMBER)
    store._dbs[NUMBER] = held
    assert cache.table.partition(NUMBER).get(WHO) == ENTRY


async def test_damage_that_is_read_ends_the_worker_once_and_the_next_start_rebuilds(
    cache: KeptCache, crashes: list[BaseException]
) -> None:
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 7)
    harm_entries(put_away(cache))
    for _ in range(2):
        with pytest.raises(Exception, match=r"Corruption|thrown away"):
            cache.table.partition(NUMBER).get(WHO)
    await asyncio.sleep(0)
    assert len(crashes) == 1
    assert not store_of(cache).partition_path(NUMBER).exists()


async def test_lists_read_stored_values_as_they_are(cache: KeptCache) -> None:
    cache.put(WHO, ENTRY)
    get = cache.table.partition(NUMBER).reader()
    assert get is not None
    assert (get(WHO.encode()), get(b"nobody")) == (encode(ENTRY), None)


async def test_of_a_partition_that_moved_away_lists_read_nothing(cache: KeptCache) -> None:
    cache.put(WHO, ENTRY)
    cache.assign([number for number in range(PARTITIONS) if number != NUMBER])
    assert cache.table.partition(NUMBER).reader() is None


async def test_damage_that_a_list_reads_ends_the_worker_too(
    cache: KeptCache, crashes: list[BaseException]
) -> None:
    cache.put(WHO, ENTRY)
    harm_entries(put_away(cache))
    partition = cache.table.partition(NUMBER)
    get = partition.reader()
    assert get is not None
    with pytest.raises(Exception, match="Corruption") as raised:
        get(WHO.encode())
    partition.check(OSError("of another kind"))
    await asyncio.sleep(0)
    assert crashes == []
    partition.check(raised.value)
    await asyncio.sleep(0)
    assert crashes == [raised.value]
    assert not store_of(cache).partition_path(NUMBER).exists()


async def test_the_damage_of_all_partitions_costs_one_start(
    cache: KeptCache, crashes: list[BaseException]
) -> None:
    store = store_of(cache)
    for number in range(PARTITIONS):
        cache.persist_offset(number, 7)
    for number in range(PARTITIONS - 1):
        harm_entries(put_away(cache, number))
        store._dbs[number] = store._open_for_partition(number)
    with pytest.raises(Exception, match="Corruption"):
        cache.persisted_offset(0)
    await asyncio.sleep(0)
    left = [n for n in range(PARTITIONS) if store.partition_path(n).exists()]
    assert left == [PARTITIONS - 1]
    assert len(crashes) == 1


async def test_filling_does_not_take_damage_for_the_end_of_the_entries(
    cache: KeptCache, crashes: list[BaseException]
) -> None:
    cache.put(WHO, ENTRY)
    harm_entries(put_away(cache))
    store = store_of(cache)
    store._dbs[NUMBER] = store._open_for_partition(NUMBER)
    with pytest.raises(StorageFailed, match="Corruption"):
        cache.table.partition(NUMBER).fill(10)
    await asyncio.sleep(0)
    assert len(crashes) == 1


async def test_a_partition_that_is_not_open_is_not_opened_to_fill_its_memory(
    cache: KeptCache,
) -> None:
    cache.put(WHO, ENTRY)
    put_away(cache)
    assert not cache.table.partition(NUMBER).fill(10)
    assert NUMBER not in store_of(cache)._dbs


async def test_damage_that_a_sweep_finds_is_no_end_of_the_entries(
    cache: KeptCache, crashes: list[BaseException]
) -> None:
    cache.put(WHO, ENTRY)
    harm_entries(put_away(cache))
    with pytest.raises(Exception, match="Corruption"):
        cache.table.partition(NUMBER).entries(b"", 10)
    await asyncio.sleep(0)
    assert len(crashes) == 1


async def test_an_offset_does_not_pass_what_a_full_disk_refused(cache: KeptCache) -> None:
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 7)
    store = store_of(cache)
    with full_disk(store):
        with pytest.raises(StorageFailed):
            cache.put(WHO, CacheEntry(2_000, b"{}"))
        assert cache.table.partition(NUMBER).get(WHO) == ENTRY, "what is there can be read"
    cache.put(WHO, CacheEntry(3_000, b"{}"))
    store.set_persisted_offset(CHANGELOG, 9)
    assert cache.persisted_offset(NUMBER) == 7


async def test_an_offset_that_a_full_disk_refused_stays_where_it_was(cache: KeptCache) -> None:
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 7)
    store = store_of(cache)
    with full_disk(store):
        store.set_persisted_offset(CHANGELOG, 8)
    assert cache.persisted_offset(NUMBER) == 7


async def test_a_late_acknowledgement_does_not_open_a_store_that_moved_away(
    cache: KeptCache,
) -> None:
    cache.put(WHO, ENTRY)
    put_away(cache)
    store_of(cache).set_persisted_offset(CHANGELOG, 8)
    assert NUMBER not in store_of(cache)._dbs, "its files would be locked"


class Log:
    """The consumer's view of a changelog."""

    def __init__(
        self, start: int, end: int, recent: int | None, *, identity: str | None = "prod/1"
    ) -> None:
        self._start, self._end, self._recent = start, end, recent
        self._identity = identity

    def topic_partitions(self, _: str) -> None: ...

    async def topic_identity(self, _: str) -> str | None:
        return self._identity

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, self._start)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, self._end)

    async def offsets_since(self, _: int, tps: list[TP]) -> dict[TP, int | None]:
        return dict.fromkeys(tps, self._recent)


@pytest.mark.parametrize(
    ("log", "kept"),
    [(Log(0, 8, None), True), (Log(0, 3, None), False), (Log(0, 20, 15), False)],
)
async def test_a_store_is_kept_only_if_its_changelog_has_what_it_missed(
    cache: KeptCache, log: Log, *, kept: bool
) -> None:
    await assigned(cache, Log(0, 8, None))
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 7)
    await assigned(cache, log)
    assert cache.persisted_offset(NUMBER) == (7 if kept else None)
    assert (cache.table.partition(NUMBER).get(WHO) is not None) == kept


async def assigned(cache: KeptCache, log: Log, *, generation: int = 3) -> None:
    """Have the partition assigned in a generation, which is current if it is 3."""
    app: Any = cache.app
    app._consumer = log
    app.consumer_generation_id = 3
    tp = TP(cache.table.table.changelog_topic.get_topic_name(), NUMBER)
    await store_of(cache).assign_partitions(cache.table.table, {tp}, generation)


#: A changelog that has grown far beyond the store's offset: by offsets alone the store fits.
GROWN = {"start": 0, "end": 900, "recent": 0}


@pytest.mark.parametrize(
    ("identity", "kept"),
    [
        ("prod/1", True),
        ("test/1", False),  # the same topic id in a copy of the cluster
        ("prod/2", False),  # the changelog was made anew
        ("test/2", False),
        (None, False),  # a broker that has no ids of topics
    ],
)
async def test_a_store_of_another_changelog_is_rebuilt_with_one_line(
    cache: KeptCache, caplog: pytest.LogCaptureFixture, identity: str | None, *, kept: bool
) -> None:
    await assigned(cache, Log(0, 8, None))
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 7)
    for _ in range(2):  # as at a start, and at the next rebalance
        await assigned(cache, Log(**GROWN, identity=identity))
    assert cache.persisted_offset(NUMBER) == (7 if kept else None)
    assert cache.identifiers == ({WHO} if kept else set())
    lines = [r.getMessage() for r in caplog.records if "is rebuilt" in r.getMessage()]
    assert len(lines) == (0 if kept else 1)


async def test_a_store_without_a_note_of_its_changelog_is_rebuilt_once(
    cache: KeptCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 7)
    await assigned(cache, Log(**GROWN))
    assert cache.persisted_offset(NUMBER) is None
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 8)
    await assigned(cache, Log(**GROWN))
    assert cache.persisted_offset(NUMBER) == 8
    (line,) = [r.getMessage() for r in caplog.records]
    assert line == (
        f"customer-cache is rebuilt, partitions {NUMBER}: an earlier version did not note which "
        "changelog they belong to"
    )


async def test_a_store_that_was_killed_before_its_note_is_not_trusted(cache: KeptCache) -> None:
    """Entries without a note can only be of a store that another process had begun."""
    cache.put(WHO, ENTRY)
    await assigned(cache, Log(**GROWN))
    assert cache.identifiers == set()


async def test_where_topics_have_no_id_a_store_is_trusted_while_its_process_lives(
    cache: KeptCache, tmp_path: Path, crashes: list[BaseException]
) -> None:
    await assigned(cache, Log(**GROWN, identity=None))
    cache.put(WHO, ENTRY)
    cache.persist_offset(NUMBER, 7)
    await assigned(cache, Log(**GROWN, identity=None))
    assert cache.identifiers == {WHO}
    store_of(cache)._this_process = "the next process"
    await assigned(cache, Log(**GROWN, identity=None))
    assert cache.identifiers == set()


async def test_a_store_is_checked_in_the_next_rebalance_if_one_was_overtaken(
    cache: KeptCache,
) -> None:
    await assigned(cache, Log(0, 8, None))
    cache.put(WHO, ENTRY)
    await assigned(cache, Log(**GROWN, identity="test/1"), generation=2)
    assert cache.identifiers == {WHO}, "a rebalance that is over decides nothing"
    app: Any = cache.app
    app._consumer = Log(**GROWN, identity="test/1")
    await store_of(cache).assign_partitions(cache.table.table, set(), 3)
    assert cache.identifiers == set()


async def test_the_note_is_no_entry_of_the_cache(cache: KeptCache) -> None:
    await assigned(cache, Log(0, 8, None))
    cache.put(WHO, ENTRY)
    entries = cache.table.partition(NUMBER).entries(b"", 10)
    assert entries is not None
    assert [stored.identifier for stored in entries] == [WHO]


@pytest.mark.parametrize(
    ("start", "end", "recent", "fit"),
    [
        (0, 8, None, True),  # nothing was missed, however long ago
        (8, 8, None, True),
        (0, 9, 8, True),  # the first that was missed is recent
        (0, 9, 5, True),
        (0, 9, None, False),  # all that was missed is old
        (0, 20, 9, False),  # some of it
        (9, 20, 9, False),  # the log starts behind the store
        (0, 7, 0, False),  # the log was made again
        (0, 0, None, False),
    ],
)
def test_what_fits(start: int, end: int, recent: int | None, *, fit: bool) -> None:
    assert fits(7, start, end, recent) is fit


@pytest.mark.parametrize(
    ("text", "damage"),
    [
        ("Corruption: block checksum mismatch", True),
        ("IO error: No such file or directory: While opening a file", True),
        ("IO error: No space left on device: While appending to file", False),
        ("IO error: While lock file: Resource temporarily unavailable", False),
        ("IO error: Permission denied", False),
        ("IO error: Too many open files", False),
    ],
)
def test_what_is_damage(text: str, *, damage: bool) -> None:
    assert is_damage(Exception(text)) is damage


async def test_all_records_that_a_fetch_of_the_changelog_brought_are_written(
    cache: KeptCache,
) -> None:
    """They travel as one message; the last of them is what Faust sees of it."""
    gone, kept = b"gone@shop.example", WHO.encode()
    lists = [
        [changed(3, gone, b"1"), changed(4, kept, b"2")],
        [changed(6, gone, None), changed(7, kept, b"3")],
    ]
    cache.app.tables._changelogs[CACHE_CHANGELOG] = cache.table.table
    consumer, coming = cache.app.consumer, iter(lists)

    async def fetch(*_: object, **__: object) -> Any:
        return {CHANGELOG: next(coming), TP("t", 0): [changed(9, b"other", b"")]}

    consumer._thread.getmany = fetch
    messages = []
    for _ in lists:
        records = await consumer._getmany(active_partitions=set(), timeout=1)
        assert len(records[TP("t", 0)]) == 1, "only changelogs are put together"
        (together,) = records[CHANGELOG]
        messages.append(consumer._to_message(CHANGELOG, together))
    assert [message.offset for message in messages] == [4, 7]
    store = store_of(cache)
    events = [SimpleNamespace(message=message) for message in messages]
    store.apply_changelog_batch(events, to_key=None, to_value=None)
    rows = store._db_for_partition(NUMBER)
    assert (rows.get(gone), rows.get(kept)) == (None, b"3")
    assert cache.persisted_offset(NUMBER) == 7


def changed(offset: int, key: bytes, value: bytes | None) -> Any:
    return aiokafka.ConsumerRecord(
        *CHANGELOG,
        offset=offset,
        timestamp=1,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key),
        serialized_value_size=0,
        headers=(),
    )
