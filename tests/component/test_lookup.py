"""The use case: refresh ahead, forgetting, the stale window, and what is never cached."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from msgspec import structs

from agents.customer_lookup.answers import CustomerFound, Identification, LookupAnswer, LookupFailed
from agents.customer_lookup.cache_commands import Refresh
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import DirectoryCall
from agents.customer_lookup.events.writing import answered
from agents.customer_lookup.lookup import Answered, CustomerLookup
from agents.customer_lookup.reasons import Reason, Source
from posstream.configuration.current import CurrentConfiguration
from posstream.domain.customer import Customer
from posstream.domain.times import iso_utc_ms
from posstream.json.reading import read_json_exactly
from posstream.resilience.retry import Backoff
from tables.freshness import CacheEntry
from tests.component.fakes import FakeCache, FakeDirectory, FakePublisher
from tests.lookup_metrics import RegisteredMetrics
from tests.manual_clock import ManualClock

ENDPOINT = "http://directory/"
#: Of the default windows, in seconds.
FRESH, STALE = 3600, 86_400
HOT = FRESH - 60


def failing(reason: Reason) -> Callable[[str], tuple[Customer | None, Reason | None]]:
    return lambda _: (None, reason)


class Bench:
    """The use case with its surroundings in memory, on a clock that the test moves."""

    def __init__(self, *, refresh_ahead: bool = True, **configuration: Any) -> None:
        self.clock = ManualClock()
        self.metrics = RegisteredMetrics()
        self.cache = FakeCache()
        self.directory = FakeDirectory(clock=self.clock)
        self.others: list[asyncio.Task[LookupAnswer]] = []
        plan = LookupConfiguration(api_endpoint=ENDPOINT, **configuration)
        self.configuration = CurrentConfiguration(plan)
        self.call = DirectoryCall(
            self.directory,
            clock=self.clock,
            metrics=self.metrics,
            backoff=Backoff(base_seconds=0),
        )
        self.publisher = FakePublisher()
        self.lookup = CustomerLookup(
            call=self.call,
            configuration=self.configuration,
            publisher=self.publisher,
            clock=self.clock,
            metrics=self.metrics,
            refreshes_ahead=refresh_ahead,
        )

    def hit(self, identifier: str = "+1") -> LookupAnswer | None:
        return self.lookup.at_once(asked(identifier), self.cache)

    async def ask(self, identifier: str = "+1", *, used_seconds: float = 0) -> LookupAnswer:
        """One event's answer, for which it has waited so long already."""
        consumed_at = self.clock.monotonic() - used_seconds
        answered = await self.lookup.lookup(asked(identifier), self.cache, consumed_at=consumed_at)
        return answered.answer

    async def asking(self, identifier: str = "+1") -> asyncio.Task[LookupAnswer]:
        """An event whose call is under way until the gate opens."""
        self.directory.gate = self.directory.gate or asyncio.Event()
        calls = len(self.directory.calls)
        task = asyncio.create_task(self.ask(identifier))
        await self.until(lambda: len(self.directory.calls) == calls + 1)
        return task

    def open_gate(self) -> None:
        assert self.directory.gate is not None
        self.directory.gate.set()

    async def end(self) -> None:
        """Let whatever is under way come to its end."""
        if self.directory.gate is not None:
            self.directory.gate.set()
        await asyncio.gather(*self.others)
        await self.lookup.drain()

    def edit(self, **changes: Any) -> None:
        """Put another configuration in force."""
        self.configuration.value = structs.replace(self.configuration.value, **changes)

    async def known(self, *, age: float) -> CacheEntry:
        """The entry of a customer who was fetched so many seconds ago."""
        await self.ask()
        self.clock.advance(age)
        self.directory.calls.clear()
        return self.cache.entries["+1"]

    def refreshes(self, outcome: str) -> float:
        labels = {"outcome": outcome}
        name = "posstream_refreshes_ahead_total"
        return self.metrics.registry.get_sample_value(name, labels) or 0

    def queued(self) -> float | None:
        return self.metrics.registry.get_sample_value("posstream_api_calls_queued")

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110 - it waits for anything
                await asyncio.sleep(0)


def asked(identifier: str) -> Identification:
    return Identification("lookup", "basket", identifier, kind=None, identified_at_ms=0)


