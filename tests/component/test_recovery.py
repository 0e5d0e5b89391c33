"""Tables start at once; a recovery that brokers let wait too long ends the worker, not itself."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from faust.tables.recovery import RebalanceAgain, ServiceStopped

from posstream.domain.errors import BrokerUnreachable
from posstream.streaming.app import StreamingApp


@pytest.fixture
def app(tmp_path: Path) -> Any:
    app: Any = StreamingApp("test", broker="kafka://127.0.0.1:1", datadir=tmp_path, partitions=1)
    app.crashes = []

    async def crash(why: BaseException) -> None:
        app.crashes.append(why)

    app.crash = crash
    return app


async def test_tables_and_their_recovery_start_without_a_pause(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def step(name: str) -> Any:
        async def work(*_: object) -> None:
            done.append(name)

        return work

    monkeypatch.setattr(app.tables, "sleep", step("a pause"))
    monkeypatch.setattr(app.tables, "_update_channels", step("tables"))
    monkeypatch.setattr(app.tables.recovery, "start", step("recovery"))
    await app.tables.on_start()
    assert done == ["tables", "recovery"]


async def test_a_time_out_crashes_the_worker(app: Any) -> None:
    with pytest.raises(ServiceStopped):
        await app.tables.recovery._wait(asyncio.sleep(60), timeout=0.01)
    assert [type(why) for why in app.crashes] == [BrokerUnreachable]


async def test_a_stop_and_another_rebalance_do_not(app: Any) -> None:
    recovery = app.tables.recovery
    await recovery._wait(asyncio.sleep(0), timeout=5)
    recovery.signal_recovery_start.set()
    with pytest.raises(RebalanceAgain):
        await recovery._wait(asyncio.sleep(60), timeout=5)
    recovery.signal_recovery_start.clear()
    recovery._stopped.set()
    with pytest.raises(ServiceStopped):
        await recovery._wait(asyncio.sleep(60), timeout=5)
    assert not app.crashes
