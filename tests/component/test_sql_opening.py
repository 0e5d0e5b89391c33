"""A worker starts while its database is away, and not with one that refuses it."""

import asyncio
import logging
from collections.abc import Iterator
from itertools import repeat

import pytest

from posstream.domain.errors import DatabaseAway
from posstream.read_model import opening as module
from posstream.read_model.engine import create_engine
from posstream.read_model.opening import DatabaseOpening
from tests.component.sql_databases import make_tables
from tests.integration.harness import free_port

AWAY = DatabaseAway("Connection refused", passes=True)
REFUSED = DatabaseAway("SQLSTATE 28P01: password authentication failed", passes=False)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "growing_pauses", lambda: iter([0.0] * 100))


class Steps:
    """Fail in turn, and then succeed."""

    def __init__(self, *failures: Exception) -> None:
        self._failures: Iterator[Exception] = iter(failures)
        self.taken = asyncio.Event()
        self.tries = 0

    async def __call__(self) -> None:
        self.tries += 1
        for failure in self._failures:
            raise failure
        self.taken.set()


async def test_a_database_that_is_there_is_open_at_once() -> None:
    steps = Steps()
    await DatabaseOpening(steps).open()
    assert (steps.tries, steps.taken.is_set()) == (1, True)


async def test_one_that_is_away_is_opened_later(caplog: pytest.LogCaptureFixture) -> None:
    # The second error, not of an absence, is no reason to give up: the worker runs by now.
    steps = Steps(AWAY, REFUSED, TimeoutError())
    opening = DatabaseOpening(steps)
    with caplog.at_level(logging.INFO):
        await opening.open()
        assert not steps.taken.is_set()
        async with asyncio.timeout(10):
            await steps.taken.wait()
        await asyncio.sleep(0)
    await opening.close()
    assert "the database is away (Connection refused)" in caplog.text
    assert "the database is not open yet (SQLSTATE 28P01: password" in caplog.text
    assert "the database is open" in caplog.text
    assert steps.tries == 4


async def test_a_migration_that_takes_long_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.01)
    tries, migrated = [], asyncio.Event()

    async def steps() -> None:
        tries.append(True)
        await migrated.wait()

    opening = DatabaseOpening(steps)
    await opening.open()
    migrated.set()
    assert opening._task is not None
    await opening._task
    assert len(tries) == 1


async def test_one_that_refuses_us_stops_the_start() -> None:
    with pytest.raises(DatabaseAway, match="28P01"):
        await DatabaseOpening(Steps(REFUSED)).open()


async def test_a_stop_ends_the_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "growing_pauses", lambda: repeat(60.0))
    steps = Steps(AWAY)
    opening = DatabaseOpening(steps)
    await opening.open()
    async with asyncio.timeout(10):
        await opening.close()
    await opening.close()
    assert steps.tries == 1


async def test_nobody_listens() -> None:
    engine = create_engine(f"postgresql://posstream@127.0.0.1:{free_port()}/posstream")
    with pytest.raises(DatabaseAway, match="Connection refused") as refused:
        await make_tables(engine)
    assert refused.value.passes
    await engine.dispose()