def named(*customer_ids: str) -> Callable[[str], tuple[Customer | None, Reason | None]]:
    """A directory that answers each call with the next of these customers."""
    ids = iter(customer_ids)
    return lambda _: (Customer(next(ids)), None)


def customer_id(entry: CacheEntry | CustomerFound) -> str:
    assert entry.document is not None
    return str(orjson.loads(entry.document)["customer_id"])


# -- refresh by hand


async def test_a_refresh_asks_whatever_the_cache_has_and_keeps_the_answer() -> None:
    bench = Bench()
    bench.directory.outcome = named("old", "new")
    await bench.known(age=1)
    bench.lookup.refresh(Refresh("+1", "by-hand"), bench.cache)
    await bench.lookup.drain()
    assert bench.directory.calls == ["+1"]
    assert customer_id(bench.cache.entries["+1"]) == "new"
    audit = orjson.loads(bench.publisher.records[-1].value or b"")
    said = (audit["lookup_id"], audit["identifier_kind"], audit["status"])
    assert said == ("by-hand", "PHONE", "SUCCESS")
    assert "basket_id" not in audit, "nobody scanned"


async def test_a_refresh_that_fails_leaves_the_entry_as_it_is() -> None:
    bench = Bench()
    old = await bench.known(age=1)
    bench.directory.outcome = failing(Reason.API_ERROR)
    bench.lookup.refresh(Refresh("+1", "by-hand"), bench.cache)
    await bench.lookup.drain()
    assert len(bench.directory.calls) == 2, "it is tried as often as a lookup is"
    assert bench.cache.entries == {"+1": old}


async def test_a_refresh_shares_the_call_that_is_under_way() -> None:
    bench = Bench()
    waiting = await bench.asking()
    bench.lookup.refresh(Refresh("+1", "by-hand"), bench.cache)
    assert bench.directory.gate is not None
    bench.directory.gate.set()
    assert isinstance(await waiting, CustomerFound)
    await bench.lookup.drain()
    assert bench.directory.calls == ["+1"]


async def test_nothing_is_refreshed_while_the_plugin_is_switched_off() -> None:
    bench = Bench(enabled=False)
    bench.lookup.refresh(Refresh("+1", "by-hand"), bench.cache)
    await bench.lookup.drain()
    assert bench.directory.calls == []


# -- refresh ahead


async def test_a_hot_entry_near_its_end_is_answered_at_once_and_fetched_anew_meanwhile() -> None:
    bench = Bench()
    old = await bench.known(age=HOT)
    answer = bench.hit()
    assert isinstance(answer, CustomerFound)
    assert (answer.source, answer.fetched_at_ms) == (Source.CACHE, old.fetched_at_ms)
    assert (answer.age_ms, answer.attempts) == (HOT * 1000, 0)
    assert bench.directory.calls == [], "the answer did not wait for the call"
    await bench.lookup.drain()
    assert bench.directory.calls == ["+1"]
    assert bench.cache.entries["+1"].fetched_at_ms == bench.clock.now_ms()
    assert bench.refreshes("refreshed") == 1


async def test_a_hot_key_never_waits_while_it_is_scanned_every_minute() -> None:
    bench = Bench()
    await bench.known(age=0)
    for _ in range(24 * 60):
        bench.clock.advance(60)
        answer = bench.hit()
        assert answer is not None
        await bench.lookup.drain()
    assert 24 <= len(bench.directory.calls) <= 24 * 1.25 + 1


@pytest.mark.parametrize("age", [0, 1, FRESH / 2 - 1])
async def test_an_entry_in_the_first_half_of_its_window_is_left_alone(age: float) -> None:
    bench = Bench()
    old = await bench.known(age=age)
    assert bench.hit() is not None
    await bench.lookup.drain()
    assert bench.directory.calls == []
    assert bench.cache.entries == {"+1": old}


async def test_nothing_is_refreshed_if_it_is_switched_off() -> None:
    bench = Bench(refresh_ahead=False)
    old = await bench.known(age=HOT)
    assert bench.hit() is not None
    await bench.lookup.drain()
    assert bench.directory.calls == []
    assert bench.cache.entries == {"+1": old}


async def test_nothing_is_refreshed_while_the_breaker_is_open() -> None:
    bench = Bench()
    old = await bench.known(age=HOT)
    bench.call.breaker(ENDPOINT).open()
    answer = bench.hit()
    assert isinstance(answer, CustomerFound)
    assert answer.source is Source.CACHE
    await bench.lookup.drain()
    assert bench.directory.calls == []
    assert bench.cache.entries == {"+1": old}
    assert bench.refreshes("skipped") == 1


