"""The database away, frozen, locked or dropped: rows wait, tills do not."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import asyncpg
import pytest

from posstream.kafka.tuning import BUFFER_MAXSIZE
from tests.chaos.checks import Publish, nothing_lost, restarted, stopped
from tests.chaos.ledger import ANSWERS, Count
from tests.chaos.read_model import connect, rebuild, rows
from tests.chaos.stage import Stage, Till
from tests.integration.harness import Scan

#: Has the database away while it is entered.
Absence = Callable[[Stage], contextlib.AbstractAsyncContextManager[None]]

#: What a till may notice of it on a machine that does everything at once; nothing, by design.
UNNOTICED_SECONDS = 5

#: At so many events a buffer calls itself full, and its topics are not fetched any more.
BUFFERED = BUFFER_MAXSIZE * 4 // 5


def unnoticed(count: Count) -> None:
    nothing_lost(count)
    assert (count.late, count.duplicated, count.extra_calls) == (0, 0, 0)


@contextlib.asynccontextmanager
async def down(stage: Stage) -> AsyncIterator[None]:
    """The database is killed, and started again afterwards."""
    stage.database.kill()
    try:
        yield
    finally:
        if not stage.database.running:
            stage.database.start()
        await stage.database.ready()


@contextlib.asynccontextmanager
async def frozen(stage: Stage) -> AsyncIterator[None]:
    """The database takes connections and never answers."""
    stage.database.pause()
    try:
        yield
    finally:
        stage.database.resume()


async def until(connection: asyncpg.Connection, query: str, *values: int, seconds: float) -> None:
    """Ask until it is so, or the time is up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not await connection.fetchval(query, *values):  # noqa: ASYNC110 - a server's
                await asyncio.sleep(0.01)


async def goes_unnoticed(absent: Absence, stage: Stage, publish: Publish, seconds: int) -> None:
    """No till notices that the database is away for a while, under load."""
    await stage.started()
    async with stage.till() as till:
        async with till.keeps_scanning():
            await till.answers(50)
            began = time.time()
            async with absent(stage):
                await asyncio.sleep(seconds)
        count = await stage.settle(till)
        wait = till.ledger.longest_wait(till.client.seen, since=began)
        publish(count, f"{absent.__name__} for {seconds} s, the longest wait was {wait:.1f} s")
    unnoticed(count)
    assert wait < UNNOTICED_SECONDS


@pytest.mark.parametrize("seconds", [pytest.param(10, marks=pytest.mark.short), 60])
async def test_the_database_is_down(stage: Stage, publish: Publish, seconds: int) -> None:
    """PostgreSQL killed under load, and started again 10 and 60 s later."""
    await goes_unnoticed(down, stage, publish, seconds)


@pytest.mark.parametrize("seconds", [15, 75])
async def test_the_database_hangs(stage: Stage, publish: Publish, seconds: int) -> None:
    """PostgreSQL frozen under load, for less and for more than a transaction may take."""
    await goes_unnoticed(frozen, stage, publish, seconds)


async def test_more_waits_for_the_database_than_the_buffers_hold(
    stage: Stage, publish: Publish
) -> None:
    """PostgreSQL down while more answers pile up than a worker's buffers hold."""
    await stage.started()
    async with stage.till() as till:
        await till.send(till.scans(200))
        await till.answers(200)
        await stage.settle(till)
        attempts = len(till.client.seen.records) - 200
        async with down(stage):
            for _ in range(140):
                if len(till.ledger.sent) < BUFFERED:
                    full_at = time.time()
                await till.send(till.scans(500, customers=200))
                wanted = attempts + len(till.ledger.sent)
                await till.client.read_until(lambda seen, n=wanted: len(seen.records) >= n)
        count = await stage.settle(till, seconds=180)
        before, after = (till.ledger.longest_wait(till.client.seen, at) for at in (0, full_at))
        publish(count, f"the longest wait was {before:.1f} s, from full buffers on {after:.1f} s")
    unnoticed(count)


async def test_rows_are_locked(stage: Stage, publish: Publish) -> None:
    """Somebody holds `SELECT … FOR UPDATE` on the rows to write for 15 s, under load."""
    await stage.started()
    async with stage.till() as till:
        first = till.scans(50)
        await till.send(first)
        await stage.settle(till)
        other = await connect(stage)
        async with till.keeps_scanning(customers=50), other.transaction():
            locked = await other.fetch("SELECT basket_id FROM baskets FOR UPDATE")
            await till.send(again(till, first))
            await asyncio.sleep(15)
            before = await other.fetchval("SELECT count(*) FROM lookup_answers")
        await other.close()
        count = publish(await stage.settle(till), f"{len(locked)} rows locked")
    unnoticed(count)
    assert before < 50 + 100, "the projection waited for nobody"


