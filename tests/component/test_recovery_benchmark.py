"""What the benchmark of recovery reads from stores and logs, and what it prints."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import rocksdict

from benchmarks.recovery import (
    TELLS_OF_REPLAYS,
    Measured,
    Start,
    estimated,
    fingerprint,
    replay_seconds,
    store_folders,
    table,
)
from posstream.logs.lines import TextLines
from posstream.logs.noise import quieten
from posstream.streaming.patches.store import NO_ENTRIES

OFFSET, IDENTITY = sorted(NO_ENTRIES)


def write(datadir: Path, stores: Mapping[int, Mapping[bytes, bytes]]) -> list[Path]:
    """The stores of a stopped worker, by partition."""
    for number, entries in stores.items():
        folder = datadir / "tables" / "v1" / "tables" / f"customer-cache-{number}.db"
        folder.parent.mkdir(parents=True, exist_ok=True)
        store = rocksdict.Rdict(str(folder), rocksdict.Options(raw_mode=True))
        for key, value in entries.items():
            store[key] = value
        store.close()
    return store_folders(datadir)


def test_equal_caches_have_one_fingerprint_however_far_each_has_read(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {0: {b"a": b"1", OFFSET: b"7"}, 1: {b"b": b"2"}})
    other = write(
        tmp_path / "other", {0: {b"a": b"1"}, 1: {b"b": b"2", OFFSET: b"9", IDENTITY: b"c/t"}}
    )
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one)[0] == 2


@pytest.mark.parametrize(
    "changed", [{b"a": b"x", b"b": b"2"}, {b"a": b"1"}, {b"a": b"1", b"b": b""}, {b"ab": b"12"}]
)
def test_a_cache_that_lost_or_changed_an_entry_has_another_fingerprint(
    tmp_path: Path, changed: Mapping[bytes, bytes]
) -> None:
    whole = write(tmp_path / "one", {0: {b"a": b"1", b"b": b"2"}})
    assert fingerprint(whole) != fingerprint(write(tmp_path / "other", {0: changed}))


def test_the_entries_of_all_stores_are_estimated(tmp_path: Path) -> None:
    folders = write(tmp_path, {0: {b"a": b"1", b"b": b"2"}, 3: {b"c": b"3"}})
    assert estimated(folders) == 3


def test_the_time_of_a_replay_is_read_off_the_log() -> None:
    def line(created: float, message: str) -> str:
        record = logging.LogRecord("faust", logging.INFO, "", 1, message, None, None)
        record.created = created
        return TextLines().format(record)

    log = "\n".join(
        [
            line(0.5, "Restoring state from changelog topics..."),
            line(0.6, "Restoring state from changelog topics..."),
            line(0.7, "Done reading from changelog topics"),
            line(3, "Done reading from changelog topics"),
            line(3.1, "Recovery complete"),
        ]
    )
    assert replay_seconds(log) == 2.5, "of all plugins together"
    assert replay_seconds("nothing to restore") == 0


@pytest.fixture
def faust() -> Iterator[logging.Logger]:
    """The logger of Faust's recovery; the levels of all libraries are put back afterwards."""
    loggers = [
        it for it in logging.Logger.manager.loggerDict.values() if isinstance(it, logging.Logger)
    ]
    before = [(it, it.level) for it in loggers]
    yield logging.getLogger("faust.tables.recovery")
    for logger, level in before:
        logger.setLevel(level)


def test_the_workers_log_tells_when_they_read_the_changelog(faust: logging.Logger) -> None:
    quieten(logging.getLevelNamesMapping()[TELLS_OF_REPLAYS.upper()])
    assert faust.isEnabledFor(logging.INFO)


def test_the_table_has_a_row_for_each_size_and_owns_up_to_a_cache_that_differs() -> None:
    none, some = Start(4, 0, 100_000_000), Start(12, 8, 101_000_000)
    rows = table(
        [
            Measured(0, none, none, none, 32, 0, rebuilt_equals_lost=True),
            Measured(10_000, some, some, some, 33, 2_000_000, rebuilt_equals_lost=False),
        ]
    ).splitlines()
    assert len(rows) == 4
    assert [cell.strip() for cell in rows[3].strip("|").split("|")] == [
        *("10,000", "12.0", "8.0", "3.0", "12.0", "12.0", "33.0", "100", "200", "NO")
    ]