async def test_nothing_is_refreshed_while_half_the_places_are_taken() -> None:
    bench = Bench(max_concurrent_lookups=2)
    await bench.known(age=HOT)
    waiting = await bench.asking("+2")
    assert bench.hit() is not None
    assert bench.refreshes("skipped") == 1
    bench.open_gate()
    await waiting
    await bench.lookup.drain()
    assert bench.directory.calls == ["+2"]


async def test_many_hits_at_once_make_one_call() -> None:
    bench = Bench()
    await bench.known(age=HOT)
    assert None not in [bench.hit() for _ in range(100)]
    await bench.lookup.drain()
    assert bench.directory.calls == ["+1"]
    assert bench.hit() is not None
    await bench.lookup.drain()
    assert bench.directory.calls == ["+1"], "the new entry is not due"


async def test_hits_during_a_refresh_do_not_count_as_waiting_for_it() -> None:
    bench = Bench()
    await bench.known(age=HOT)
    assert None not in [bench.hit() for _ in range(10)]
    await bench.lookup.drain()
    assert bench.publisher.value(-1)["waiters"] == 0


@pytest.mark.parametrize("reason", [Reason.API_ERROR, Reason.TIMEOUT, Reason.INVALID_RESPONSE])
async def test_a_refresh_that_fails_leaves_the_entry_and_is_tried_once(reason: Reason) -> None:
    bench = Bench(retry_attempts=5)
    old = await bench.known(age=HOT)
    bench.directory.outcome = failing(reason)
    assert bench.hit() is not None
    await bench.lookup.drain()
    assert bench.directory.calls == ["+1"]
    assert bench.cache.entries == {"+1": old}
    assert bench.refreshes("failed") == 1
    answer = bench.hit()
    assert isinstance(answer, CustomerFound)
    assert answer.fetched_at_ms == old.fetched_at_ms


async def test_a_customer_whom_the_directory_no_longer_knows_is_forgotten_by_a_refresh() -> None:
    bench = Bench()
    await bench.known(age=HOT)
    bench.directory.outcome = failing(Reason.NOT_FOUND)
    assert isinstance(bench.hit(), CustomerFound)
    await bench.lookup.drain()
    answer = bench.hit()
    assert isinstance(answer, LookupFailed)
    assert answer.reason is Reason.NOT_FOUND


async def test_an_event_whose_entry_ends_during_a_refresh_shares_its_call() -> None:
    bench = Bench()
    await bench.known(age=HOT)
    bench.directory.gate = asyncio.Event()
    assert bench.hit() is not None
    await bench.until(lambda: bench.directory.calls == ["+1"])
    bench.clock.advance(FRESH)
    sharing = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    bench.open_gate()
    answer = await sharing
    assert isinstance(answer, CustomerFound)
    assert answer.source is Source.API
    assert bench.directory.calls == ["+1"]


async def test_a_remembered_unknown_is_not_refreshed_ahead() -> None:
    bench = Bench(negative_ttl_seconds=60)
    bench.directory.outcome = failing(Reason.NOT_FOUND)
    await bench.known(age=59)
    assert isinstance(bench.hit(), LookupFailed)
    await bench.lookup.drain()
    assert bench.directory.calls == []


# -- forgetting


async def test_an_answer_under_way_is_given_but_not_cached_once_its_key_is_forgotten() -> None:
    bench = Bench()
    waiting = await bench.asking()
    bench.lookup.forget("+1")
    bench.open_gate()
    answer = await waiting
    assert isinstance(answer, CustomerFound)
    assert answer.source is Source.API
    assert bench.cache.entries == {}


async def test_the_next_event_after_a_key_was_forgotten_makes_a_call_of_its_own() -> None:
    bench = Bench()
    bench.directory.outcome = named("before", "after")
    first = await bench.asking()
    bench.lookup.forget("+1")
    second = await bench.asking()
    bench.open_gate()
    before, after = await first, await second
    assert isinstance(before, CustomerFound)
    assert isinstance(after, CustomerFound)
    assert (customer_id(before), customer_id(after)) == ("before", "after")
    assert bench.directory.calls == ["+1", "+1"]
    assert customer_id(bench.cache.entries["+1"]) == "after"


