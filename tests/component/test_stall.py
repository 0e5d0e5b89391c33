"""A worker that stands still while events wait is not alive, and ends."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from posstream.domain.errors import Stalled
from posstream.health import STALLED_SECONDS, WorkerHealth
from posstream.streaming.stall import StallWatch
from tests.manual_clock import ManualClock
from web.health import HealthReport

SOURCE, OTHER = TP("t", 0), TP("projected", 0)


class Group:
    """A consumer of two partitions, as the watch sees it."""

    def __init__(self) -> None:
        self.ends = {SOURCE: 5, OTHER: 5}
        self.finished: dict[TP, int | None] = {SOURCE: 5, OTHER: 0}

    def assignment(self) -> set[TP]:
        return set(self.ends)

    def highwater(self, tp: TP) -> int | None:
        return self.ends[tp]

    def finished_to(self, tp: TP) -> int | None:
        return self.finished[tp]


class Worker:
    """A worker with its health, and a clock in the hand of the test."""

    def __init__(self) -> None:
        self.group, self.clock = Group(), ManualClock()
        self.crashes: list[BaseException] = []
        self.dead_letters = SimpleNamespace(alarm=None, report=lambda: None)
        app: Any = SimpleNamespace(
            consumer=self.group,
            crash=self._crash,
            crashed=False,
            should_stop=False,
            rebalancing=False,
            rebalancing_count=1,
            tables=SimpleNamespace(actives_ready=True),
            lanes=SimpleNamespace(commit_age_seconds=lambda: 0.0),
        )
        watch = StallWatch(app, [SOURCE.topic], clock=self.clock, limit_seconds=STALLED_SECONDS)
        letters: Any = self.dead_letters
        transactions: Any = SimpleNamespace(look=lambda: None, warnings=())
        self.co_partitioning: Any = SimpleNamespace(misfit=None)
        self.health = WorkerHealth(app, letters, watch, transactions, self.co_partitioning)

    async def _crash(self, why: BaseException) -> None:
        self.crashes.append(why)

    async def after(self, seconds: float) -> bool:
        """Let time pass with a look at both ends; whether the worker is alive then."""
        await self.health.watch()
        self.clock.advance(seconds)
        await self.health.watch()
        return self.health.live().ok


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def test_events_that_nobody_takes_end_the_worker(worker: Worker) -> None:
    worker.group.ends[SOURCE] = 6
    assert await worker.after(STALLED_SECONDS)
    assert not worker.crashes
    assert not await worker.after(1)
    assert isinstance(worker.crashes[0], Stalled)


async def test_a_partition_that_was_never_sought_stands_still_too(worker: Worker) -> None:
    worker.group.finished[SOURCE] = None
    assert not await worker.after(STALLED_SECONDS + 1)


async def test_a_lag_that_moves_is_no_stall(worker: Worker) -> None:
    worker.group.ends[SOURCE] = 100
    for finished in range(6, 20):
        worker.group.finished[SOURCE] = finished
        assert await worker.after(STALLED_SECONDS - 1)


async def test_no_lag_is_no_stall_nor_is_one_behind_the_database(worker: Worker) -> None:
    assert await worker.after(STALLED_SECONDS * 2)


async def test_a_topic_that_was_given_partitions_is_told_once_and_ends_nobody(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    assert worker.health.ready() == HealthReport(ok=True, details={"rebalances": 1})
    worker.co_partitioning.misfit = "topic t has 6 partitions"
    assert await worker.after(1)
    assert worker.health.ready() == HealthReport(
        ok=True, reasons=("topic t has 6 partitions",), details={"rebalances": 1}
    )
    assert [record.getMessage() for record in caplog.records] == ["topic t has 6 partitions"]
