"""The directory broken, flapping or silent, and a worker that dies meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from tests.chaos.checks import Publish, restarted
from tests.chaos.ledger import ANSWERS
from tests.chaos.stage import Stage, Till
from tests.integration.directory import Directory

Outage = Callable[[Directory], contextlib.AbstractAsyncContextManager[None]]

DEADLINE_SECONDS = 6
#: What a machine that does everything at once takes to write an answer.
SLACK_SECONDS = 10
KNOWN = 30


@contextlib.asynccontextmanager
async def broken(directory: Directory) -> AsyncIterator[None]:
    """It answers 500."""
    directory.status = 500
    yield
    directory.status = 200


@contextlib.asynccontextmanager
async def silent(directory: Directory) -> AsyncIterator[None]:
    """It takes calls and never answers."""
    directory.gate = gate = asyncio.Event()
    yield
    directory.gate = None
    gate.set()


@contextlib.asynccontextmanager
async def flapping(directory: Directory) -> AsyncIterator[None]:
    """It answers 503, answers, and is silent, for a second each."""

    async def flap() -> None:
        while True:
            directory.status = 503
            await asyncio.sleep(1)
            directory.status = 200
            await asyncio.sleep(1)
            async with silent(directory):
                await asyncio.sleep(1)

    task = asyncio.ensure_future(flap())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if directory.gate is not None:
        directory.gate.set()
    directory.status, directory.gate = 200, None


@pytest.mark.parametrize("outage", [broken, flapping, silent])
async def test_a_worker_dies_while_the_directory_fails(
    stage: Stage, publish: Publish, outage: Outage
) -> None:
    """The directory answers 500, flaps or is silent, and the worker is killed and started again."""
    (worker,) = await stage.started()
    await worker.configure(
        cache_ttl_seconds=1, deadline_seconds=DEADLINE_SECONDS, timeout_seconds=2
    )
    async with stage.till() as till:
        known = till.scans(KNOWN)
        await till.send(known)
        await stage.settle(till)
        async with outage(stage.directory), till.keeps_scanning(customers=2 * KNOWN):
            await asyncio.sleep(4)
            worker.kill()
            killed_at = time.time()
            await restarted(worker)
            ready_at = time.time()
            await asyncio.sleep(4)
        count = await stage.settle(till)
        wait = longest_wait(till, killed_at, ready_at)
        sources = [value["source"] for value in till.client.seen.of(*ANSWERS)]
        stale = sources.count("STALE_CACHE")
        publish(count, f"{stale} answers of the stale cache, the longest wait was {wait:.1f} s")
        assert count.sent > KNOWN
        assert (count.lost, count.wrong, count.sql_missing) == (0, 0, 0)
        assert wait < DEADLINE_SECONDS + SLACK_SECONDS
        assert stale > 0
        assert not failed(till, {scan.identifier for scan in known}), "the stale cache had them"


def longest_wait(till: Till, killed_at: float, ready_at: float) -> float:
    """The longest wait for a first answer, less the time without a worker, in seconds."""
    waits = till.ledger.waits(till.client.seen)
    return max(
        at + wait - (ready_at if at < ready_at and at + wait > killed_at else at)
        for at, wait in waits
    )


def failed(till: Till, identifiers: set[str]) -> int:
    """How many answers about them have no customer."""
    return sum(
        "customer" not in value and value["customer_identifier"] in identifiers
        for value in till.client.seen.of(*ANSWERS)
    )