async def test_an_unknown_under_way_is_not_remembered_once_its_key_is_forgotten() -> None:
    bench = Bench()
    bench.directory.outcome = failing(Reason.NOT_FOUND)
    waiting = await bench.asking()
    bench.lookup.forget("+1")
    bench.open_gate()
    assert isinstance(await waiting, LookupFailed)
    assert bench.cache.entries == {}


async def test_a_refresh_under_way_leaves_the_entry_once_its_key_is_forgotten() -> None:
    bench = Bench()
    old = await bench.known(age=HOT)
    bench.directory.gate = asyncio.Event()
    assert bench.hit() is not None
    await bench.until(lambda: bench.directory.calls == ["+1"])
    bench.lookup.forget("+1")
    bench.open_gate()
    await bench.lookup.drain()
    assert bench.cache.entries == {"+1": old}


async def test_a_forgotten_call_is_as_old_as_its_beginning_though_it_asks_again_later() -> None:
    bench = Bench()
    outcomes = [(None, Reason.API_ERROR), bench.directory.outcome("+1")]
    bench.directory.outcome = lambda _: outcomes.pop(0)
    began = bench.clock.now_ms()
    late = await bench.asking()
    bench.lookup.forget("+1")
    bench.clock.advance(2)
    bench.open_gate()
    answer = await late
    assert isinstance(answer, CustomerFound)
    assert (answer.attempts, answer.fetched_at_ms) == (2, began)
    logged = [bench.publisher.value(number) for number in range(2)]
    assert [value["attempt"] for value in logged] == [1, 2]
    assert {value["call_started_at"] for value in logged} == {iso_utc_ms(began)}
    assert logged[1]["request_timestamp"] == iso_utc_ms(began + 2000)


async def test_forgetting_one_key_leaves_the_call_of_another() -> None:
    bench = Bench()
    waiting = await bench.asking("+2")
    bench.lookup.forget("+1")
    bench.open_gate()
    await waiting
    assert set(bench.cache.entries) == {"+2"}


# -- troubles: each makes the next lookup of +1 end with its reason


async def the_api_fails(bench: Bench) -> None:
    bench.directory.outcome = failing(Reason.API_ERROR)


async def the_api_is_silent(bench: Bench) -> None:
    bench.directory.outcome = failing(Reason.TIMEOUT)


async def the_api_talks_nonsense(bench: Bench) -> None:
    bench.directory.outcome = failing(Reason.INVALID_RESPONSE)


async def the_breaker_is_open(bench: Bench) -> None:
    bench.call.breaker(ENDPOINT).open()


async def no_place_comes_free(bench: Bench) -> None:
    """Another call holds the one place that there is past the deadline."""
    bench.directory.gate = asyncio.Event()
    bench.others = [asyncio.create_task(bench.ask("+2"))]
    await bench.until(lambda: len(bench.directory.calls) == 1)
    bench.edit(deadline_seconds=0.01)


Trouble = Callable[[Bench], Awaitable[None]]
TROUBLES = [
    pytest.param(the_api_fails, Reason.API_ERROR, id="API_ERROR"),
    pytest.param(the_api_is_silent, Reason.TIMEOUT, id="TIMEOUT"),
    pytest.param(the_api_talks_nonsense, Reason.INVALID_RESPONSE, id="INVALID_RESPONSE"),
    pytest.param(the_breaker_is_open, Reason.CIRCUIT_OPEN, id="CIRCUIT_OPEN"),
    pytest.param(no_place_comes_free, Reason.OVERLOADED, id="OVERLOADED"),
]


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES)
async def test_a_failure_is_answered_with_its_reason_and_never_cached(
    trouble: Trouble, reason: Reason
) -> None:
    bench = Bench(max_concurrent_lookups=1)
    await trouble(bench)
    answer = await bench.ask()
    assert isinstance(answer, LookupFailed)
    assert answer.reason is reason
    # A call that waits for a place gives up by a timer of its own, maybe after the event's.
    await bench.until(lambda: bench.queued() == 0)
    await bench.end()
    assert "+1" not in bench.cache.entries
    assert bench.hit() is None


