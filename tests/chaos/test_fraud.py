"""Fraud detection, while workers die, freeze, come and go: alerts and baskets of the references."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.chaos.checks import Publish, restarted, stopped
from tests.chaos.fraud_play import UNBOUNDED, compare, configure, day_of, send, until_judged
from tests.chaos.stage import Stage
from tests.chaos.test_workers import FREEZE_SECONDS
from tests.integration.harness import Worker

#: Events for each round of trouble: work must go on between them.
EVENTS_A_ROUND = 100_000
EVENTS = 2_000

#: What happens to the first worker, and to the second one, which is not always there.
Trouble = Callable[[Stage, Worker, Worker], Awaitable[None]]


async def is_killed(_: Stage, worker: Worker, __: Worker) -> None:
    worker.kill()
    await restarted(worker)


async def loses_its_child(_: Stage, worker: Worker, __: Worker) -> None:
    with contextlib.suppress(AssertionError):  # the last one is not there again yet
        worker.kill_beside()


async def comes_and_leaves(stage: Stage, _: Worker, second: Worker) -> None:
    await restarted(second)
    await asyncio.sleep(stage.chance.uniform(0, 8))
    await stopped(second)


async def comes_and_dies(stage: Stage, _: Worker, second: Worker) -> None:
    await restarted(second)
    await asyncio.sleep(stage.chance.uniform(0, 8))
    second.kill()


async def trouble(stage: Stage, worker: Worker, rounds: int) -> None:
    """All kinds of trouble in turns, at random moments."""
    second = stage.worker()
    kinds: list[Trouble] = [is_killed, comes_and_leaves, loses_its_child, comes_and_dies]
    for _ in range(rounds):
        for kind in stage.chance.sample(kinds, len(kinds)):
            await asyncio.sleep(stage.chance.uniform(1, 6))
            await kind(stage, worker, second)


@pytest.mark.short
async def test_fraud_million(
    stage: Stage, publish: Publish, request: pytest.FixtureRequest
) -> None:
    """`kill -9`, and workers that come and go, while a shop's day is judged."""
    events: int = request.config.getoption("--events")
    day = day_of(stage, events)
    (worker,) = await stage.started()
    await configure(worker, **UNBOUNDED)
    began_at = time.monotonic()
    sending = asyncio.ensure_future(send(stage, day))
    await trouble(stage, worker, 1 + events // EVENTS_A_ROUND)
    sent = await sending
    await until_judged(stage.cluster.servers)
    seconds = time.monotonic() - began_at
    await compare(stage, day, publish, sent, f", {sent / seconds:.0f} events a second")


async def test_a_worker_is_frozen_while_fraud_is_judged(stage: Stage, publish: Publish) -> None:
    """SIGSTOP one of two workers and its child beyond the session timeout; then SIGCONT."""
    day = day_of(stage, EVENTS)
    frozen, _ = await stage.started(2)
    sending = asyncio.ensure_future(send(stage, day))
    await asyncio.sleep(stage.chance.uniform(0, 2))
    frozen.freeze_beside()
    frozen.freeze()
    sent = await sending
    await asyncio.sleep(FREEZE_SECONDS)
    frozen.thaw_beside()  # it still has the groups of which the other worker judges now
    frozen.thaw()
    await asyncio.to_thread(frozen.wait)
    await restarted(frozen)
    await until_judged(stage.cluster.servers)
    await compare(stage, day, publish, sent)


@pytest.mark.short
async def test_fraud_detection_is_switched_off_and_on(stage: Stage, publish: Publish) -> None:
    """Events come while `POSSTREAM_PLUGINS` leaves fraud detection out: it judges them later."""
    day = day_of(stage, EVENTS)
    (worker,) = await stage.started()
    without = stage.worker(plugins="customer_lookup,baskets")
    sending = asyncio.ensure_future(send(stage, day))
    await stopped(worker)
    await restarted(without)
    sent = await sending
    await stopped(without)
    await restarted(worker)
    await until_judged(stage.cluster.servers)
    await compare(stage, day, publish, sent)
