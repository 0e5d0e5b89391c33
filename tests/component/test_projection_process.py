"""The projections' process: started and watched by a worker, ended with it, or run alone."""

import asyncio
import dataclasses
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiokafka
import orjson
import pytest
from sqlalchemy import func, select, text

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.read_model.schema import LOOKUP_ANSWERS
from agents.customer_lookup.topics import PROJECTED, TOPICS
from posstream.forgetting.marks import Forgotten, subject_of_customer
from posstream.forgetting.record import forgotten
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.topics import PLATFORM_TOPICS
from posstream.kafka.tuning import Tuning
from posstream.metrics import Metrics
from posstream.plugin import Built, Plugin
from posstream.read_model import projecting, projection_process
from posstream.read_model.engine import create_engine
from posstream.read_model.part import ReadModelPart
from posstream.read_model.projecting import Setup, Standings
from posstream.read_model.projection import ProjectedEvent, Projection
from posstream.read_model.projection_process import ProjectionProcess
from posstream.read_model.projector import GroupSettings
from posstream.resilience.tasks import stop_task
from tests.component.sql_databases import found
from tests.integration.harness import environment
from tests.plugins.broken import broken_migration

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


def gives_way(pid: int) -> bool:
    """Whether a process gives way, among all sessions where Linux groups by them."""
    groups = Path(f"/proc/{pid}/autogroup")
    return os.getpriority(os.PRIO_PROCESS, pid) == 10 and (
        not groups.exists() or groups.read_text().endswith(" nice 10\n")
    )


