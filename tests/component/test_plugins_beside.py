"""The process of a plugin beside the lookups: started and watched by a worker, ended with it."""

import asyncio
import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiokafka
import orjson
import pytest

from agents.baskets import PLUGIN
from agents.baskets.topics import POS_EVENTS
from agents.customer_lookup import PLUGIN as LOOKUP
from posstream.configuration.record import write_record
from posstream.configuration.version import ConfigurationVersion
from posstream.domain.errors import PublishFailed
from posstream.kafka.counts import committed_offsets
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.record import Record
from posstream.kafka.topics import PLUGIN_CONFIGURATION
from posstream.kafka.tuning import Tuning
from posstream.kafka.writer import TopicWriter
from posstream.metrics import Metrics
from posstream.plugin import Built, Lifetime, Plugin
from posstream.plugins import beside
from posstream.plugins.beside import Beside, BesideSetup
from posstream.plugins.beside_child import command
from posstream.plugins.found import Plugins
from posstream.plugins.status import PluginState, PluginStatus
from posstream.settings import Settings
from tests.component.other_plugin import other_plugin
from tests.component.test_projection_process import PATIENCE_SECONDS, children, is_running, until

RUNNING, FAILED, STARTING = PluginState.RUNNING, PluginState.FAILED, PluginState.STARTING
PLUGINS = Plugins((LOOKUP, PLUGIN))


@dataclass
class Shop:
    """A broker with the topics, and the worker's half of the two processes."""

    settings: Settings
    producer: aiokafka.AIOKafkaProducer
    metrics: Metrics = field(default_factory=lambda: Metrics(beside=[PLUGIN]))

    def setup(self, plugins: Sequence[Plugin]) -> BesideSetup:
        tuning = Tuning(fetch_wait_ms=20, session_timeout_seconds=6, shared=False, idempotent=False)
        return BesideSetup.of(self.settings, plugins, member=None, tuning=tuning)

    def beside(self) -> Beside:
        return Beside(
            PLUGINS.beside,
            ports=lambda it: Built(ports=it.name),
            setup=self.setup,
            metrics=self.metrics,
        )

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"posstream_{name}", labels)

    async def committed(self, number: int) -> None:
        """Wait until this many of the events are behind the plugin for good."""
        place, known = (POS_EVENTS, 0), 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while known < number:
                await asyncio.sleep(0.05)
                servers, group = self.settings.bootstrap_servers, PLUGIN.consumer_group
                known = (await committed_offsets(servers, group, [place])).get(place, 0)

    async def sell(self, number: int, **fields: Any) -> None:
        event = {"basket_id": "b1", "event_id": f"e{number}", "event_type": "ITEM_ADDED", **fields}
        await self.producer.send_and_wait(POS_EVENTS, orjson.dumps(event), key=b"b1")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        settings = Settings(
            broker=f"kafka://{broker.address}",
            datadir=tmp_path,
            explicit_topic_partitions=1,
            plugins=PLUGINS,
        )
        await prepare_topics([broker.address], PLUGINS.topics, partitions=1, replication=1)
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
            yield Shop(settings, producer)
    finally:
        broker.stop()


def child_of(pid: int) -> int:
    (child,) = [
        it for it in children(pid) if b"beside_child" in Path(f"/proc/{it}/cmdline").read_bytes()
    ]
    return child


def gives_way(pid: int) -> bool:
    """Whether a process comes after the tills', among all sessions where Linux groups by them."""
    groups = Path(f"/proc/{pid}/autogroup")
    return os.getpriority(os.PRIO_PROCESS, pid) == 5 and (
        not groups.exists() or groups.read_text().endswith(" nice 5\n")
    )


def test_only_beside_a_default_plugin_and_only_with_ports_does_one_run_there() -> None:
    def names(*plugins: Plugin) -> tuple[list[str], list[str]]:
        found = Plugins(plugins)
        return [it.name for it in found.here], [it.name for it in found.beside]

    assert names(LOOKUP, PLUGIN) == (["customer_lookup"], ["baskets"])
    assert names(PLUGIN) == (["baskets"], [])
    assert names(LOOKUP, other_plugin()) == (["customer_lookup", "baskets"], [])


