"""The directory with an outage drill before it, on a directory in memory."""

from dataclasses import dataclass, field

import pytest

from agents.customer_lookup.answers import AttemptOutcome, AttemptRequest
from agents.customer_lookup.drills.drill import Drill, Fault
from agents.customer_lookup.drills.drilled_directory import DrilledDirectory
from agents.customer_lookup.reasons import AttemptStatus, Reason
from tests.component.fakes import NOW_MS, FakeDirectory
from tests.manual_clock import ManualClock


@dataclass
class Call:
    """One call at a time; sleeping moves the clock."""

    drill: Drill | None
    directory: FakeDirectory = field(default_factory=FakeDirectory)
    clock: ManualClock = field(default_factory=ManualClock)
    chance: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    async def __call__(self, timeout_seconds: float = 5) -> AttemptOutcome:
        drilled = DrilledDirectory(
            directory=self.directory,
            running=lambda: self.drill,
            clock=self.clock,
            chance=lambda: self.chance,
            sleep=self.sleep,
        )
        return await drilled.attempt(AttemptRequest("+49", "http://crm/", timeout_seconds, 2))


def a_drill(fault: Fault, percent: int = 50, milliseconds: int = 0) -> Drill:
    return Drill(
        fault=fault,
        percent=percent,
        milliseconds=milliseconds,
        started_at_ms=0,
        ends_at_ms=NOW_MS * 2,
        started_by="anna",
    )


async def test_without_a_drill_the_directory_answers_unmarked() -> None:
    call = Call(None)
    outcome = await call()
    assert outcome.customer is not None
    assert outcome.attempt.error_message is None
    assert call.slept == []


async def test_a_call_that_is_not_struck_is_as_ever() -> None:
    call = Call(a_drill(Fault.ERRORS), chance=0.5)
    assert (await call()).customer is not None
    assert call.directory.calls == ["+49"]


async def test_a_struck_call_fails_without_asking_and_says_why() -> None:
    call = Call(a_drill(Fault.ERRORS), chance=0.49)
    outcome = await call()
    assert (outcome.customer, outcome.reason) == (None, Reason.API_ERROR)
    assert (outcome.retryable, outcome.healthy) == (True, False)
    assert outcome.attempt.status is AttemptStatus.FAILED
    assert (outcome.attempt.number, outcome.attempt.http_status) == (2, 503)
    assert outcome.attempt.error_message == "drill: HTTP status 503"
    assert call.directory.calls == []


@pytest.mark.parametrize("drill", [a_drill(Fault.TIMEOUTS), a_drill(Fault.LATENCY, 50, 5000)])
async def test_a_timeout_takes_as_long_as_a_real_one(drill: Drill) -> None:
    call = Call(drill)
    outcome = await call(timeout_seconds=5)
    assert (outcome.reason, outcome.healthy) == (Reason.TIMEOUT, False)
    assert outcome.attempt.status is AttemptStatus.TIMEOUT
    assert outcome.attempt.duration_ms == 5000
    assert outcome.attempt.error_message == "drill: no answer within 5 s"
    assert (call.slept, call.directory.calls) == ([5], [])


async def test_latency_is_a_part_of_the_call_and_of_its_time_limit() -> None:
    given: list[float] = []

    class Noting(FakeDirectory):
        async def attempt(self, asked: AttemptRequest) -> AttemptOutcome:
            given.append(asked.timeout_seconds)
            return await super().attempt(asked)

    call = Call(a_drill(Fault.LATENCY, 50, 2000), directory=Noting())
    outcome = await call(timeout_seconds=5)
    assert outcome.customer is not None
    assert outcome.attempt.duration_ms == 2000
    assert outcome.attempt.error_message == "drill: 2 s late"
    assert given == [3]


async def test_a_late_failure_keeps_its_own_cause() -> None:
    directory = FakeDirectory(outcome=lambda _: (None, Reason.API_ERROR))
    call = Call(a_drill(Fault.LATENCY, 50, 100), directory=directory)
    outcome = await call()
    assert outcome.reason is Reason.API_ERROR
    assert outcome.attempt.error_message == "drill: 0.1 s late; API_ERROR"