async def test_a_child_that_is_killed_is_started_again_and_goes_on(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    process = ProjectionProcess(shop.setup, metrics=metrics)

    def written() -> int:
        return sum(it.written for it in process.standings.values())

    await shop.answer("e1", "e2")
    await process.open()
    await until(lambda: written() == 2)
    (child,) = children(os.getpid())[-1:]
    assert gives_way(child)
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
    process = ProjectionProcess(shop.setup, metrics=Metrics())
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
    process = ProjectionProcess(shop.setup, metrics=Metrics())
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


async def test_alone_it_does_not_start_into_a_database_that_refuses_it(
    shop: Shop, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    alone = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "posstream.cli", "project"),
        env=environment(
            broker=f"kafka://{shop.servers}",
            database_url=f"sqlite:///{tmp_path}/file/x",
            databse="",
        ),
        cwd=Path(__file__).parents[2],
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await asyncio.wait_for(alone.communicate(), PATIENCE_SECONDS)
    first, second = told.decode().splitlines()
    assert alone.returncode == 1
    assert first.startswith("warning: POSSTREAM_DATABSE")
    assert second == (
        f"error: the read model cannot be opened ({tmp_path}/file is a file): "
        "check POSSTREAM_DATABASE_URL"
    )


async def test_customers_are_forgotten_though_the_migration_of_a_plugin_fails(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projecting, "find_plugins", lambda: [PLUGIN, broken_migration.PLUGIN])
    names = [PLUGIN.name, broken_migration.PLUGIN.name]
    told: list[Standings] = []
    projects = asyncio.create_task(
        projecting.project(dataclasses.replace(shop.setup(), plugins=names), told.append)
    )
    await shop.answer("e1")
    await until(lambda: told and told[-1]["customer_lookup"].written)
    assert await shop.rows() == 1
    mark = forgotten(Forgotten(subject_of_customer("CUST_001"), 2_000_000_000_000, 0))
    await shop.producer.send_and_wait(mark.topic, mark.value)
    await until(lambda: told[-1]["forgetting"].written)
    engine = create_engine(shop.database_url)
    async with engine.begin() as another_worker:
        version = "posstream_version_broken_migration (version_num)"
        await another_worker.execute(text(f"CREATE TABLE {version[:-1]} VARCHAR(32))"))
        await another_worker.execute(text(f"INSERT INTO {version} VALUES ('broken_0001')"))  # noqa: S608 - our own name
    await engine.dispose()
    later = forgotten(Forgotten(subject_of_customer("CUST_001"), 2_000_000_000_001, 0))
    await shop.producer.send_and_wait(later.topic, later.value)
    await until(lambda: told[-1]["forgetting"].trouble == AGAIN)
    await stop_task(projects)
    assert await shop.rows() == 0
    assert "its migration failed" in str(told[-1]["broken_migration"].trouble)


AGAIN = "another worker has migrated broken_migration: start again"


def beside(name: str, folder: Path, apply: Callable[[], Awaitable[None]]) -> Plugin:
    """A plugin whose projection reads the answers, and does with each batch what a test wants."""
    (folder / name).mkdir()
    (folder / name / "0001_first.py").write_text(
        "revision, down_revision = '0001', None\ndef upgrade():\n    pass\n"
    )

    class Does(Projection):
        async def apply(self, events: Sequence[ProjectedEvent]) -> None:  # noqa: ARG002
            await apply()

    part = ReadModelPart(
        migrations=str(folder / name),
        projected=PROJECTED,
        tables=list,
        projection=lambda _: Does(),
        row_keys=lambda _: {},
    )
    return Plugin(name=name, description=f"{name}.", build=lambda _: Built(), read_model=part)


async def test_projections_that_raise_or_hang_are_told_by_name_and_the_others_go_on(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()

    async def raises() -> None:
        raise ValueError("of a customer")

    async def blocks() -> None:
        ended.wait()

    async def waits() -> None:
        await asyncio.Event().wait()

    async def cancels() -> None:
        raise asyncio.CancelledError

    does = (raises, blocks, waits, cancels)
    plugins = [PLUGIN, *(beside(it.__name__, tmp_path, it) for it in does)]
    monkeypatch.setattr(projecting, "find_plugins", lambda: plugins)
    monkeypatch.setattr(projecting, "_HANGS_SECONDS", 0.5)
    process = ProjectionProcess(shop.setup, metrics=(metrics := Metrics()))

    def tell(standings: Standings) -> None:
        process.hear({name: dataclasses.asdict(it) for name, it in standings.items()})

    names = [it.name for it in plugins]
    projects = asyncio.create_task(
        projecting.project(dataclasses.replace(shop.setup(), plugins=names), tell)
    )
    await shop.answer("e1")
    await until(lambda: len(process.warnings()) == len(does))
    told = process.warnings()
    await shop.answer("e2")
    await until(lambda: process.standings["customer_lookup"].written == 2)
    ended.set()
    await stop_task(projects)
    hangs = "its code has not come back for more than 90 s"
    assert told == [
        "the projection of raises waits: ValueError",
        f"the projection of blocks waits: {hangs}",
        f"the projection of waits waits: {hangs}",
        "the projection of cancels waits: RuntimeError",
    ]
    assert {
        name: metrics.registry.get_sample_value("posstream_projection_up", {"plugin": name})
        for name in names
    } == dict.fromkeys(names, 0) | {"customer_lookup": 1}
    for name in ("raises", "cancels"):
        assert f"events of {name} (" in caplog.text
    for name in ("blocks", "waits"):
        assert f"the projection of {name} hangs: {hangs}" in caplog.text


async def test_a_stop_waits_until_each_projection_has_left_its_group(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[int] = []
    left: list[int] = []

    async def leave_slowly(*_: object) -> None:
        joined.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1 * len(names))
            left.append(1)

    names = ["customer_lookup", "forgetting"]
    monkeypatch.setattr(projecting, "_run", leave_slowly)
    projects = asyncio.create_task(projecting.project(shop.setup(), lambda _: None))
    await until(lambda: len(joined) == len(names))
    await stop_task(projects)
    assert len(left) == len(names)


async def test_a_projection_whose_thread_ends_is_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(projecting, "_run", end)
    told: list[Standings] = []
    projects = asyncio.create_task(projecting.project(shop.setup(), told.append))
    await until(lambda: {it.trouble for it in told[-1].values()} == {ENDED} if told else False)
    await stop_task(projects)


ENDED = "its thread has ended"


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
