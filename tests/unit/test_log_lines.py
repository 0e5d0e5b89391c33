"""What gets a line of the log: outages, configuration, rebalances, drills, failures of a kind."""

import logging
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from faust.types import TP
from msgspec import Meta, Struct

from agents.customer_lookup.answer_log import AnswerLog
from agents.customer_lookup.answers import CustomerFound, Identification, LookupFailed
from agents.customer_lookup.directory.breaker_log import BreakerLog
from agents.customer_lookup.drills.drill import Drill, Fault, drill_record
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.reasons import Reason, Source
from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.model import PluginConfiguration
from posstream.configuration.told import told
from posstream.configuration.version import ConfigurationVersion
from posstream.kafka.broker_watch import BrokerWatch
from posstream.read_model.trouble_log import TroubleLog
from posstream.resilience.breaker import Breaker, Rules
from posstream.streaming.lists import event_log
from posstream.streaming.rebalance_log import RebalanceLog
from tests.manual_clock import ManualClock


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_an_outage_of_the_directory_is_four_lines_however_long_it_is(
    said: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    breaker = Breaker(clock, rules=Rules(), changed=BreakerLog(clock).changed)

    def call(*, failed: bool) -> None:
        permit = breaker.admit()
        assert permit is not None
        permit.settle(failed=failed)

    for _ in range(10):
        call(failed=True)
    for _ in range(20):
        clock.advance(15)
        call(failed=True)
    clock.advance(15)
    call(failed=False)
    assert said.messages == [
        "the circuit breaker is open (10 of the last 10 calls failed): the directory is not called",
        "the circuit breaker is half open (15 s have passed): some calls probe",
        "the circuit breaker is open again (a probe failed); it goes on to probe",
        (
            "the circuit breaker is closed (a probe succeeded): the directory is called again, "
            "after 315 s and 21 rounds of probes"
        ),
    ]


class Rule(Struct, frozen=True):
    id: str
    limit: int = 1


class Configuration(PluginConfiguration, frozen=True, kw_only=True):
    api_endpoint: str = "http://one/"
    timeout_seconds: Annotated[float, Meta(ge=0)] = 5
    directory_token: str = ""
    rules: tuple[Rule, ...] = ()


def test_a_configuration_in_force_says_who_changed_what(said: pytest.LogCaptureFixture) -> None:
    current = CurrentConfiguration(Configuration())
    current.watch(told("shop", current))
    config = {"timeout_seconds": 2, "directory_token": "hunter2", "rules": [{"id": "a"}]}
    current.put_in_force(ConfigurationVersion(3, config=config, updated_by="anna"))
    config = {"api_endpoint": "http://two/?key=hunter2", "rules": [{"id": "a", "limit": 2}]}
    current.put_in_force(ConfigurationVersion(4, enabled=False, config=config))
    assert said.messages == [
        (
            "configuration version 3 of shop is in force, by anna: "
            "timeout_seconds 5 -> 2; directory_token changed; rules added a"
        ),
        (
            "configuration version 4 of shop is in force: switched off; "
            'api_endpoint "http://one/" -> "http://two/?…"; timeout_seconds 2 -> 5; '
            "directory_token changed; rules changed a"
        ),
    ]
    assert [it.plugin for it in said.records] == ["shop", "shop"]


def test_a_rebalance_says_what_came_and_what_went(said: pytest.LogCaptureFixture) -> None:
    app = SimpleNamespace(
        plugin="baskets",
        conf=SimpleNamespace(id="posstream-baskets"),
        tables=SimpleNamespace(changelog_topics={"changelog"}),
    )
    rebalances = RebalanceLog()
    first = [TP("events", number) for number in (0, 1, 2, 4)]
    rebalances.assigned([*first, TP("changelog", 0)], app)
    rebalances.assigned([*first[:2], TP("other", 7)], app)
    assert said.messages == [
        "rebalance of posstream-baskets: 4 partitions; came: events 0-2 4; went: none",
        "rebalance of posstream-baskets: 3 partitions; came: other 7; went: events 2 4",
    ]
    assert said.records[0].plugin == "baskets"


def asked(identifier: str = "+1234567890") -> Identification:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    return Identification("l1", "b1", identifier, None, 0, traceparent=trace)


def failed(reason: Reason) -> LookupFailed:
    return LookupFailed(asked(), reason, "no answer", 1, 7, config_version=0)


def found(source: Source) -> CustomerFound:
    return CustomerFound(asked(), source, b"{}", 0, 0, 0, 1, 7, 0)


def test_the_first_failure_of_a_kind_is_told_and_then_their_number(
    said: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    answers = AnswerLog(clock)
    for _ in range(3):
        answers.answered(failed(Reason.TIMEOUT))
    answers.answered(found(Source.STALE_CACHE))
    answers.answered(failed(Reason.NOT_FOUND))
    answers.answered(found(Source.API))
    answers.counted(None, Reason.DISABLED, 5)
    answers.counted(Source.CACHE, "NONE", 1000)
    clock.advance(60)
    answers.report()
    assert said.messages == [
        "a lookup ended as TIMEOUT (no answer)",
        "a lookup ended as STALE_CACHE",
        "a lookup ended as DISABLED",
        "lookups ended as TIMEOUT: 2 more in a minute",
        "lookups ended as DISABLED: 4 more in a minute",
    ]
    line: Any = said.records[0]
    about = (line.lookup_id, line.basket_id, line.trace_id)
    assert about == ("l1", "b1", "0af7651916cd43dd8448eb211c80319c")


def test_at_debug_each_answer_has_a_line_with_a_masked_identifier(
    said: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    said.set_level(logging.DEBUG)
    answers = AnswerLog(clock)
    answers.each(found(Source.API))
    others = answers.hits([1, 2, 3, 4], iter([2, 4]), lambda number: asked(f"CARD_{number}00000"))
    assert list(others) == [2, 4]
    assert said.messages == [
        "+1******890: API in 7 ms",
        "CA******000: CACHE",
        "CA******000: CACHE",
    ]


def test_at_debug_each_event_that_is_taken_has_a_line(said: pytest.LogCaptureFixture) -> None:
    trace = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    records = [SimpleNamespace(offset=n, headers=(trace,)) for n in (7, 8)]
    event_log.tell("baskets", TP("events", 3), records, {8})
    assert said.messages == []
    said.set_level(logging.DEBUG)
    event_log.tell("baskets", TP("events", 3), records, {8})
    assert said.messages == ["events/3/7: done at once", "events/3/8: begun"]
    line: Any = said.records[0]
    assert (line.plugin, line.trace_id) == ("baskets", "0af7651916cd43dd8448eb211c80319c")


def test_brokers_that_go_and_come_back_are_told_once(
    said: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    watch = BrokerWatch(["one:9092"], clock)
    watch.take(["one:9092", "two:9092"])
    watch.take(["one:9092"])
    assert (watch.count, watch.warnings) == (1, ["the broker two:9092 is away"])
    clock.advance(20)
    watch.take(["one:9092", "two:9092"])
    for _ in range(4):
        clock.advance(5)
        watch.miss("connection refused")
    assert (watch.count, watch.warnings) == (0, ["no broker answers: events wait"])
    watch.take(["one:9092", "two:9092"])
    assert said.messages == [
        "the broker two:9092 is away; 1 left",
        "the broker two:9092 is back after 20 s",
        "no broker has answered for 10 s (connection refused): events wait",
        "the brokers are back after 20 s",
    ]
    assert (watch.count, watch.warnings) == (2, [])


def test_a_broker_that_was_taken_out_is_forgotten_after_an_hour(clock: ManualClock) -> None:
    watch = BrokerWatch(["one:9092"], clock)
    watch.take(["one:9092", "two:9092"])
    clock.advance(3600)
    watch.take(["one:9092"])
    assert watch.warnings == []


def test_a_drill_says_when_it_begins_and_when_it_is_over(
    said: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    metrics: Any = SimpleNamespace(drill_active=SimpleNamespace(set_function=lambda _: None))

    async def publish(_: object) -> None:
        """The reader of the topic is not part of this test."""

    drills = OutageDrills(publish=publish, clock=clock, metrics=metrics)
    now_ms = clock.now_ms()
    drill = Drill(
        fault=Fault.ERRORS,
        percent=50,
        started_at_ms=now_ms,
        ends_at_ms=now_ms + 60_000,
        started_by="anna",
    )
    drills.take(drill_record(drill).value)
    clock.advance(59)
    drills.look()
    assert said.messages == ["an outage drill runs: ERRORS in 50 % of the calls, by anna"]
    clock.advance(1)
    drills.look()
    drills.look()
    assert said.messages[1:] == ["the outage drill is over"]


def test_a_projection_in_trouble_is_told_once_and_that_it_goes_on(
    said: pytest.LogCaptureFixture,
) -> None:
    trouble = TroubleLog("baskets")
    for _ in range(3):
        trouble.failed(RuntimeError("quotes a row"), 7)
    trouble.ended()
    assert said.messages == [
        "the read model did not take 7 events of baskets (RuntimeError); it tries again",
        "the read model takes events of baskets again, after 0 s",
    ]
