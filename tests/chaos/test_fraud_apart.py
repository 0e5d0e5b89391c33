"""Fraud detection broken or drowning: lookups notice nothing."""

import asyncio
import functools
from collections.abc import Callable

import orjson
import pytest

from posstream.settings import PARTITIONS
from tables.fraud_observations import OBSERVATION_TABLE
from tests.chaos.checks import Publish, nothing_lost
from tests.chaos.fraud_play import day_of, producing, send
from tests.chaos.stage import Stage
from tests.integration.harness import Worker, until
from tests.plugins.checkouts import copied_checkout

SCANS = 500
FLOOD = 20_000


def code_raises(stage: Stage) -> Worker:
    """A worker whose fraud detection raises on every event."""
    checkout = copied_checkout(stage.folder / "checkout")
    agent = checkout / "agents/fraud_detection/agent.py"
    begin = "        for record in records:\n            try:\n"
    assert agent.read_text().count(begin) == 1
    agent.write_text(agent.read_text().replace(begin, begin + "                1 / 0\n"))
    return stage.worker(cwd=checkout)


def table_is_damaged(stage: Stage) -> Worker:
    """A worker with files where the folders of the observations should be: it makes them anew."""
    worker = stage.worker()
    place = worker.datadir / "tables/v1/tables"
    place.mkdir(parents=True)
    for number in range(PARTITIONS):
        (place / f"{OBSERVATION_TABLE}-{number}.db").write_text("not a folder")
    return worker


@pytest.mark.short
@pytest.mark.parametrize(
    ("broken", "runs"), [(code_raises, 0.0), (table_is_damaged, 1.0)], ids=["code", "table"]
)
async def test_fraud_detection_is_broken(
    stage: Stage, publish: Publish, broken: Callable[[Stage], Worker], runs: float
) -> None:
    """The code of fraud detection raises on every event, or the files of its table are damaged."""
    worker = broken(stage)
    worker.start()
    await worker.ready()
    is_up = functools.partial(worker.metric, "posstream_plugin_up")
    async with stage.till() as till:
        sending = asyncio.ensure_future(send(stage, day_of(stage, 500)))
        await till.send(till.scans(SCANS))
        await sending
        await until(functools.partial(is_up, plugin="fraud_detection"), runs)
        await till.send(till.scans(SCANS))
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert await is_up(plugin="customer_lookup") == 1
    assert worker.starts == 1


async def test_fraud_detection_drowns(stage: Stage, publish: Publish) -> None:
    """A flood of events in one group while customers are scanned."""
    await stage.started()
    async with stage.till() as till:
        async with till.keeps_scanning(), producing(stage) as producer:
            for number in range(FLOOD):
                value = {
                    "event_type": "DRAWER_OPENED",
                    "event_id": f"flood-{number}",
                    "terminal_id": "till-1",
                    "employee_id": "7",
                }
                await producer.send("pos-events", orjson.dumps(value), key=b"till-1")
                if number % 50 == 0:
                    await asyncio.sleep(0)
            await producer.flush()
            await till.answers(SCANS)
        count = publish(await stage.settle(till), f"{FLOOD:,} events of one till beside them")
    nothing_lost(count)
