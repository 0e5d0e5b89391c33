"""A worker's resources, opened on a fresh embedded broker beside a database that remembers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from click.testing import CliRunner
from faust.transport.drivers.aiokafka import server_list

from posstream.cli import main
from posstream.factory import create_app
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.topics import CONTROLS, PLUGIN_CONFIGURATION, WORKERS
from posstream.kafka.tuning import Tuning
from posstream.settings import Settings
from tests.integration.harness import free_port


@pytest.fixture
def edited(tmp_path: Path) -> Settings:
    """Settings whose database has a version that no broker remembers."""
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        done = CliRunner().invoke(
            main,
            ["config", "set", "deadline_seconds=3"],
            env={
                "POSSTREAM_BROKER": broker.address,
                "POSSTREAM_DATADIR": str(tmp_path),
                "POSSTREAM_DATABASE_URL": "",
            },
        )
    finally:
        broker.stop()
    assert done.exit_code == 0, done.output
    return Settings(datadir=tmp_path, explicit_topic_partitions=1, dev_broker_port=free_port())


async def tuning_of(settings: Settings) -> Tuning:
    """The tuning of a plugin's app on a worker with its resources open."""
    broker = EmbeddedBroker(settings.dev_broker_port, log_file=settings.datadir / "broker.log")
    broker.start()
    try:
        runtime, _, supervisor = create_app(settings).lifetimes
        await runtime.start()
        app = supervisor.running["customer_lookup"].app
        supervisor._prepare(app)
        await runtime.stop()
    finally:
        broker.stop()
    return app.tuning


async def test_a_worker_starts_with_the_last_version_and_drains_by_its_deadline(
    edited: Settings,
) -> None:
    tuning = await tuning_of(edited)
    assert tuning.drain_seconds == 5, "the deadline of the version in the database, and 2 seconds"


async def test_topics_with_few_records_are_fetched_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fetch costs the embedded broker CPU, also while nothing happens."""
    waits: dict[str, int] = {}
    all_fetched = asyncio.Event()

    class Requested(fetcher.FetchRequest):
        def __init__(self, max_wait_ms: int, *args: Any, **options: Any) -> None:
            super().__init__(max_wait_ms, *args, **options)
            waits.update((topic, max_wait_ms) for topic, _ in self._topics)
            if len(waits) == 3:
                all_fetched.set()

    monkeypatch.setattr(fetcher, "FetchRequest", Requested)
    settings = Settings(datadir=tmp_path, explicit_topic_partitions=1, dev_broker_port=free_port())
    broker = EmbeddedBroker(settings.dev_broker_port, log_file=tmp_path / "broker.log")
    broker.start()
    try:
        runtime, *_ = create_app(settings).lifetimes
        await runtime.start()
        async with asyncio.timeout(20):
            await all_fetched.wait()
        await runtime.stop()
    finally:
        broker.stop()
    assert waits == dict.fromkeys((PLUGIN_CONFIGURATION, WORKERS, CONTROLS), 1000)


@pytest.mark.parametrize(("given", "expected"), [(None, 2), (45, 45)])
async def test_the_session_timeout_is_the_embedded_broker_s_unless_it_is_given(
    tmp_path: Path, given: int | None, expected: int
) -> None:
    settings = Settings(
        datadir=tmp_path,
        explicit_topic_partitions=1,
        dev_broker_port=free_port(),
        session_timeout_seconds=given,
    )
    assert (await tuning_of(settings)).session_timeout_seconds == expected


@pytest.mark.parametrize("host", ["::1", "::", "127.0.0.1", "localhost", "fd00::5"])
@pytest.mark.parametrize("option", [{}, {"web_port": 8001}])
def test_faust_takes_an_address_of_either_family(
    host: str, option: dict[str, int], tmp_path: Path
) -> None:
    settings = Settings(web_host=host, broker="kafka://[::1]:9092", datadir=tmp_path)
    conf = create_app(settings).conf
    for name, value in option.items():
        setattr(conf, name, value)
        # As `faust worker --web-port` does.
        conf.canonical_url = f"http://{conf.web_host}:{conf.web_port}"
    assert conf.canonical_url.host == host
    assert conf.canonical_url.port == option.get("web_port", 8000)
    assert server_list(conf.broker, 9092) == ["[::1]:9092"]
