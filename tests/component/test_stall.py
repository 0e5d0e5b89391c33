"""A worker that stands still while events wait is not alive, and ends."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from posstream.domain.errors import Stalled
from posstream.health import WorkerHealth
from posstream.kafka.topics import TopicSpec
from posstream.kafka.tuning import Tuning
from posstream.plugin import Built, Plugin
from posstream.plugins.report import PluginReport, report_of
from posstream.plugins.running import PluginWatch, RunningPlugin
from posstream.plugins.status import PluginState, PluginStatus
from posstream.streaming.stall import STALLED_SECONDS
from posstream.streaming.table_spec import TableSpec
from tests.manual_clock import ManualClock
from web.programs import HealthReport

SOURCE, SLOW, OTHER = TP("t", 0), TP("slow", 0), TP("projected", 0)
LETTERS = "t.dlq"
TABLE = TableSpec("kept", TopicSpec("posstream-toy-kept-changelog", "k", "v", 1), ("t",))


class Group:
    """A consumer of three partitions, as the watch sees it."""

    def __init__(self) -> None:
        self.ends = {SOURCE: 5, SLOW: 5, OTHER: 5}
        self.finished: dict[TP, int | None] = {SOURCE: 5, SLOW: 5, OTHER: 0}

    def assignment(self) -> set[TP]:
        return set(self.ends)

    def highwater(self, tp: TP) -> int | None:
        return self.ends[tp]

    def finished_to(self, tp: TP) -> int | None:
        return self.finished[tp]

    def held_back(self, _: TP) -> tuple[int, int]:
        return 0, 0


class Worker:
    """A worker with one plugin and its health, and a clock in the hand of the test."""

    def __init__(self) -> None:
        self.group, self.clock = Group(), ManualClock()
        self.counts: dict[str, int] = {}
        self.group.topic_partitions = self.counts.get  # type: ignore[attr-defined]
        self.crashes: list[BaseException] = []
        #: Topics that are switched off.
        self.off: set[str] = set()
        app: Any = SimpleNamespace(
            has_consumer=True,
            consumer=self.group,
            answering={SOURCE.topic: None},
            consumer_exists=True,
            crash=self._crash,
            crashed=False,
            should_stop=False,
            rebalancing=False,
            rebalancing_count=1,
            tables=SimpleNamespace(actives_ready=True),
            tuning=Tuning(),
            lanes=SimpleNamespace(
                commit_age_seconds=lambda: 0.0, is_on=lambda topic: topic not in self.off
            ),
        )
        plugin = Plugin(
            name="toy",
            description="",
            build=lambda _: Built(),
            tables=(TABLE,),
            topics=(TopicSpec(LETTERS, "k", "v", 1),),
            consumes=(SOURCE.topic, SLOW.topic),
            dead_letters=LETTERS,
        )
        letters: Any = SimpleNamespace(alarm=None, last_hour=0, report=lambda: None)
        self.watch = PluginWatch(app, plugin, letters, clock=self.clock, partitions=4)
        running = RunningPlugin(app, Built(), self.watch)

        def reports() -> dict[str, PluginReport]:
            return {"toy": report_of("toy", running, PluginState.RUNNING, was_started=True)}

        supervisor: Any = SimpleNamespace(
            reports=reports,
            figures=dict,
            statuses=lambda: {"toy": PluginStatus(name="toy", state=PluginState.RUNNING)},
        )
        self.health = WorkerHealth(app, supervisor)

    async def _crash(self, why: BaseException) -> None:
        self.crashes.append(why)

    async def after(self, seconds: float) -> bool:
        """Let time pass with a look at both ends; whether the worker is alive then."""
        await self.watch.look()
        self.clock.advance(seconds)
        await self.watch.look()
        return self.health.live().ok


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def test_events_that_nobody_takes_end_the_worker(worker: Worker) -> None:
    worker.group.ends[SOURCE] = 6
    assert await worker.after(STALLED_SECONDS - 1)
    assert not worker.crashes
    assert not await worker.after(1)
    assert isinstance(worker.crashes[0], Stalled)


async def test_events_of_a_plugin_that_is_switched_off_end_nobody(worker: Worker) -> None:
    worker.group.ends[SOURCE] = 6
    worker.off.add(SOURCE.topic)
    assert await worker.after(STALLED_SECONDS + 1)
    worker.off.clear()
    assert await worker.after(STALLED_SECONDS - 1), "it counts from when they are taken again"
    assert not await worker.after(1)


async def test_events_that_wait_for_a_table_whose_entries_are_moved_end_nobody(
    worker: Worker,
) -> None:
    worker.group.ends[SOURCE] = 6
    worker.counts[TABLE.changelog.name] = 6
    assert await worker.after(STALLED_SECONDS + 1)
    assert not worker.crashes


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


async def test_an_agent_that_waits_for_too_long_is_told_once_and_ends_nobody(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.group.finished[SLOW] = 4
    assert await worker.after(STALLED_SECONDS - 1)
    assert not worker.health.ready().reasons
    assert await worker.after(1)
    told = "events of slow wait, and none was handled for 330 s"
    assert worker.health.ready().reasons == (told,)
    assert await worker.after(1)
    assert [record.getMessage() for record in caplog.records] == [told]
    worker.group.finished[SLOW] = 5
    assert await worker.after(1)
    assert not worker.health.ready().reasons


async def test_a_topic_that_was_given_partitions_is_told_once_and_ends_nobody(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    details = {"rebalances": 1, "plugins": {"toy": "RUNNING"}, "degraded": []}
    assert worker.health.ready() == HealthReport(ok=True, details=details)
    worker.counts["t"] = 6
    said = "topic t has 6 partitions, but POSSTREAM_TOPIC_PARTITIONS is 4"
    assert await worker.after(1)
    report = worker.health.ready()
    assert (report.ok, len(report.reasons)) == (True, 1)
    assert report.reasons[0].startswith(said)
    assert [record.getMessage() for record in caplog.records] == list(report.reasons)
