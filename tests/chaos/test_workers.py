"""Workers that die, stop, freeze, come and go."""

import asyncio
import time

import pytest

from tests.chaos.checks import COMMITTED_SECONDS, Publish, nothing_lost, restarted, stopped
from tests.chaos.stage import SESSION_SECONDS, Stage

#: The session timeout by default.
PRODUCTION_SECONDS = 30
#: Longer than the session timeout, and than a freeze that a worker takes for a busy moment.
FREEZE_SECONDS = 12


@pytest.mark.short
async def test_kill_with_100_slow_lookups_in_flight(stage: Stage, publish: Publish) -> None:
    """`kill -9` with 100 slow lookups in flight."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        stage.directory.gate = asyncio.Event()
        await till.send(till.scans(100))
        await stage.directory.holds(100)
        worker.kill()
        stage.directory.gate.set()
        await restarted(worker)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    # None was answered, but those behind a slow head may have been sent on twice.
    assert count.duplicated < 100
    assert count.extra_calls <= 100


@pytest.mark.parametrize("behind", [0, 50], ids="{} behind it".format)
async def test_kill_with_one_slow_event_at_the_head(
    stage: Stage, publish: Publish, behind: int
) -> None:
    """`kill -9` with one slow event at the head of a partition, at offset 0."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        stage.directory.gate = asyncio.Event()
        head, *others = till.scans(1 + behind)
        await till.send([head], partition=0)
        await stage.directory.holds(1)
        slow, stage.directory.gate = stage.directory.gate, None
        await till.send(others, partition=0)
        await till.answers(behind)
        await asyncio.sleep(COMMITTED_SECONDS)
        worker.kill()
        slow.set()
        await restarted(worker)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert count.duplicated <= behind


@pytest.mark.short
async def test_sigterm_under_load(stage: Stage, publish: Publish) -> None:
    """SIGTERM under load, and a start."""
    stage.directory.delay_seconds = 0.2
    (worker,) = await stage.started()
    async with stage.till() as till:
        async with till.keeps_scanning():
            await till.answers(100)
            await stopped(worker)
            await restarted(worker)
            await till.answers(400)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert count.duplicated == 0
    assert count.extra_calls == 0


async def test_20_kills_at_random_moments(stage: Stage, publish: Publish) -> None:
    """`kill -9` 20 times at random moments under load, offset 0 in flight at the first."""
    stage.directory.delay_seconds = 0.1
    (worker,) = await stage.started()
    async with stage.till() as till:
        async with till.keeps_scanning(per_second=100, customers=500):
            for _ in range(20):
                await asyncio.sleep(stage.chance.uniform(0, 2))
                worker.kill()
                await restarted(worker)
        count = publish(await stage.settle(till), f"{worker.starts} starts")
    nothing_lost(count)


async def test_rolling_restart_of_two_workers(stage: Stage, publish: Publish) -> None:
    """Rolling restart of two workers under load: SIGTERM, start, ready, the next."""
    stage.directory.delay_seconds = 0.1
    workers = await stage.started(2)
    async with stage.till() as till:
        async with till.keeps_scanning():
            await till.answers(100)
            began_at = time.time()
            for worker in workers:
                await stopped(worker)
                await restarted(worker)
            await till.answers(len(till.ledger.sent))
        count = await stage.settle(till)
        gap = till.ledger.longest_wait(till.client.seen, since=began_at)
        publish(count, f"the longest wait was {gap:.1f} s")
    nothing_lost(count)
    assert count.duplicated == 0


async def test_workers_come_and_go_20_times(stage: Stage, publish: Publish) -> None:
    """A second worker added and taken away by SIGTERM, 20 times in all, under load."""
    stage.directory.delay_seconds = 0.05
    await stage.started()
    second = stage.worker()
    async with stage.till() as till:
        async with till.keeps_scanning():
            for _ in range(10):
                await restarted(second)
                await asyncio.sleep(stage.chance.uniform(0, 2))
                await stopped(second)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert count.duplicated == 0


@pytest.mark.short
async def test_one_of_two_workers_dies(stage: Stage, publish: Publish) -> None:
    """`kill -9` of one of two workers under load: the other takes its partitions."""
    workers = await stage.started(2)
    async with stage.till() as till:
        async with till.keeps_scanning():
            await till.answers(100)
            workers[0].kill()
            killed_at = time.time()
            await asyncio.sleep(SESSION_SECONDS + 4)
        count = await stage.settle(till)
        gap = till.ledger.longest_wait(till.client.seen, since=killed_at)
        publish(
            count, f"the longest wait was {gap:.0f} s at a session timeout of {SESSION_SECONDS} s"
        )
    nothing_lost(count)


@pytest.mark.short
async def test_a_crashed_worker_comes_back(stage: Stage, publish: Publish) -> None:
    """`kill -9` of one of two workers that its supervisor starts again, at production timeouts."""
    workers = await stage.started(2, session_timeout_seconds=PRODUCTION_SECONDS)
    async with stage.till() as till:
        async with till.keeps_scanning():
            await till.answers(100)
            killed_at = time.time()
            workers[0].kill()
            await restarted(workers[0])
            back = time.time() - killed_at
            await till.answers(len(till.ledger.sent))
        count = await stage.settle(till)
        gap = till.ledger.longest_wait(till.client.seen, since=killed_at)
        publish(count, f"ready {back:.0f} s after the kill, the longest wait was {gap:.0f} s")
    nothing_lost(count)
    assert gap < PRODUCTION_SECONDS, "the group waited for the dead member"


@pytest.mark.short
async def test_a_frozen_worker_thaws(stage: Stage, publish: Publish) -> None:
    """SIGSTOP one of two workers for longer than the session timeout, then SIGCONT."""
    workers = await stage.started(2)
    stage.directory.delay_seconds = 1
    async with stage.till() as till:
        await till.send(till.scans(200))
        await till.answers(1)
        workers[0].freeze()
        stage.directory.delay_seconds = 0
        await asyncio.sleep(FREEZE_SECONDS)
        await till.answers(200)
        await till.send(till.scans(200))  # newer entries and rows than the frozen one will bring
        await till.answers(400)
        workers[0].thaw()
        assert await asyncio.to_thread(workers[0].wait) == 1, "it has no partition any more"
        assert "this worker was frozen" in workers[0].log
        await restarted(workers[0])
        await till.send(till.scans(200))
        await till.answers(600)
        count = publish(await stage.settle(till))
    nothing_lost(count)
