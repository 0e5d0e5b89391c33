"""A call to the directory under the rules that spare it: breaker, bulkhead, budget."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from agents.customer_lookup.answers import Attempt, DirectoryAnswer
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import DirectoryCall
from agents.customer_lookup.reasons import Reason
from posstream.domain.customer import Customer
from posstream.resilience.breaker import State
from posstream.resilience.demand import Demand
from posstream.resilience.retry import Backoff
from tests.component.fakes import FakeDirectory, a_customer
from tests.lookup_metrics import RegisteredMetrics
from tests.manual_clock import ManualClock

ENDPOINT = "http://directory/"
Outcome = tuple[Customer | None, Reason | None]


def always(reason: Reason) -> Callable[[str], Outcome]:
    return lambda _: (None, reason)


def found(identifier: str) -> Outcome:
    return a_customer(identifier), None


class Bench:
    """Calls to a directory in memory, on a clock that the test moves."""

    def __init__(self, *, backoff: Backoff | None = None, **configuration: Any) -> None:
        self.clock = ManualClock()
        self.directory = FakeDirectory(clock=self.clock)
        self.metrics = RegisteredMetrics()
        self.noted: list[Attempt] = []
        self.plan = LookupConfiguration(api_endpoint=ENDPOINT, **configuration)
        self.call = DirectoryCall(
            self.directory,
            clock=self.clock,
            metrics=self.metrics,
            backoff=backoff or Backoff(base_seconds=0),
        )

    async def ask(self, plan: LookupConfiguration | None = None) -> DirectoryAnswer:
        demand = Demand()
        demand.add(self.clock.monotonic() + (plan or self.plan).deadline_seconds)
        return await self.call("+1", lambda: plan or self.plan, self._note, demand)

    async def ask_in_turn(self, times: int) -> list[DirectoryAnswer]:
        return [await self.ask() for _ in range(times)]

    def ask_at_once(self, times: int) -> list[asyncio.Task[DirectoryAnswer]]:
        return [asyncio.create_task(self.ask()) for _ in range(times)]

    async def _note(self, attempt: Attempt) -> None:
        self.noted.append(attempt)

    @property
    def state(self) -> State:
        return self.call.breaker(ENDPOINT).state

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"posstream_{name}", labels) or 0

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110 - it waits for anything
                await asyncio.sleep(0)


def reasons(answers: list[DirectoryAnswer]) -> Counter[Reason | None]:
    return Counter(answer.reason for answer in answers)


# -- attempts


async def test_a_customer_is_found_at_the_first_attempt() -> None:
    bench = Bench()
    answer = await bench.ask()
    assert answer.customer == a_customer("+1")
    assert (answer.reason, len(answer.attempts)) == (None, 1)


async def test_a_passing_trouble_is_tried_again() -> None:
    bench = Bench(retry_attempts=3)
    outcomes = iter([(None, Reason.API_ERROR), (None, Reason.TIMEOUT), found("+1")])
    bench.directory.outcome = lambda _: next(outcomes)
    answer = await bench.ask()
    assert answer.customer == a_customer("+1")
    assert [attempt.number for attempt in answer.attempts] == [1, 2, 3]
    assert list(answer.attempts) == bench.noted


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_the_first_attempt_counts_among_the_configured_ones(attempts: int) -> None:
    bench = Bench(retry_attempts=attempts)
    bench.directory.outcome = always(Reason.API_ERROR)
    answer = await bench.ask()
    assert answer.reason is Reason.API_ERROR
    assert len(answer.attempts) == len(bench.directory.calls) == attempts


@pytest.mark.parametrize("reason", [Reason.NOT_FOUND, Reason.INVALID_RESPONSE])
async def test_what_another_attempt_cannot_cure_is_final(reason: Reason) -> None:
    bench = Bench(retry_attempts=5)
    bench.directory.outcome = always(reason)
    answer = await bench.ask()
    assert (answer.reason, len(answer.attempts)) == (reason, 1)


async def test_a_pause_that_would_pass_the_deadline_is_not_begun() -> None:
    an_hour = Backoff(base_seconds=3600, cap_seconds=3600, uniform=lambda _, high: high)
    bench = Bench(backoff=an_hour, retry_attempts=5, deadline_seconds=12)
    bench.directory.outcome = always(Reason.API_ERROR)
    async with asyncio.timeout(10):
        answer = await bench.ask()
    assert (answer.reason, len(answer.attempts)) == (Reason.API_ERROR, 1)
    assert answer.error_message == (
        "API_ERROR; not tried again: the deadline would pass before another attempt"
    )


# -- the breaker


async def test_unknown_identifiers_never_open_the_breaker() -> None:
    bench = Bench()
    bench.directory.outcome = always(Reason.NOT_FOUND)
    answers = await bench.ask_in_turn(200)
    assert reasons(answers) == {Reason.NOT_FOUND: 200}
    assert len(bench.directory.calls) == 200
    assert bench.state is State.CLOSED


@pytest.mark.parametrize("reason", [Reason.API_ERROR, Reason.TIMEOUT, Reason.INVALID_RESPONSE])
async def test_after_ten_failures_the_directory_is_left_alone(reason: Reason) -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(reason)
    answers = await bench.ask_in_turn(100)
    assert reasons(answers) == {reason: 10, Reason.CIRCUIT_OPEN: 90}
    assert len(bench.directory.calls) == 10
    assert answers[-1].attempts == ()


async def test_after_fifteen_seconds_only_three_probes_reach_the_directory() -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(10)
    bench.clock.advance(15)
    bench.directory.gate = asyncio.Event()
    asked = bench.ask_at_once(20)
    await bench.until(lambda: sum(task.done() for task in asked) == 17)
    assert len(bench.directory.calls) == 13
    bench.directory.gate.set()
    answers = await asyncio.gather(*asked)
    assert reasons(answers) == {Reason.API_ERROR: 3, Reason.CIRCUIT_OPEN: 17}
    assert reasons(await bench.ask_in_turn(20)) == {Reason.CIRCUIT_OPEN: 20}
    assert len(bench.directory.calls) == 13


async def test_in_an_outage_of_ten_minutes_only_probes_reach_the_directory() -> None:
    bench = Bench(retry_attempts=2)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(10)
    before = len(bench.directory.calls)
    for _ in range(600):
        bench.clock.advance(1)
        await asyncio.gather(*bench.ask_at_once(5))
    assert 40 <= len(bench.directory.calls) - before <= 40 * 3


async def test_a_probe_that_succeeds_lets_everyone_through_again() -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(10)
    bench.directory.outcome = found
    bench.clock.advance(15)
    assert reasons(await bench.ask_in_turn(100)) == {None: 100}
    assert bench.state is State.CLOSED


async def test_a_lookup_whose_second_attempt_finds_the_breaker_open_ends_with_its_first() -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(Reason.TIMEOUT)
    await bench.ask_in_turn(9)
    answer = await bench.ask(structs.replace(bench.plan, retry_attempts=2))
    assert bench.state is State.OPEN
    assert (answer.reason, len(answer.attempts)) == (Reason.TIMEOUT, 1)
    assert len(bench.directory.calls) == 10
    assert answer.error_message == "TIMEOUT; not tried again: the circuit breaker is open"
    assert bench.noted[-1].error_message == answer.error_message, "the audit says it, too"


async def test_a_cancelled_probe_gives_both_its_places_back() -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(10)
    bench.clock.advance(15)
    bench.directory.gate = asyncio.Event()
    for calls in (13, 16):
        probes = bench.ask_at_once(3)
        await bench.until(lambda calls=calls: len(bench.directory.calls) == calls)
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
    assert bench.state is State.HALF_OPEN
    assert bench.counted("api_calls_in_flight") == 0


async def test_a_new_endpoint_gets_a_new_closed_breaker() -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(10)
    assert bench.counted("breaker_state") == State.OPEN.value
    bench.directory.outcome = found
    moved = structs.replace(bench.plan, api_endpoint="http://other/")
    assert (await bench.ask(moved)).customer is not None
    assert bench.call.breaker("http://other/").state is State.CLOSED
    assert bench.counted("breaker_state") == State.CLOSED.value


@pytest.mark.parametrize("hold", ["open", "close"])
async def test_a_breaker_that_is_held_by_hand_is_held_for_a_new_endpoint(hold: str) -> None:
    bench = Bench()
    before = bench.call.breaker(ENDPOINT)
    getattr(before, hold)()
    after = bench.call.breaker("http://other/")
    assert after is not before
    assert (after.held, after.state) == (True, before.state)


async def test_another_version_with_the_same_endpoint_keeps_the_breaker() -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(10)
    edited = structs.replace(bench.plan, version=2, timeout_seconds=1)
    assert (await bench.ask(edited)).reason is Reason.CIRCUIT_OPEN


# -- the bulkhead


async def test_never_more_calls_than_configured_are_in_flight_for_a_thousand_callers() -> None:
    bench = Bench(max_concurrent_lookups=100)
    answers = await asyncio.gather(*bench.ask_at_once(1000))
    assert reasons(answers) == {None: 1000}
    assert (len(bench.directory.calls), bench.directory.most_at_once) == (1000, 100)


async def test_4_000_callers_at_once_are_all_served_while_there_is_time() -> None:
    bench = Bench(max_concurrent_lookups=100)
    answers = await served(bench, 4000, seconds=0.05)
    assert reasons(answers) == {None: 4000}
    assert bench.directory.most_at_once == 100


async def test_a_slow_directory_serves_as_many_as_it_can_and_the_others_are_told_in_time() -> None:
    bench = Bench(max_concurrent_lookups=100, timeout_seconds=60)
    answers = await served(bench, 4000, seconds=5)
    assert reasons(answers) == {None: 200, Reason.OVERLOADED: 3800}
    assert {it.attempts for it in answers if it.reason is Reason.OVERLOADED} == {()}
    assert bench.clock.monotonic() <= bench.plan.deadline_seconds


async def test_a_raised_limit_lets_those_who_wait_in_at_once() -> None:
    bench = Bench(max_concurrent_lookups=1)
    bench.directory.gate = asyncio.Event()
    asked = bench.ask_at_once(10)
    await bench.until(lambda: len(bench.directory.calls) == 1)
    bench.call.follow(structs.replace(bench.plan, max_concurrent_lookups=10))
    await bench.until(lambda: len(bench.directory.calls) == 10)
    bench.directory.gate.set()
    assert reasons(await asyncio.gather(*asked)) == {None: 10}


async def test_whoever_waited_for_a_place_goes_by_the_configuration_of_that_moment() -> None:
    bench = Bench(max_concurrent_lookups=1)
    bench.directory.gate = asyncio.Event()
    asked = bench.ask_at_once(2)
    await bench.until(lambda: len(bench.directory.calls) == 1)
    bench.plan = structs.replace(bench.plan, api_endpoint="http://other/")
    bench.directory.gate.set()
    first, second = await asyncio.gather(*asked)
    endpoints = [answer.attempts[0].api_endpoint for answer in (first, second)]
    assert endpoints == [ENDPOINT, "http://other/"]


async def served(bench: Bench, callers: int, *, seconds: float) -> list[DirectoryAnswer]:
    """What callers who come at once hear of a directory each of whose answers takes so long."""
    directory = bench.directory
    directory.gate = asyncio.Event()
    asked = bench.ask_at_once(callers)
    while True:
        for _ in range(10):  # until nobody has anything more to do
            await asyncio.sleep(0)
        if all(task.done() for task in asked):
            return [task.result() for task in asked]
        gate, directory.gate = directory.gate, asyncio.Event()
        bench.clock.advance(seconds)
        gate.set()


async def test_whoever_waits_until_the_deadline_is_answered_overloaded() -> None:
    bench = Bench(max_concurrent_lookups=1)
    bench.directory.gate = asyncio.Event()
    (holder,) = bench.ask_at_once(1)
    await bench.until(lambda: len(bench.directory.calls) == 1)
    answer = await bench.ask(structs.replace(bench.plan, deadline_seconds=0.005))
    assert (answer.reason, answer.attempts) == (Reason.OVERLOADED, ())
    bench.directory.gate.set()
    assert (await holder).customer is not None


async def test_nobody_queues_for_a_directory_that_is_left_alone() -> None:
    bench = Bench(max_concurrent_lookups=1)
    bench.directory.gate = asyncio.Event()
    (holder,) = bench.ask_at_once(1)
    await bench.until(lambda: len(bench.directory.calls) == 1)
    bench.call.breaker(ENDPOINT).open()
    (late,) = bench.ask_at_once(1)
    await asyncio.sleep(0)
    assert late.done()
    assert (await late).reason is Reason.CIRCUIT_OPEN
    bench.directory.gate.set()
    assert (await holder).customer is not None


async def test_whoever_queued_before_the_breaker_opened_is_spared_the_directory() -> None:
    bench = Bench(max_concurrent_lookups=1)
    bench.directory.gate = asyncio.Event()
    holder, queued = bench.ask_at_once(2)
    await bench.until(lambda: len(bench.directory.calls) == 1)
    bench.call.breaker(ENDPOINT).open()
    bench.directory.gate.set()
    assert (await holder).customer is not None
    assert (await queued).reason is Reason.CIRCUIT_OPEN
    assert len(bench.directory.calls) == 1


async def test_an_overload_is_no_failure_of_the_directory() -> None:
    bench = Bench(max_concurrent_lookups=1)
    answers = await served(bench, 100, seconds=3)
    assert reasons(answers)[Reason.OVERLOADED] > 90
    assert bench.state is State.CLOSED


async def test_it_is_idle_only_while_the_breaker_is_closed_and_half_the_places_are_free() -> None:
    bench = Bench(max_concurrent_lookups=4, retry_attempts=1)
    assert bench.call.idle(bench.plan)
    bench.directory.gate = asyncio.Event()
    asked = bench.ask_at_once(2)
    await bench.until(lambda: len(bench.directory.calls) == 2)
    assert not bench.call.idle(bench.plan)
    bench.directory.gate.set()
    await asyncio.gather(*asked)
    assert bench.call.idle(bench.plan)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(20)
    assert not bench.call.idle(bench.plan)
    bench.clock.advance(15)
    assert not bench.call.idle(bench.plan), "probes are for those who wait"


# -- the budget


@pytest.mark.parametrize("attempts", [2, 10])
async def test_in_an_outage_extra_attempts_stay_within_the_budget(attempts: int) -> None:
    bench = Bench(retry_attempts=attempts)
    bench.call.breaker(ENDPOINT).close()  # else it would open and spare the directory all of it
    bench.directory.outcome = always(Reason.API_ERROR)
    answers = await bench.ask_in_turn(1000)
    assert reasons(answers) == {Reason.API_ERROR: 1000}
    extra = len(bench.directory.calls) - 1000
    assert 195 <= extra <= 205
    assert bench.counted("retries_total", outcome="made") == extra


BUDGET = "the retry budget is used up, because too many lookups failed lately"


async def test_an_answer_and_its_audit_say_that_the_budget_ended_the_attempts() -> None:
    bench = Bench(retry_attempts=10)
    bench.call.breaker(ENDPOINT).close()
    bench.directory.outcome = always(Reason.API_ERROR)
    answer = await bench.ask()
    assert (answer.reason, len(answer.attempts)) == (Reason.API_ERROR, 6)
    assert answer.error_message == f"API_ERROR; not tried again: {BUDGET}"
    assert [it.error_message for it in bench.noted] == ["API_ERROR"] * 5 + [answer.error_message]


@pytest.mark.parametrize("reason", [Reason.API_ERROR, Reason.NOT_FOUND, Reason.INVALID_RESPONSE])
async def test_an_answer_after_all_attempts_or_a_final_one_is_the_directory_s_alone(
    reason: Reason,
) -> None:
    bench = Bench(retry_attempts=2)
    bench.directory.outcome = always(reason)
    assert (await bench.ask()).error_message == reason


async def test_a_breaker_that_opens_in_the_pause_before_a_retry_is_named_in_the_answer() -> None:
    bench = Bench(retry_attempts=2)
    bench.directory.outcome = always(Reason.API_ERROR)
    (asked,) = bench.ask_at_once(1)
    await bench.until(lambda: len(bench.noted) == 1)
    bench.call.breaker(ENDPOINT).open()
    answer = await asked
    assert answer.error_message == "API_ERROR; not tried again: the circuit breaker is open"


async def test_the_log_says_once_a_minute_what_ends_the_attempts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(retry_attempts=10)
    bench.call.breaker(ENDPOINT).close()
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(100)
    line = f"failed lookups are not tried again: {BUDGET}"
    assert caplog.messages == [line]
    bench.clock.advance(60)
    await bench.ask_in_turn(100)
    assert caplog.messages == [line, line]


# -- what it counts


async def test_attempts_are_counted_by_how_they_ended() -> None:
    bench = Bench(retry_attempts=1)
    for outcome in (found, always(Reason.NOT_FOUND), found, always(Reason.API_ERROR)):
        bench.directory.outcome = outcome
        await bench.ask()
    by_status = {
        status: bench.counted("api_calls_total", status=status)
        for status in ("SUCCESS", "NOT_FOUND", "FAILED")
    }
    assert by_status == {"SUCCESS": 2, "NOT_FOUND": 1, "FAILED": 1}
    assert bench.counted("api_call_seconds_count") == 4


async def test_the_gauge_of_the_breaker_follows_it_and_openings_are_counted() -> None:
    bench = Bench(retry_attempts=1)

    def shown() -> tuple[float, float]:
        return bench.counted("breaker_state"), bench.counted("breaker_opened_total")

    await bench.ask()
    assert shown() == (0, 0)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(10)
    assert shown() == (2, 1)
    bench.clock.advance(15)
    bench.directory.gate = asyncio.Event()
    before = len(bench.directory.calls)
    (probe,) = bench.ask_at_once(1)
    await bench.until(lambda: len(bench.directory.calls) == before + 1)
    assert shown() == (1, 1)
    bench.directory.gate.set()
    await probe
    assert shown() == (2, 2)
    bench.directory.outcome = found
    bench.clock.advance(15)
    await bench.ask()
    assert shown() == (0, 2)


async def test_who_is_inside_and_who_waits_is_shown() -> None:
    bench = Bench(max_concurrent_lookups=3)
    bench.directory.gate = asyncio.Event()
    asked = bench.ask_at_once(10)
    await bench.until(lambda: len(bench.directory.calls) == 3)
    shown = bench.counted("api_calls_in_flight"), bench.counted("api_calls_queued")
    assert shown == (3, 7)
    bench.directory.gate.set()
    await asyncio.gather(*asked)
    shown = bench.counted("api_calls_in_flight"), bench.counted("api_calls_queued")
    assert shown == (0, 0)


async def test_retries_that_the_budget_refuses_are_counted() -> None:
    bench = Bench(retry_attempts=10)
    bench.call.breaker(ENDPOINT).close()
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask()
    assert bench.counted("retries_total", outcome="made") == 5
    assert bench.counted("retries_total", outcome="refused") == 1


async def test_a_retry_that_the_breaker_refuses_is_not_counted_as_made() -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(Reason.API_ERROR)
    await bench.ask_in_turn(9)
    await bench.ask(structs.replace(bench.plan, retry_attempts=2))
    assert len(bench.directory.calls) == 10
    assert bench.counted("retries_total", outcome="made") == 0


async def test_late_failures_of_a_former_endpoint_do_not_show_as_an_open_breaker() -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = always(Reason.API_ERROR)
    bench.directory.gate = asyncio.Event()
    late = bench.ask_at_once(10)
    await bench.until(lambda: len(bench.directory.calls) == 10)
    assert bench.call.breaker("http://other/").state is State.CLOSED
    bench.directory.gate.set()
    await asyncio.gather(*late)
    assert bench.counted("breaker_state") == State.CLOSED.value
    assert bench.counted("breaker_opened_total") == 0
