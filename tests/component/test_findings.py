"""Each thing that can be wrong on a worker appears as a finding, and clears."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import orjson
import pytest

from agents.customer_lookup import PLUGIN, build
from agents.customer_lookup.drills.drill import Drill, Fault
from agents.customer_lookup.late_answers import LateAnswers
from agents.customer_lookup.metrics import LookupMetrics
from posstream import findings
from posstream.dead_letters.setting_aside import DeadLetters
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.findings import KNOWN, Finding, Severity, codes, found, worst_first
from posstream.health import WorkerHealth
from posstream.metrics import Metrics
from posstream.plugin import Plugin
from posstream.plugins.figures import PluginFigures
from posstream.plugins.report import PluginReport
from posstream.plugins.running import PluginWatch
from posstream.plugins.status import PluginState, PluginStatus
from posstream.read_model.projection_process import ProjectionProcess
from tests.component.fakes import FakePublisher
from tests.component.kept_cache import Message
from tests.manual_clock import ManualClock

DOCS = (Path(__file__).parents[2] / "docs/how-to/watch-it.md").read_text()
NOW = 1_769_846_400.0
RUNS = PluginReport(state=PluginState.RUNNING)


@dataclass
class Worker:
    """A worker whose state a test changes."""

    reports: dict[str, PluginReport] = field(default_factory=lambda: {"toy": RUNS})
    figures: dict[str, PluginFigures] = field(default_factory=dict)
    shared: list[Finding] = field(default_factory=list)
    off: set[str] = field(default_factory=set)
    stops: bool = False

    @property
    def health(self) -> WorkerHealth:
        supervisor: Any = SimpleNamespace(
            reports=lambda: self.reports,
            statuses=lambda: {
                name: PluginStatus(name=name, state=it.state, reason=it.reason)
                for name, it in self.reports.items()
            },
            figures=lambda: self.figures,
        )
        return WorkerHealth(
            SimpleNamespace(crashed=False, should_stop=self.stops),
            supervisor,
            shared=lambda: self.shared,
            is_on=lambda name: name not in self.off,
            now=lambda: NOW,
        )

    @property
    def codes(self) -> list[str]:
        return list(codes(self.health.findings()))


def test_a_worker_with_which_all_is_well_has_no_finding() -> None:
    health = Worker().health
    ready = health.ready()
    assert (list(health.findings()), ready.ok, ready.reasons) == ([], True, ())


@pytest.mark.parametrize(
    ("changed", "code", "is_ready"),
    [
        ({"stops": True}, "WORKER_STOPPING", False),
        ({"off": {"toy"}}, "PLUGIN_OFF", True),
        ({"reports": {"toy": RUNS, "bad": PluginReport(state=PluginState.FAILED)}},
         "PLUGIN_FAILED", True),
        ({"reports": {"toy": PluginReport(state=PluginState.STARTING, restarting=True)}},
         "PLUGIN_RESTARTING", False),
        ({"reports": {"toy": PluginReport(state=PluginState.RUNNING, not_ready=["it recovers"])}},
         "PLUGIN_NOT_READY", False),
        ({"figures": {"toy": PluginFigures(lag=(("t", 0, 3),), oldest_at=NOW - 31)}}, "LAG", True),
        ({"shared": [found("DATABASE_AWAY", "the database is away", "database")]},
         "DATABASE_AWAY", True),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_finding_and_a_reason_of_readiness(
    changed: dict[str, Any],
    code: str,
    is_ready: bool,  # noqa: FBT001
) -> None:
    worker = Worker(**changed)
    (finding,) = worker.health.findings()
    ready = worker.health.ready()
    assert (finding.code, ready.ok, ready.reasons) == (code, is_ready, (finding.sentence,))
    assert set(ready.details["degraded"]) == {finding.part} - {"worker"}


def test_an_event_that_was_written_just_now_is_no_lag() -> None:
    waiting = PluginFigures(lag=(("t", 0, 3),), oldest_at=NOW - 29)
    assert Worker(figures={"toy": waiting}).codes == []


def test_they_come_worst_first_and_those_of_a_plugin_name_it_if_there_are_several() -> None:
    told = [found("DEAD_LETTERS", "3 letters"), found("EVENTS_STAND_STILL", "they wait")]
    report = msgspec.structs.replace(RUNS, findings=told)
    worker = Worker(reports={"toy": report, "other": RUNS}, off={"other"})
    assert [(it.severity, it.sentence) for it in worker.health.findings()] == [
        (Severity.CRITICAL, "toy: they wait"),
        (Severity.WARNING, "the plugin other is switched off"),
        (Severity.NOTE, "toy: 3 letters"),
    ]


def test_a_note_does_not_degrade_the_worker() -> None:
    letters = msgspec.structs.replace(RUNS, findings=[found("DEAD_LETTERS", "3 letters")])
    worker = Worker(reports={"toy": letters})
    ready = worker.health.ready()
    assert worker.codes == ["DEAD_LETTERS"]
    assert (ready.reasons, ready.details["degraded"]) == ((), [])


def test_a_process_of_plugins_tells_its_findings_as_json() -> None:
    report = msgspec.structs.replace(RUNS, findings=[found("LAG", "3 events wait")])
    told = orjson.loads(msgspec.json.encode(report))
    assert msgspec.convert(told, PluginReport).findings == report.findings


def test_every_code_is_known_and_documented() -> None:
    documented = set(
        re.findall(r"^\| `([A-Z_]+)` \| (?:critical|warning|note)", DOCS, re.MULTILINE)
    )
    own = {"BREAKER_OPEN", "ANSWERS_LATE", "DRILL_RUNS", "RULE_PAUSED"}
    named = {value for name, value in vars(findings).items() if name == value}
    assert named == KNOWN.keys() == documented - own
    assert worst_first(found(code, "It is so") for code in KNOWN)[0].severity == "CRITICAL"


async def test_dead_letters_are_told_for_an_hour() -> None:
    clock = ManualClock()

    letters = DeadLetters(
        topic="t.dlq", publish=FakePublisher().publish, clock=clock, metrics=Metrics(), per_minute=2
    )
    app: Any = SimpleNamespace(answering={}, has_consumer=True)
    plugin = Plugin(name="toy", description="", build=lambda _: NotImplemented)
    watch = PluginWatch(app, plugin, letters, clock=clock, partitions=1)
    why = UnreadableEvent(DeadLetterReason.NOT_JSON, "the message is not JSON")
    told = []
    for _ in range(3):
        await letters.set_aside(Message(b"x", 1, "t"), why)
        told.append([it.sentence for it in watch.findings])
    clock.advance(61)
    told.append([it.code for it in watch.findings])
    clock.advance(3600)
    told.append([it.code for it in watch.findings])
    assert told[:2] == [
        ["1 message of the last hour is a dead letter"],
        ["2 messages of the last hour are dead letters"],
    ]
    assert told[2][0].startswith("3 messages or more in a minute cannot be read")
    assert told[3:] == [["DEAD_LETTERS"], []]


def test_rows_that_are_late_are_told_until_they_are_written() -> None:
    process = ProjectionProcess(lambda: NotImplemented, metrics=Metrics(), now=lambda: NOW)
    said = []
    for lag, seconds in ((7, 61), (7, 59), (0, 61)):
        process.hear({"toy": {"lag": lag, "oldest_ms": round((NOW - seconds) * 1000)}})
        said.append(list(process.late()))
    assert said == [["the rows of toy are 61 s late: 7 events wait"], [], []]


def test_answers_that_came_too_late_are_told_for_five_minutes() -> None:
    clock, metrics = ManualClock(), LookupMetrics(Metrics([PLUGIN]).of(PLUGIN))
    late = LateAnswers(metrics, clock)
    metrics.answered("CACHE", "NONE", 0.01, 8)
    metrics.answered(None, "OVERLOADED", 12.0)
    metrics.answered(None, "DEADLINE", 12.0)
    assert late.findings == [], "nobody has looked yet"
    late.look()
    (finding,) = late.findings
    assert finding.sentence.startswith("2 answers of 10 in the last 5 minutes came too late")
    clock.advance(301)
    late.look()
    assert late.findings == []


def test_an_open_breaker_and_a_drill_are_told_while_they_are_so() -> None:
    drill = Drill(fault=Fault.ERRORS, percent=1, started_at_ms=0, ends_at_ms=1, started_by="ada")
    late = SimpleNamespace(findings=[])

    def told(call: Any, drills: Any) -> list[str]:
        late.findings = []
        return list(codes(build._findings(call, drills, late)))

    is_open, runs = SimpleNamespace(is_open=True), SimpleNamespace(running=drill)
    closed, none = SimpleNamespace(is_open=False), SimpleNamespace(running=None)
    assert [told(is_open, runs), told(is_open, none), told(closed, none)] == [
        ["BREAKER_OPEN", "DRILL_RUNS"],
        ["BREAKER_OPEN"],
        [],
    ]
