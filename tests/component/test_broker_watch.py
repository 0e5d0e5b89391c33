"""What the watch of the brokers survives."""

import asyncio
from pathlib import Path

import pytest

from posstream.kafka import broker_watch
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.resilience.clock import Clock
from tests.component.list_fakes import soon
from tests.integration.harness import free_port


async def test_it_takes_any_error_for_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(servers: object) -> None:
        raise ValueError("half a certificate")

    monkeypatch.setattr(broker_watch, "asking", fail)
    monkeypatch.setattr(broker_watch, "_AWAY_SECONDS", 0.0)
    watch = broker_watch.BrokerWatch(["localhost:1"], Clock())
    await watch.open()
    await asyncio.sleep(0.05)
    warnings = watch.warnings
    await watch.close()
    assert warnings == ["no broker answers: events wait"]


async def test_it_asks_for_the_brokers_and_for_no_topic(tmp_path: Path) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        watch = broker_watch.BrokerWatch([broker.address], Clock())
        await watch.open()
        await soon(lambda: watch.count == 1)
        assert watch.warnings == []
        await watch.close()
    finally:
        broker.stop()