@pytest.mark.parametrize("reason", [Reason.API_ERROR, Reason.TIMEOUT, Reason.INVALID_RESPONSE])
async def test_the_event_after_a_failure_asks_the_directory_again(reason: Reason) -> None:
    bench = Bench(retry_attempts=1)
    bench.directory.outcome = failing(reason)
    await bench.ask()
    bench.directory.outcome = named("C")
    answer = await bench.ask()
    assert isinstance(answer, CustomerFound)
    assert (answer.source, bench.directory.calls) == (Source.API, ["+1", "+1"])


# -- the stale window


@pytest.mark.parametrize("age", [FRESH, STALE - 1])
@pytest.mark.parametrize(("trouble", "reason"), TROUBLES)
async def test_a_failure_falls_back_to_the_stale_entry(
    trouble: Trouble, reason: Reason, age: int
) -> None:
    bench = Bench(max_concurrent_lookups=1)
    old = await bench.known(age=age)
    await trouble(bench)
    answer = await bench.ask()
    assert isinstance(answer, CustomerFound)
    assert answer.source is Source.STALE_CACHE
    assert (answer.fetched_at_ms, answer.age_ms) == (old.fetched_at_ms, age * 1000)
    await bench.end()


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES)
async def test_with_the_fallback_off_a_failure_is_a_failure(
    trouble: Trouble, reason: Reason
) -> None:
    bench = Bench(max_concurrent_lookups=1, fallback_to_cache_on_error=False)
    await bench.known(age=FRESH)
    await trouble(bench)
    answer = await bench.ask()
    assert isinstance(answer, LookupFailed)
    assert answer.reason is reason
    await bench.end()


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES)
async def test_nothing_beyond_the_stale_window_is_served(trouble: Trouble, reason: Reason) -> None:
    bench = Bench(max_concurrent_lookups=1)
    await bench.known(age=STALE)
    await trouble(bench)
    answer = await bench.ask()
    assert isinstance(answer, LookupFailed)
    assert answer.reason is reason
    await bench.end()


async def test_an_event_whose_call_is_under_way_at_its_deadline_is_told_so() -> None:
    bench = Bench(max_concurrent_lookups=1, deadline_seconds=0.01)
    bench.directory.gate = asyncio.Event()
    under_way, waiting = await asyncio.gather(bench.ask("+1"), bench.ask("+2"))
    reasons = [it.reason for it in (under_way, waiting) if isinstance(it, LookupFailed)]
    assert reasons == [Reason.DEADLINE, Reason.OVERLOADED]
    await bench.end()
    assert bench.directory.calls == ["+1"], "nobody waits for the other any more"


async def test_an_answer_goes_by_the_configuration_that_is_in_force_when_it_leaves() -> None:
    bench = Bench()
    await bench.known(age=STALE - 1)
    task = await bench.asking()
    bench.edit(version=7, fallback_to_cache_on_error=False)
    bench.directory.outcome = failing(Reason.INVALID_RESPONSE)
    bench.open_gate()
    answer = await task
    assert isinstance(answer, LookupFailed)
    assert (answer.reason, answer.config_version) == (Reason.INVALID_RESPONSE, 7)


async def test_a_refresh_gives_way_to_events_and_an_event_that_joins_it_brings_it_forward() -> None:
    bench = Bench(max_concurrent_lookups=1)
    holder = await bench.asking("+1")
    for identifier in ("+2", "+3"):
        bench.lookup.refresh(Refresh(identifier, "by-hand"), bench.cache)
        await asyncio.sleep(0)
    others = [asyncio.create_task(bench.ask(identifier)) for identifier in ("+4", "+3")]
    await asyncio.sleep(0)
    bench.open_gate()
    await asyncio.gather(holder, *others)
    await bench.end()
    assert (bench.directory.calls[0], bench.directory.calls[-1]) == ("+1", "+2")
    assert sorted(bench.directory.calls) == ["+1", "+2", "+3", "+4"]


@pytest.mark.parametrize(
    ("fallback", "expected"), [(True, Source.STALE_CACHE), (False, Reason.DEADLINE)]
)
async def test_an_event_out_of_time_falls_back_too_if_it_may(
    expected: Source | Reason, *, fallback: bool
) -> None:
    bench = Bench(deadline_seconds=12, fallback_to_cache_on_error=fallback)
    await bench.known(age=FRESH)
    bench.directory.gate = asyncio.Event()
    answer = await bench.ask(used_seconds=13)
    assert (answer.source if isinstance(answer, CustomerFound) else answer.reason) is expected
    await bench.end()
    assert bench.cache.entries["+1"].fetched_at_ms == bench.clock.now_ms(), "the call went on"


