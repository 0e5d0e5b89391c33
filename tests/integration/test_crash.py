"""A worker that is killed, and one that is told to stop: nothing is lost."""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.baskets.topics import BASKET_COMPLETED, TILL_EVENTS
from agents.customer_lookup import topics
from posstream.kafka.embedded_broker import EmbeddedBroker
from tests import till_reference
from tests.integration.harness import (
    Seen,
    Tally,
    Worker,
    foreign_client,
    free_port,
    mixed_scans,
    produce,
    until,
)
from tests.till_day import TillDay

ANSWERS = (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED)


@contextlib.contextmanager
def broker_without_a_worker(tmp_path: Path) -> Iterator[str]:
    """The given broker (this module runs before the session's worker joins), or an own one."""
    given = os.environ.get("POSSTREAM_TEST_BROKER")
    if given:
        yield given.removeprefix("kafka://")
        return
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    yield broker.address
    broker.stop()


async def answered_after(tmp_path: Path, *, kill: bool) -> tuple[set[str], Counter[str]]:
    """Send 1,000 events, end the worker in the middle, start it again, wait for the rest."""
    with broker_without_a_worker(tmp_path) as servers:
        worker = Worker(
            servers, tmp_path / "worker", api_query="?generate=1&delay_ms=100", projection="alone"
        )
        worker.start()
        try:
            await worker.ready()
            return await _interrupted(worker, servers, kill=kill)
        finally:
            worker.stop()


async def _interrupted(
    worker: Worker, servers: str, *, kill: bool
) -> tuple[set[str], Counter[str]]:
    async with foreign_client(servers) as client:
        scans = mixed_scans(1000, 300, f"{os.getpid() % 10_000:04}{int(kill)}")
        wanted = {scan.lookup_id for scan in scans}

        def answers(seen: Seen) -> list[dict[str, str]]:
            return [value for value in seen.of(*ANSWERS) if value["lookup_id"] in wanted]

        await produce(client, scans)
        await client.read_until(lambda seen: len(answers(seen)) > 50)
        if kill:
            worker.kill()
        else:
            assert worker.stop() == 0
        worker.start()
        await worker.ready()
        await client.read_until(
            lambda seen: wanted == {value["lookup_id"] for value in answers(seen)}
        )
        await client.read_for(1)
        counts = Counter(value["lookup_id"] for value in answers(client.seen))
        ids = {(value["lookup_id"], value["event_id"]) for value in answers(client.seen)}
        assert len(ids) == len(counts), "a repeated answer must carry the same ids"
        return wanted, counts


async def test_after_kill_9_in_the_middle_nothing_is_missing_and_repeats_carry_the_same_ids(
    tmp_path: Path,
) -> None:
    wanted, counts = await answered_after(tmp_path, kill=True)
    assert wanted == set(counts)


async def test_sigterm_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    wanted, counts = await answered_after(tmp_path, kill=False)
    assert dict.fromkeys(wanted, 1) == dict(counts)


def killed(worker: Worker) -> None:
    worker.kill()
    worker.start()


def stopped(worker: Worker) -> None:
    assert worker.stop() == 0
    worker.start()


@pytest.mark.parametrize("interrupt", [killed, stopped, Worker.kill_beside])
async def test_after_an_end_in_the_middle_every_basket_is_right_to_the_cent(
    tmp_path: Path, interrupt: Callable[[Worker], None]
) -> None:
    with broker_without_a_worker(tmp_path) as servers:
        worker = Worker(servers, tmp_path / "worker", projection="alone")
        worker.start()
        try:
            await worker.ready()
            await _purchases(worker, servers, interrupt)
        finally:
            worker.stop()


async def test_lookups_go_on_while_the_process_beside_them_is_killed(tmp_path: Path) -> None:
    with broker_without_a_worker(tmp_path) as servers:
        worker = Worker(servers, tmp_path / "worker", api_query="?generate=1", projection="alone")
        worker.start()
        try:
            await worker.ready()
            worker.kill_beside()
            async with foreign_client(servers) as client:
                scans = mixed_scans(200, 50, f"{os.getpid() % 10_000:04}b")
                await produce(client, scans)
                await Tally(client).all_of(scans)
            await until(partial(worker.metric, "posstream_plugin_up", plugin="baskets"), 1.0)
            restarts = partial(worker.metric, "posstream_plugin_restarts_total")
            assert await restarts(plugin="baskets") == 1
            assert await restarts(plugin="customer_lookup") == 0
            assert worker.starts == 1
        finally:
            assert worker.stop() == 0


async def _purchases(worker: Worker, servers: str, interrupt: Callable[[Worker], None]) -> None:
    two_hours_ago_ms = int(time.time() * 1000) - 2 * 3_600_000
    day = TillDay(os.getpid(), 25, two_hours_ago_ms, name=f"{interrupt.__name__}{os.getpid()}")
    messages = day.messages()
    known = till_reference.baskets(message.value for message in messages)
    wanted = {name: basket for name, basket in known.items() if basket["was_paid"]}
    async with foreign_client(servers, BASKET_COMPLETED, TILL_EVENTS) as client:

        def told(seen: Seen) -> dict[str, dict[str, Any]]:
            """Of each basket what its highest revision says."""
            found = {}
            for it in sorted(seen.of(BASKET_COMPLETED), key=lambda it: it["revision"]):
                if it["basket_id"] in wanted:
                    sums = {name: Decimal(it[name]) for name in ("total", "paid", "refunded")}
                    found[it["basket_id"]] = {
                        **{name: it[name] for name in ("revision", "status")},
                        **sums,
                    }
            return found

        for number, message in enumerate(messages):
            await client.producer.send(
                message.topic, orjson.dumps(message.value), key=message.key.encode()
            )
            if number == len(messages) // 2:
                await client.read_until(lambda seen: len(seen.of(TILL_EVENTS)) > 30)
                await asyncio.to_thread(interrupt, worker)
        await client.producer.flush()
        right = {
            name: {key: basket[key] for key in ("revision", "status", "total", "paid", "refunded")}
            for name, basket in wanted.items()
        }
        await client.read_until(lambda seen: told(seen) == right)
        await client.read_for(0.5)
        assert told(client.seen) == right
        assert len(right) > 10
