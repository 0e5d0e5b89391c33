"""The projections' process: started and watched by a worker, ended with it, or run alone."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiokafka
import orjson
import pytest
from sqlalchemy import func, select

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.read_model.schema import LOOKUP_ANSWERS
from agents.customer_lookup.topics import TOPICS
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.topics import PLATFORM_TOPICS
from posstream.kafka.tuning import Tuning
from posstream.metrics import Metrics
from posstream.read_model import projection_process
from posstream.read_model.engine import create_engine
from posstream.read_model.projecting import Setup
from posstream.read_model.projection_process import ProjectionProcess
from posstream.read_model.projector import GroupSettings
from tests.component.sql_databases import found
from tests.integration.harness import environment

PATIENCE_SECONDS = 60


@dataclass
class Shop:
    """A broker with the topics, and where the SQLite file will be."""

    servers: str
    database_url: str
    producer: aiokafka.AIOKafkaProducer

    def setup(self) -> Setup:
        return Setup(
            group=GroupSettings(
                servers=[self.servers],
                member=None,
                tuning=Tuning(fetch_wait_ms=20, session_timeout_seconds=6),
            ),
            database_url=self.database_url,
            plugins=[PLUGIN.name],
        )

    async def answer(self, *ids: str) -> None:
        for event in map(found, ids):
            await self.producer.send_and_wait(event.topic, orjson.dumps(event.value))

    async def rows(self) -> int:
        engine = create_engine(self.database_url)
        async with engine.connect() as connection:
            count = await connection.scalar(select(func.count()).select_from(LOOKUP_ANSWERS))
        await engine.dispose()
        return count or 0


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        await prepare_topics(
            [broker.address], [*PLATFORM_TOPICS, *TOPICS], partitions=2, replication=1
        )
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
            yield Shop(broker.address, f"sqlite:///{tmp_path / 'x.sqlite3'}", producer)
    finally:
        broker.stop()


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not done():  # noqa: ASYNC110 - it waits for anything
            await asyncio.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] not in "ZX"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


async def test_a_child_that_is_killed_is_started_again_and_goes_on(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    process = ProjectionProcess(shop.setup, lag=metrics.projection_lag)

    def written() -> int:
        return sum(it.written for it in process.standings.values())

    await shop.answer("e1", "e2")
    await process.open()
    await until(lambda: written() == 2)
    (child,) = children(os.getpid())[-1:]
    os.kill(child, signal.SIGKILL)
    await until(process.warnings)
    assert process.warnings() == ["the process of the projections ended (exit code -9)"]
    await shop.answer("e3")
    await until(lambda: not process.warnings() and written())
    again = process.standings["customer_lookup"]
    await process.close()
    await process.close()
    assert await shop.rows() == 3
    assert (again.lag, again.trouble) == (0, None)
    labels = {"plugin": "customer_lookup"}
    assert metrics.registry.get_sample_value("posstream_projection_lag", labels) == 0


async def test_what_the_child_logs_is_in_the_worker_log_under_its_own_name(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    process = ProjectionProcess(shop.setup, lag=Metrics().projection_lag)
    await shop.producer.send_and_wait("basket-started", b"[]")
    await process.open()
    await until(lambda: "is no JSON object" in caplog.text)
    await process.close()
    lines = [it for it in caplog.records if "is no JSON object" in it.getMessage()]
    assert [(it.name, it.levelname) for it in lines] == [
        ("posstream.read_model.projector", "WARNING")
    ]


async def test_a_child_that_cannot_start_is_tried_again_with_growing_pauses(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(projection_process, "_COMMAND", (sys.executable, "-c", "exit(3)"))
    process = ProjectionProcess(shop.setup, lag=Metrics().projection_lag)
    await process.open()
    await until(lambda: "exit code 3); again in 0.4 s" in caplog.text)
    await process.close()
    assert process.warnings() == ["the process of the projections ended (exit code 3)"]


async def test_the_child_ends_when_its_worker_is_killed(shop: Shop) -> None:
    """All that it has of the worker is the other end of its stdin."""
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', "
        "'posstream.read_model.projection_child'], stdin=subprocess.PIPE, "
        "stdout=subprocess.PIPE, start_new_session=True)\n"
        "child.stdin.write(sys.stdin.buffer.readline())\n"
        "child.stdin.flush()\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(orjson.dumps(shop.setup()) + b"\n")
    child = int(await worker.stdout.readline())
    assert is_running(child)
    worker.kill()
    await worker.wait()
    await until(lambda: not is_running(child))


async def test_alone_it_projects_until_it_is_told_to_end(shop: Shop, tmp_path: Path) -> None:
    await shop.answer("e1", "e2")
    alone = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "posstream.cli", "project"),
        env=environment(broker=f"kafka://{shop.servers}", database_url=shop.database_url),
        cwd=Path(__file__).parents[2],
        stderr=asyncio.subprocess.PIPE,
    )
    assert alone.stderr is not None
    log = ""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "customer_lookup: up to date (2 written)" not in log:
                log += (await alone.stderr.readline()).decode()
            alone.terminate()
            code = await alone.wait()
    finally:
        if alone.returncode is None:
            alone.kill()
    assert (code, await shop.rows()) == (0, 2)


def test_the_child_imports_neither_faust_nor_the_web_view() -> None:
    """It starts at each start of a worker, and is to cost little memory."""
    script = (
        "import sys, posstream.read_model.projection_child\n"
        "from posstream.plugins.discovery import find_plugins\n"
        "for plugin in find_plugins():\n"
        "    plugin.read_model and plugin.read_model.tables()\n"
        "print(sorted({'faust', 'graphene', 'aiohttp.web', 'jinja2'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout == "[]\n"