def again(till: Till, scans: Sequence[Scan]) -> Sequence[Scan]:
    """Scans of the same baskets, whose rows are there."""
    baskets = [scan.basket_id for scan in scans]
    new = till.scans(len(baskets))
    return [replace(scan, basket_id=it) for scan, it in zip(new, baskets, strict=True)]


async def test_a_deadlock(stage: Stage, publish: Publish) -> None:
    """A deadlock with another transaction, which PostgreSQL ends by cancelling ours."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        first = till.scans(50)
        await till.send(first)
        await stage.settle(till)
        other, watcher = await connect(stage), await connect(stage)
        await other.execute("SET deadlock_timeout = '60s'")  # ours notices first
        async with other.transaction():
            await other.execute("LOCK TABLE lookup_answers IN EXCLUSIVE MODE")
            await till.send(again(till, first))
            await until(watcher, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted", seconds=30)
            await other.fetch("SELECT basket_id FROM baskets FOR UPDATE")
            await till.answers(100)
        await other.close()
        await watcher.close()
        count = publish(await stage.settle(till))
    unnoticed(count)
    assert "the read model did not take" in worker.log, "there was no deadlock"


async def test_two_workers_write_one_customer(stage: Stage, publish: Publish) -> None:
    """Two workers upsert the row of one customer, scanned 500 times."""
    await stage.started(2)
    async with stage.till() as till:
        for _ in range(10):
            await till.send(till.scans(50, customers=1))
        count = publish(await stage.settle(till))
    unnoticed(count)
    written = await rows(stage.database_url)
    assert len(written["customers"]) == 1
    assert len(written["lookup_answers"]) == 500


async def test_kill_between_write_and_commit(stage: Stage, publish: Publish) -> None:
    """`kill -9` 20 times as soon as rows of a batch are there, before its offsets are committed."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        watcher = await connect(stage)
        for _ in range(20):
            before = await watcher.fetchval("SELECT count(*) FROM lookup_answers")
            await till.send(till.scans(50, customers=1000))
            # Or a moment before: then the transaction is cut.
            more = "SELECT count(*) > $1 FROM lookup_answers"
            await until(watcher, more, before, seconds=stage.chance.uniform(0, 3))
            worker.kill()
            await restarted(worker)
        await watcher.close()
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert await rows(stage.database_url) == await rebuild(stage)


async def test_the_read_model_is_rebuilt(stage: Stage, publish: Publish) -> None:
    """The read model dropped, and rebuilt from the topics by `posstream projection rebuild`."""
    await stage.started()
    stage.directory.delay_seconds = 0.05
    async with stage.till() as till:
        for _ in range(3):
            await till.send(till.scans(100, customers=40))
        await stage.settle(till)
        before = await rows(stage.database_url)
        after = await rebuild(stage)
        count = publish(
            await stage.settle(till), f"{sum(map(len, before.values()))} rows in all tables"
        )
    unnoticed(count)
    assert before == after
    assert len(after["lookup_answers"]) == 300


@pytest.mark.short
async def test_a_worker_starts_without_its_database(stage: Stage, publish: Publish) -> None:
    """A worker's very first start while PostgreSQL is down: tills are answered, rows follow."""
    async with down(stage):
        (worker,) = await stage.started()
        async with stage.till() as till:
            await till.send(till.scans(100))
            await till.answers(100)
            assert "tills are answered, rows will follow" in worker.log
            stage.database.start()
            await stage.database.ready()
            while "the database is open" not in worker.log:  # noqa: ASYNC110 - a process of its own
                await asyncio.sleep(0.2)
            count = publish(await stage.settle(till))
    unnoticed(count)


@pytest.mark.parametrize("absent", [down, frozen])
async def test_a_worker_restarts_without_its_database(
    stage: Stage, publish: Publish, absent: Absence
) -> None:
    """A worker restarted while PostgreSQL is down or frozen: the configuration is the last one."""
    (worker,) = await stage.started()
    version = await worker.configure(cache_ttl_seconds=3599)
    async with stage.till() as till:
        async with till.keeps_scanning():
            await till.answers(50)
            async with absent(stage):
                await stopped(worker)
                await restarted(worker)
                await till.send(till.scans(50))
                await till.answers(len(till.ledger.sent))
        count = await stage.settle(till)
        gap = till.ledger.longest_wait(till.client.seen, since=0)
        publish(count, f"the longest wait was {gap:.0f} s")
        versions = {value["config_version"] for value in till.client.seen.of(*ANSWERS)}
    nothing_lost(count)
    assert count.duplicated == 0
    assert versions == {version}
    assert await worker.configure(cache_ttl_seconds=3598) == version + 1
