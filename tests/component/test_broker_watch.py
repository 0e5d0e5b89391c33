"""What the watch of the brokers survives."""

import asyncio

import pytest

from posstream.kafka import broker_watch
from posstream.resilience.clock import Clock


async def test_it_takes_any_error_for_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(servers: object) -> None:
        raise ValueError("half a certificate")

    monkeypatch.setattr(broker_watch, "administering", fail)
    monkeypatch.setattr(broker_watch, "_AWAY_SECONDS", 0.0)
    watch = broker_watch.BrokerWatch(["localhost:1"], Clock())
    await watch.open()
    await asyncio.sleep(0.05)
    warnings = watch.warnings
    await watch.close()
    assert warnings == ["no broker answers: events wait"]
