"""A worker that is killed is lost to the other one, and back once it is started again."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import orjson
import pytest

from posstream.commands.status import status
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.resilience.clock import Clock
from posstream.settings import Settings
from tests.integration.harness import Worker, free_port, until
from tests.servers import kafka
from tests.servers.needed import need


async def told(worker: Worker) -> list[str]:
    """What the worker says about the others."""
    async with aiohttp.ClientSession() as http, http.get(f"{worker.url}/health/ready") as response:
        document = await response.json()
    return [it for it in document["reasons"] if " is lost: not seen for " in it]


async def breaker(worker: Worker, action: str) -> None:
    """Work the breaker of all workers by hand."""
    form = {"plugin": "customer_lookup", "control": "breaker", "action": action, "worker": "*"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{worker.url}/fleet", data=form) as response,
    ):
        assert response.status == 200


async def page(worker: Worker, path: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{worker.url}{path}") as response:
        assert response.status == 200
        return await response.text()


@pytest.fixture(
    params=["the embedded broker", pytest.param("Apache Kafka", marks=pytest.mark.kafka)]
)
async def servers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A broker on which nobody else was lost."""
    if request.param == "Apache Kafka":
        need(kafka)
        with kafka.cluster() as cluster:
            await cluster.ready()
            yield cluster.servers[0]
        return
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    yield broker.address
    broker.stop()


async def test_a_killed_worker_is_lost_within_30_seconds_and_back_after_a_restart(
    servers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (Worker(servers, tmp_path / name) for name in ("one", "two"))
    try:
        for worker in (one, two):
            worker.start()
            await worker.ready()
        settings = Settings(broker=f"kafka://{servers}")
        await until(lambda: status(settings, Clock()), 0, seconds=30)
        for action, state in (("open", 2), ("reset", 0)):
            await breaker(one, action)
            for worker in (one, two):
                await until(partial(worker.metric, "posstream_breaker_state"), state, seconds=20)
        two.kill()
        await until(lambda: one.metric("posstream_workers_lost"), 1, seconds=30)
        (sentence,) = await told(one)
        assert f":{two.port} is lost" in sentence
        capsys.readouterr()
        assert await status(settings, Clock(), as_json=True) == 1
        workers = {it["state"]: it for it in orjson.loads(capsys.readouterr().out)["workers"]}
        assert workers["lost"]["address"].endswith(f":{two.port}")
        assert workers["runs"]["controls"][0]["state"] == "closed"
        assert workers["runs"]["partitions"] > 0
        await breaker(one, "open")
        two.start()
        await until(lambda: one.metric("posstream_workers_lost"), 0, seconds=60)
        assert await told(one) == []
        await until(partial(two.metric, "posstream_breaker_state"), 2, seconds=20)
        assert "customer-identified" in await page(one, "/topics/customer-identified")
        assert "started_at" in await page(one, "/topics/posstream-workers/messages")
        assert two.stop() == 0
        capsys.readouterr()
        await status(settings, Clock(), as_json=True)
        (left,) = orjson.loads(capsys.readouterr().out)["workers"]
        assert left["address"].endswith(f":{one.port}"), "the other one stopped in order"
        lines = [line for line in one.log.splitlines() if f":{two.port} is " in line]
        assert [line.rpartition(" is ")[2].split(":")[0] for line in lines] == ["lost", "back"]
        assert one.stop() == 0
    finally:
        for worker in (one, two):
            if worker.running:
                worker.kill()