async def test_a_child_that_is_killed_is_told_as_failed_and_goes_on(
    shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    process = shop.beside()
    changes: list[PluginStatus] = []
    process.changed = lambda: changes.append(process.seats["baskets"].status)

    def states() -> list[PluginState]:
        return [it.state for it in changes]

    await process.open()
    await process.begin()
    await until(lambda: states() == [RUNNING])
    await shop.sell(1, product_id="p", unit_price="1")
    await shop.sell(2)  # no product
    counted = {"type": "ITEM_ADDED", "outcome": "counted"}
    await until(lambda: shop.value("till_events_total", **counted) == 1)
    await until(lambda: shop.value("dead_letters_total", reason="MISSING_FIELD") == 1)
    (runs,) = changes
    assert (runs.built and runs.built.ports, runs.reason) == ("baskets", "")
    child = child_of(os.getpid())
    assert gives_way(child)
    await shop.committed(2)  # what was not committed is counted once more
    os.kill(child, signal.SIGKILL)
    await until(lambda: states() == [RUNNING, FAILED, STARTING, RUNNING])
    assert (changes[1].reason, changes[1].built) == ("its process ended (exit code -9)", None)
    await shop.sell(3, product_id="p", unit_price="1")
    await until(lambda: shop.value("till_events_total", **counted))
    assert shop.value("dead_letters_total", reason="MISSING_FIELD") == 1
    assert shop.value("plugin_restarts_total", plugin="baskets") == 1
    assert shop.value("plugin_up", plugin="baskets") == 1
    child = child_of(os.getpid())
    await process.close()
    await process.close()
    assert not is_running(child)
    assert "Fatal" not in capfd.readouterr().err, "it ends in order"


async def test_a_plugin_that_is_refused_stops_and_stays_stopped(shop: Shop) -> None:
    process = shop.beside()
    await process.open()
    await process.begin()
    await until(lambda: process.seats["baskets"].state is RUNNING)
    process.refuse("baskets", "its migrations cannot be run")
    lock = shop.settings.datadir / "tables"

    def is_closed() -> bool:
        """Whether nobody has the table's files open."""
        links = Path(f"/proc/{child_of(os.getpid())}/fd").iterdir()
        return not any(str(lock) in str(it.readlink()) for it in links if it.is_symlink())

    await until(is_closed)
    status = process.seats["baskets"].status
    assert (status.state, status.reason) == (FAILED, "its migrations cannot be run")
    await process.close()


async def test_an_edit_of_the_configuration_is_in_force_there(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    process = shop.beside()
    await process.open()
    await process.begin()
    await until(lambda: process.seats["baskets"].state is RUNNING)
    edit = ConfigurationVersion(version=1, enabled=True, config={"decimal_places": 0})
    await shop.producer.send_and_wait(
        PLUGIN_CONFIGURATION, write_record(edit), key=b"baskets", partition=0
    )
    async with aiokafka.AIOKafkaConsumer(
        "basket-completed",
        bootstrap_servers=shop.settings.bootstrap_servers,
        auto_offset_reset="earliest",
    ) as consumer:

        async def total(basket: str) -> str:
            head = {"basket_id": basket, "occurred_at": "2026-01-01T10:00:00Z"}
            await shop.sell(1, **head, product_id="p", unit_price="0.9", quantity="0.5")
            paid = {"event_type": "PAYMENT_COMPLETED", "amount": "9"}
            await shop.sell(2, **head | paid)
            async with asyncio.timeout(30):
                async for record in consumer:
                    told = orjson.loads(record.value)
                    if told["basket_id"] == basket:
                        return str(told["total"])
            raise AssertionError

        async with asyncio.timeout(30):
            for number in range(100):
                if await total(f"b{number}") == "0":
                    break
    await process.close()
    assert "is in force, but the database has no copy" not in caplog.text


async def test_what_the_child_logs_is_in_the_worker_log_under_its_own_name(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    process = shop.beside()
    await process.open()
    await process.begin()
    await until(lambda: "plugin baskets runs" in caplog.text)
    await process.close()
    lines = [it for it in caplog.records if "plugin baskets runs" in it.getMessage()]
    assert [it.name for it in lines] == ["posstream.plugins.supervisor"]


async def test_the_child_ends_at_once_when_its_worker_is_killed(shop: Shop) -> None:
    """All that it has of the worker is the other end of its stdin."""
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({command(PLUGINS.beside)!r}, stdin=subprocess.PIPE, "
        "stdout=subprocess.PIPE, start_new_session=True)\n"
        "child.stdin.write(sys.stdin.buffer.read())\n"
        "child.stdin.flush()\n"
        "while b'RUNNING' not in child.stdout.readline(): pass\n"
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
    worker.stdin.write(pickle.dumps(shop.setup(PLUGINS.beside)))
    worker.stdin.close()
    child = int(await worker.stdout.readline())
    assert is_running(child)
    worker.kill()
    await worker.wait()
    await until(lambda: not is_running(child))


async def test_a_child_that_cannot_start_is_tried_again_with_growing_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(beside, "command", lambda _: (sys.executable, "-c", "exit(3)"))
    process = Shop(Settings(datadir=tmp_path, plugins=PLUGINS), producer=None).beside()
    await process.open()
    await process.begin()
    await until(lambda: "exit code 3); again in 0.4 s" in caplog.text)
    await process.close()
    status = process.seats["baskets"].status
    assert (status.state, status.reason) == (FAILED, "its process ended (exit code 3)")


async def test_a_child_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(beside, "_SILENCE_SECONDS", 0.1)
    hang = (sys.executable, "-c", "import time; time.sleep(600)")
    monkeypatch.setattr(beside, "command", lambda _: hang)
    process = Shop(Settings(datadir=tmp_path, plugins=PLUGINS), producer=None).beside()
    await process.open()
    await process.begin()
    await until(lambda: "ended (it said nothing for 0.1 s)" in caplog.text)
    await process.close()


async def test_ports_that_cannot_be_made_fail_their_plugin_alone_and_start_no_child(
    tmp_path: Path,
) -> None:
    def ports(_: Plugin) -> Built:
        raise SystemExit("no")

    shop = Shop(Settings(datadir=tmp_path, plugins=PLUGINS), producer=None)
    process = Beside(PLUGINS.beside, ports=ports, setup=shop.setup, metrics=shop.metrics)
    await process.open()
    status = process.seats["baskets"].status
    assert (status.state, status.reason) == (FAILED, "SystemExit: no")
    assert children(os.getpid()) == []
    await process.close()


async def test_what_the_pages_need_is_opened_and_closed_and_fails_its_plugin_alone(
    tmp_path: Path,
) -> None:
    noted: list[str] = []

    async def opens() -> None:
        noted.append("opened")

    async def closes() -> None:
        noted.append("closed")

    async def fails() -> None:
        raise OSError("no")

    lifetimes = [Lifetime(name="one", open=opens, close=closes)]
    shop = Shop(Settings(datadir=tmp_path, plugins=PLUGINS), producer=None)
    process = Beside(
        PLUGINS.beside,
        ports=lambda _: Built(lifetimes=tuple(lifetimes)),
        setup=shop.setup,
        metrics=shop.metrics,
    )
    await process.begin()
    await process.close()
    assert noted == ["opened", "closed"]
    process.seats["baskets"].asked = Built(
        lifetimes=(Lifetime(name="two", open=fails, close=closes),)
    )
    await process.begin()
    status = process.seats["baskets"].status
    assert (status.state, status.reason) == (FAILED, "OSError: no")


async def test_what_the_pages_publish_is_refused_while_the_broker_is_away() -> None:
    async with TopicWriter(["127.0.0.1:1"], within_seconds=0.1) as writer:
        with pytest.raises(PublishFailed, match=r"127\.0\.0\.1:1 did not acknowledge"):
            await writer.publish(Record(POS_EVENTS, None, b"{}"))
        sent = await writer.send(Record(POS_EVENTS, None, b"{}"))
        with pytest.raises(PublishFailed):
            await sent


def test_the_child_is_told_the_settings_of_its_own_plugins_alone(tmp_path: Path) -> None:
    settings = Settings(
        datadir=tmp_path, plugins=PLUGINS, plugin_values={"POSSTREAM_API_ENDPOINT": "secret"}
    )
    setup = BesideSetup.of(settings, PLUGINS.beside, member="posstream-1", tuning=Tuning())
    told: BesideSetup = pickle.loads(pickle.dumps(setup))  # noqa: S301 - our own
    assert (told.plugins, told.member) == (["baskets"], "posstream-1")
    assert (told.settings.datadir, dict(told.settings.plugin_values)) == (tmp_path, {})


def test_the_child_imports_no_web_view() -> None:
    """It starts at each start of a worker, and is to cost little memory."""
    script = (
        "import sys, posstream.plugins.beside_running\n"
        "from posstream.plugins.discovery import find_plugins\n"
        "import agents.baskets.build\n"
        "print(sorted({'graphene', 'jinja2', 'web.server'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout == "[]\n"