async def test_a_stale_answer_is_never_stamped_fresh_again() -> None:
    bench = Bench(retry_attempts=1)
    old = await bench.known(age=FRESH)
    bench.directory.outcome = failing(Reason.API_ERROR)
    for calls in range(1, 5):
        assert bench.hit() is None
        answer = await bench.ask()
        assert isinstance(answer, CustomerFound)
        assert answer.source is Source.STALE_CACHE
        assert answer.fetched_at_ms == old.fetched_at_ms
        assert answer.fresh_until_ms == old.fetched_at_ms + FRESH * 1000
        assert bench.cache.entries == {"+1": old}
        assert len(bench.directory.calls) == calls, "each event tries the directory first"
        bench.clock.advance(60)


async def test_a_customer_fetched_again_takes_the_place_of_the_stale_entry() -> None:
    bench = Bench()
    await bench.known(age=FRESH)
    bench.directory.outcome = named("new")
    answer = await bench.ask()
    assert isinstance(answer, CustomerFound)
    assert (answer.source, customer_id(answer)) == (Source.API, "new")
    assert bench.cache.entries["+1"].fetched_at_ms == bench.clock.now_ms()


async def test_an_unknown_identifier_is_no_failure_and_takes_the_stale_entry_away() -> None:
    bench = Bench()
    await bench.known(age=FRESH)
    bench.directory.outcome = failing(Reason.NOT_FOUND)
    answer = await bench.ask()
    assert isinstance(answer, LookupFailed)
    assert answer.reason is Reason.NOT_FOUND
    assert bench.cache.entries["+1"].document is None


async def test_a_refresh_that_failed_is_not_tried_again_at_every_hit() -> None:
    bench = Bench()
    await bench.known(age=HOT)
    bench.directory.calls.clear()
    bench.directory.outcome = failing(Reason.INVALID_RESPONSE)
    for _ in range(20):
        await bench.ask()
        await bench.lookup.drain()
    assert len(bench.directory.calls) == 1


async def test_an_answer_is_as_old_as_its_question() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    asked_at_ms = bench.clock.now_ms()
    asking = asyncio.ensure_future(bench.ask())
    while not bench.directory.calls:  # noqa: ASYNC110
        await asyncio.sleep(0)
    bench.clock.advance(3)
    bench.directory.gate.set()
    await asking
    assert bench.cache.entries["+1"].fetched_at_ms == asked_at_ms


# -- what the directory sends and is sent


async def test_numbers_go_into_cache_answer_and_audit_as_they_were_sent() -> None:
    bench = Bench()
    numbers = b'{"a":12345678901234567890123,"b":10.10,"c":1e400}'
    bench.directory.outcome = lambda _: (
        Customer("C", attributes=read_json_exactly(numbers)),
        None,
    )
    answer = await bench.ask()
    assert isinstance(answer, CustomerFound)
    assert numbers in answer.document
    assert numbers in (bench.cache.entries["+1"].document or b"")
    hit = bench.hit()
    assert hit is not None
    assert numbers in (answered(hit, 0).value or b"")


async def test_an_odd_field_is_counted_by_its_name() -> None:
    bench = Bench()
    bench.directory.outcome = lambda _: (Customer("C", odd_fields=("tier", "phone")), None)
    await bench.ask()
    assert [
        bench.metrics.registry.get_sample_value("posstream_odd_fields_total", {"field": name})
        for name in ("tier", "phone", "email")
    ] == [1, 1, 0]


async def test_the_directory_gets_the_trace_context_of_the_event_that_leads_the_call() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    bench.directory.outcome = failing(Reason.TIMEOUT)
    events = [dataclasses.replace(asked("+1"), traceparent=name) for name in ("first", "second")]
    for event in events:
        call = bench.lookup.lookup(event, bench.cache, consumed_at=bench.clock.monotonic())
        bench.others.append(asyncio.ensure_future(_answer(call)))
        await bench.until(lambda: len(bench.directory.calls) == 1)
    await bench.end()
    assert set(bench.directory.traceparents) == {"first"}


async def _answer(call: Awaitable[Answered]) -> LookupAnswer:
    return (await call).answer
