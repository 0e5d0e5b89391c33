"""Workers that die, stop, freeze, come and go."""

import asyncio
from collections.abc import Callable

import pytest

from tests.chaos.ledger import Count
from tests.chaos.stage import SESSION_SECONDS, Stage
from tests.integration.harness import Worker

Publish = Callable[..., Count]

#: Commits come twice a second.
COMMITTED_SECONDS = 1


def nothing_lost(count: Count) -> None:
    assert count.sent > 0
    assert (count.lost, count.wrong, count.failed, count.sql_missing) == (0, 0, 0, 0)


async def stopped(worker: Worker) -> None:
    assert await asyncio.to_thread(worker.stop) == 0, worker.log[-3000:]


async def restarted(worker: Worker) -> None:
    worker.start()
    await worker.ready()


@pytest.mark.short
async def test_kill_with_100_slow_lookups_in_flight(stage: Stage, publish: Publish) -> None:
    """`kill -9` with 100 slow lookups in flight."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        stage.directory.gate = asyncio.Event()
        await till.send(till.scans(100))
        while stage.directory.at_once < 100:
            await asyncio.sleep(0.05)
        await asyncio.sleep(COMMITTED_SECONDS)  # what was sent on to another partition
        worker.kill()
        stage.directory.gate.set()
        await restarted(worker)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert count.duplicated == 0, "none was answered before the kill"
    assert count.extra_calls <= 100


@pytest.mark.parametrize("behind", [0, 50])
async def test_kill_with_one_slow_event_at_the_head(
    stage: Stage, publish: Publish, behind: int
) -> None:
    """`kill -9` with one slow event at the head of a partition, offset 0, and others behind it."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        stage.directory.gate = asyncio.Event()
        head, *others = till.scans(1 + behind)
        await till.send([head], partition=0)
        while not stage.directory.at_once:
            await asyncio.sleep(0.05)
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
