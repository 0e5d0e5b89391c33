"""What a worker says of its plugins, processes and database at a scrape."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.plugins.figures import NONE, PluginFigures, figures_of
from posstream.plugins.figures_collector import FiguresCollector
from posstream.plugins.report import PluginReport
from posstream.plugins.status import PluginState
from posstream.processes.metrics import ProcessFigures
from posstream.read_model.database_watch import DatabaseWatch
from posstream.read_model.engine import create_engine
from tests.manual_clock import ManualClock

RUNS = PluginReport(state=PluginState.RUNNING)


def shown(collector: Any) -> Mapping[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    registry = CollectorRegistry()
    registry.register(collector)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def states(report: PluginReport, *, is_on: bool = True) -> Iterable[str]:
    found = shown(FiguresCollector(lambda: {"toy": report}, dict, lambda _: is_on))
    return [labels[1] for (_, *labels), value in found.items() if value == 1]


@pytest.mark.parametrize(
    ("report", "is_on", "state"),
    [
        (RUNS, True, "RUNNING"),
        (RUNS, False, "OFF"),
        (PluginReport(state=PluginState.RUNNING, not_ready=["tables"]), True, "RECOVERING"),
        (PluginReport(state=PluginState.STARTING), False, "STARTING"),
        (PluginReport(state=PluginState.FAILED), False, "FAILED"),
    ],
)
def test_a_plugin_is_in_one_state(report: PluginReport, is_on: bool, state: str) -> None:  # noqa: FBT001
    assert states(report, is_on=is_on) == [state]


def test_figures_are_those_of_the_scrape() -> None:
    figures = {
        "toy": PluginFigures(lag=(("t", 0, 7), ("t", 3, 0)), oldest_at=90.5, recovering=12),
        "idle": PluginFigures(oldest_at=101),  # by a clock that is ahead
    }
    found = shown(FiguresCollector(dict, lambda: figures, bool, now=lambda: 100))
    assert found == {
        ("posstream_consumer_lag", "toy", "t", "0"): 7,
        ("posstream_consumer_lag", "toy", "t", "3"): 0,
        ("posstream_oldest_unanswered_seconds", "toy"): 9.5,
        ("posstream_oldest_unanswered_seconds", "idle"): 0,
        ("posstream_recovery_remaining", "toy"): 12,
        ("posstream_recovery_remaining", "idle"): 0,
    }
    figures.clear()
    assert shown(FiguresCollector(dict, lambda: figures, bool)) == {}


class Shop:
    """A plugin's app with a consumer."""

    has_consumer = started = True
    consumed = frozenset({"t"})

    def __init__(self, *, ready: bool = True) -> None:
        self.consumer = self.lanes = self.tables = self.recovery = self
        self.actives_ready = ready
        self.oldest_at = 90.5
        self.ends: dict[TP, int | None] = {}
        self.finished: dict[TP, int] = {}
        self.app = self
        self.active_remaining_total = lambda: 12
        self.highwater, self.finished_to = self.ends.get, self.finished.get

    def assignment(self) -> set[TP]:
        return {*self.ends}


def test_lag_is_what_is_not_finished_in_partitions_that_were_fetched() -> None:
    shop: Any = Shop()
    shop.ends |= {TP("t", 1): 10, TP("t", 0): 5, TP("t", 2): None, TP("changelog", 0): 9}
    shop.finished |= {TP("t", 1): 3, TP("t", 0): 5, TP("t", 2): 0}
    assert figures_of(shop) == PluginFigures(lag=(("t", 0, 0), ("t", 1, 7)), oldest_at=90.5)


def test_tables_that_are_recovered_say_how_much_they_have_to_read() -> None:
    shop: Any = Shop(ready=False)
    assert figures_of(shop).recovering == 12


def test_a_plugin_that_has_not_started_has_no_figures() -> None:
    shop: Any = Shop()
    shop.started = False
    assert figures_of(shop) == NONE


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_each_process_has_its_own_numbers() -> None:
    script = "print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()  # it runs now; before that, the kernel may count no memory yet
        found = shown(ProcessFigures({"plugins": lambda: child.pid, "gone": lambda: None}))
        child.stdin.write(b"\n")
        child.stdin.close()
    memory = {labels[0]: it for (name, *labels), it in found.items() if "resident" in name}
    assert memory.keys() == {"worker", "plugins"}
    assert 0 < memory["plugins"] < memory["worker"]


@pytest.fixture
async def readers(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    folder = tmp_path / "data"
    folder.mkdir()
    engine = create_engine(f"sqlite+aiosqlite:///{folder}/x.sqlite3")
    yield engine
    await engine.dispose()


async def test_a_database_that_goes_and_comes_back_is_told_once(
    readers: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream")
    clock = ManualClock()
    watch = DatabaseWatch(readers, clock)
    await watch.look()
    assert (watch.is_there, watch.warnings) == (True, ())
    await readers.dispose()
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    (tmp_path / "data").touch()
    for _ in range(3):
        await watch.look()
        clock.advance(5)
    assert not watch.is_there
    (warning,) = watch.warnings
    assert warning.startswith("the database is away (")
    (tmp_path / "data").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "data")
    await watch.look()
    assert watch.is_there
    assert caplog.messages == [warning, "the database is back after 15 s"]
