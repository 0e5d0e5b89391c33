"""The agent without a broker: fetched lists in, records out, each event finished when answered."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from faust.types import TP
from msgspec import structs

from agents.customer_lookup import topics
from agents.customer_lookup.agent import CustomerLookupAgent
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import DirectoryCall
from agents.customer_lookup.events.reading import read_identification
from agents.customer_lookup.events.rekeyed import read_rekeyed, rekeyed
from agents.customer_lookup.lookup import CustomerLookup
from agents.customer_lookup.reasons import Reason
from posstream.configuration.current import CurrentConfiguration
from posstream.dead_letters.setting_aside import MOST_UNDER_WAY, DeadLetters
from posstream.events.ids import input_id
from posstream.kafka.record import Record
from posstream.metrics import Metrics
from posstream.plugins.event_failures import EventFailures
from posstream.resilience.clock import Clock
from posstream.streaming.lists import lanes
from tables.freshness import CacheEntry
from tables.partitioned import home
from tests.component.fakes import FakeCache, FakeDirectory, FakePublisher, a_customer
from tests.component.list_fakes import FakeProducer, Fetched, ListApp, a_while
from tests.lookup_metrics import RegisteredMetrics
from tests.manual_clock import ManualClock

ANSWERS = {topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED}
SOURCE, REKEYED = TP(topics.CUSTOMER_IDENTIFIED, 0), TP(topics.REKEYED, 0)
CUSTOMER = b'{"customer_id":"C-cached"}'


class Bench:
    """One agent with its surroundings in memory, and one partition of each of its topics."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        dead_letters_per_minute: int = 100,
        partitions: int = 1,
        **configuration: Any,
    ) -> None:
        self.producer = FakeProducer(partitions=1)
        self.app = ListApp(self.producer)
        self.metrics = RegisteredMetrics()
        self.cache = FakeCache()
        self.clock = clock or Clock()
        self.directory = FakeDirectory(clock=self.clock)
        self.publisher = FakePublisher()
        #: Whatever left, in its order: in batches from the lists, or one by one.
        self.records = self.publisher.records
        self.producer.also = self.records
        self.configuration = CurrentConfiguration(
            LookupConfiguration(api_endpoint="http://directory/", **configuration)
        )
        self.lookup = CustomerLookup(
            call=DirectoryCall(self.directory, clock=self.clock, metrics=self.metrics),
            configuration=self.configuration,
            publisher=self.publisher,
            clock=self.clock,
            metrics=self.metrics,
        )
        self.dead_letters = DeadLetters(
            topic=topics.DEAD_LETTERS,
            publish=self.publisher.publish,
            clock=self.clock,
            metrics=Metrics(),
            per_minute=dead_letters_per_minute,
        )
        self.app.failures = EventFailures(self.app, self.dead_letters, self.clock)
        self.agent = CustomerLookupAgent(
            app=self.app,
            lookup=self.lookup,
            cache=self.cache,  # type: ignore[arg-type]
            publisher=self.publisher,
            clock=self.clock,
            metrics=self.metrics,
            partitions=partitions,
            card_guard=True,
        )
        self.progress, self.lanes = self.app.progress, self.app.lanes
        self.progress.begin({SOURCE: 0, REKEYED: 0})
        self._offset = 0

    async def send(self, *values: bytes | None, arrived_at: float | None = None) -> None:
        """Let the agent take a list."""
        records = [Fetched(self._offset + number, value) for number, value in enumerate(values)]
        self._offset += len(values)
        await self.take(SOURCE, records, arrived_at=arrived_at)

    async def take(
        self, tp: TP, records: Sequence[Fetched], *, arrived_at: float | None = None
    ) -> None:
        now = SimpleNamespace(
            monotonic=lambda: self.clock.monotonic() if arrived_at is None else arrived_at,
            time_ns=time.time_ns,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lanes, "time", now)
            await self.lanes.take({tp: records}, self.app.consumer_generation_id)
        await asyncio.sleep(0)  # the broker has what left in batches

    def rebalance(self) -> None:
        """As the consumer does it; the group goes on at the start."""
        self.progress.clear()
        self.lanes.clear()
        self.app.consumer_generation_id += 1
        self.progress.begin({SOURCE: 0, REKEYED: 0})

    @property
    def acked(self) -> list[int]:
        """The offsets of the events that are finished."""
        return [n for n in range(self._offset) if self.progress.is_finished(SOURCE, n)]

    def set_aside(self) -> list[str]:
        """The reason and the error of each dead letter."""
        letters = [dict(r.headers) for r in self.records if r.topic == topics.DEAD_LETTERS]
        names = ("posstream.dlq.reason", "posstream.dlq.error")
        return [": ".join(letter[name].decode() for name in names) for letter in letters]

    def answers(self) -> list[dict[str, Any]]:
        return [orjson.loads(r.value or b"") for r in self.records if r.topic in ANSWERS]

    def baskets(self) -> list[str]:
        """Whose answers left, in their order."""
        return [answer["basket_id"] for answer in self.answers()]

    def counted(self, source: str, reason: str = "NONE") -> float:
        """How many such answers the metrics have."""
        labels = {"source": source, "reason": reason}
        return self.metrics.registry.get_sample_value("posstream_answers_total", labels) or 0.0

    def keep(self, identifier: str, document: bytes | None = CUSTOMER, age_ms: int = 0) -> None:
        self.cache.put(identifier, CacheEntry(self.clock.now_ms() - age_ms, document))

    async def until(self, done: Any) -> None:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110 - it waits for anything
                await asyncio.sleep(0.001)


def scan(identifier: str, basket: str = "b", **more: object) -> bytes:
    return orjson.dumps({"basket_id": basket, "customer_identifier": identifier, **more})


# -- what has to wait


async def test_an_event_does_not_wait_for_its_turn_past_its_own_deadline() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1", "patient"), scan("+1", "hasty", deadline_ms=30))
    await bench.until(lambda: len(bench.answers()) == 1)
    (hasty,) = bench.answers()
    assert (hasty["basket_id"], hasty["reason"]) == ("hasty", Reason.DEADLINE)
    bench.directory.gate.set()
    await bench.until(lambda: bench.acked == [0, 1])
    assert bench.answers()[1]["basket_id"] == "patient"
    assert bench.directory.calls == ["+1"]


async def test_the_time_since_an_event_came_counts() -> None:
    bench = Bench(deadline_seconds=5)
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1"), arrived_at=time.monotonic() - 6)
    await bench.until(lambda: len(bench.answers()) == 1)
    assert bench.answers()[0]["reason"] == Reason.DEADLINE
    assert bench.answers()[0]["duration_ms"] >= 6000
    bench.directory.gate.set()
    await bench.lookup.drain()
    assert "+1" in bench.cache.entries, "the call goes on and fills the cache"


def sent_on_event(
    bench: Bench, identifier: str, used_ms: int = 0, basket: str = "b"
) -> bytes | None:
    """An event that was sent on to its own partition."""
    asked = read_identification(
        scan(identifier, basket), topic="t", partition=0, offset=0, timestamp_ms=1
    )
    asked.taken_at_ms = bench.clock.now_ms() - used_ms
    return rekeyed(asked, 0).value


@pytest.mark.parametrize(("used_ms", "reason"), [(4_990, Reason.DEADLINE), (60_000, None)])
async def test_a_rekeyed_event_keeps_the_time_that_it_used_unless_it_used_it_all(
    used_ms: int, reason: Reason | None
) -> None:
    bench = Bench(deadline_seconds=5)
    bench.directory.gate = asyncio.Event()
    await bench.take(REKEYED, [Fetched(0, sent_on_event(bench, "+1", used_ms))])
    await asyncio.sleep(0.05)
    assert [answer["reason"] for answer in bench.answers()] == ([reason] if reason else [])
    bench.directory.gate.set()
    await bench.until(lambda: bench.progress.position(REKEYED) == 1)


async def test_a_large_dead_letter_holds_nobody_up() -> None:
    bench = Bench()
    await bench.send(scan("+1"))
    await bench.until(lambda: bench.acked == [0])
    await bench.send(b"4 " * 40_000, scan("+1"))
    await bench.until(lambda: bench.acked == [0, 1, 2])
    order = [record.topic for record in bench.records]
    assert order[-2:] == [topics.CUSTOMER_DATA_FETCHED, topics.DEAD_LETTERS]


async def test_what_nobody_foresaw_crashes_the_worker_with_the_event_not_finished(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.publisher.fail()
    await bench.send(scan("+1"))
    await bench.until(lambda: bool(bench.app.crashed))
    assert bench.acked == []
    assert "cannot go on at customer-identified/0/0: PublishFailed" in caplog.text


def break_reading(bench: Bench) -> None:
    """Let our own code raise at every event that is not read by `hits`."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    bench.lookup.refuse = broken  # type: ignore[method-assign]


async def test_an_event_at_which_our_own_code_raises_is_set_aside_and_holds_up_no_other() -> None:
    bench = Bench()
    bench.keep("+1")
    break_reading(bench)
    await bench.send(scan("+1", "b0"), scan("+ 2", "b1"), scan("+1", "b2"))
    await bench.until(lambda: bench.acked == [0, 1, 2])
    assert bench.set_aside() == ["PLUGIN_FAILED: ZeroDivisionError"]
    assert bench.baskets() == ["b0", "b2"]
    assert bench.app.crashed == []


async def test_a_lookup_in_which_our_own_code_raises_is_set_aside_and_gives_up_its_turn() -> None:
    bench = Bench()
    lookup = bench.lookup.lookup
    broken = [True]

    async def once(*args: Any, **options: Any) -> Any:
        if broken.pop() if broken else False:
            raise ZeroDivisionError("a defect")
        return await lookup(*args, **options)

    bench.lookup.lookup = once  # type: ignore[method-assign]
    await bench.send(scan("+1", "first"), scan("+1", "second"))
    await bench.until(lambda: bench.acked == [0, 1])
    assert bench.set_aside() == ["PLUGIN_FAILED: ZeroDivisionError"]
    assert bench.baskets() == ["second"]


@pytest.mark.parametrize("held", [*sorted(ANSWERS), topics.CUSTOMER_LOOKUP_LOGGED])
async def test_an_event_is_finished_when_the_broker_has_its_answer_and_its_audit_records(
    held: str,
) -> None:
    bench = Bench()
    bench.directory.outcome = lambda identifier: (
        (a_customer(identifier), None) if identifier == "+1" else (None, Reason.NOT_FOUND)
    )
    acknowledgement: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    send = bench.publisher.send

    async def slowly(record: Record) -> Awaitable[None]:
        acknowledged = await send(record)
        return acknowledgement if record.topic == held else acknowledged

    bench.publisher.send = slowly  # type: ignore[method-assign]
    # The second of each pair shares the first one's call, and has no audit records.
    await bench.send(scan("+1"), scan("+1"), scan("+2"), scan("+2"))
    free = {
        topics.CUSTOMER_DATA_FETCHED: [2, 3],
        topics.CUSTOMER_LOOKUP_FAILED: [0, 1],
        topics.CUSTOMER_LOOKUP_LOGGED: [1, 3],
    }[held]
    await bench.until(lambda: len(bench.answers()) == 4 and bench.acked == free)
    await a_while()
    assert bench.acked == free
    assert (bench.lanes.open, bench.lanes.in_flight) == (2, 2)
    acknowledgement.set_result(None)
    await bench.until(lambda: bench.acked == [0, 1, 2, 3])
    assert (bench.lanes.open, bench.lanes.in_flight) == (0, 0)


async def test_however_many_messages_cannot_be_read_the_others_are_answered() -> None:
    bench = Bench(dead_letters_per_minute=3)
    bench.keep("+1")
    for _ in range(5):
        await bench.send(*[b"broken"] * 900, scan("+1"))
    async with asyncio.timeout(10):
        while len(bench.acked) < 5 * 901:
            await bench.lanes.take({}, 1)  # what was parked
            await asyncio.sleep(0)
    letters = [r for r in bench.records if r.topic == topics.DEAD_LETTERS]
    assert (len(letters), len(bench.answers())) == (4500, 5)


async def test_a_flood_waits_in_its_own_partition_and_the_one_beside_it_goes_on() -> None:
    bench = Bench()
    bench.keep("+1")
    bench.publisher.acknowledgement = asyncio.get_running_loop().create_future()
    await bench.send(*[b"broken"] * 1500)
    await bench.take(REKEYED, [Fetched(0, sent_on_event(bench, "+1"))])
    assert {SOURCE} == bench.lanes.parked
    assert len(bench.answers()) == 1
    under_way = [r for r in bench.records if r.topic == topics.DEAD_LETTERS]
    assert len(under_way) == MOST_UNDER_WAY
    bench.publisher.acknowledgement.set_result(None)
    await bench.until(lambda: len(bench.acked) == 1000)


async def test_the_age_of_a_commit_grows_only_while_an_event_waits() -> None:
    bench = Bench()
    assert bench.lanes.commit_age_seconds() == 0
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1"), arrived_at=time.monotonic() - 5)
    await bench.send(scan("+2"))
    assert bench.lanes.commit_age_seconds() >= 5, "the oldest counts"
    bench.app.committed_at = time.monotonic()
    assert bench.lanes.commit_age_seconds() < 5
    bench.directory.gate.set()
    await bench.until(lambda: bench.acked == [0, 1])
    assert bench.lanes.commit_age_seconds() == 0


async def test_a_replay_without_occurred_at_happened_when_it_was_first_written() -> None:
    bench = Bench()
    headers = [("posstream.dlq.timestamp", b"1700000000000")]
    for number, identifier in enumerate(["1", "2"]):
        bench.keep("2")
        record = Fetched(number, scan(identifier), headers=headers, timestamp=1_800_000_000_000)
        await bench.take(SOURCE, [record])
    await bench.until(lambda: len(bench.answers()) == 2)
    times = {answer["identified_at"] for answer in bench.answers()}
    assert times == {"2023-11-14T22:13:20.000Z"}


# -- what is answered from the list, without a task


def at_once(bench: Bench) -> list[dict[str, Any]]:
    """The answers that left in batches, and nothing is under way."""
    assert (bench.lanes.open, bench.directory.calls) == (0, [])
    assert bench.producer.records == bench.records
    return bench.answers()


async def test_hits_are_answered_from_the_list_and_counted() -> None:
    bench = Bench()
    bench.keep("+1")
    await bench.send(*[scan("+1", f"b{n}") for n in range(20)])
    assert [it["customer"] for it in at_once(bench)] == [{"customer_id": "C-cached"}] * 20
    assert bench.baskets() == [f"b{n}" for n in range(20)]
    assert bench.acked == list(range(20))
    assert bench.counted("CACHE") == 20
    assert bench.metrics.registry.get_sample_value("posstream_answer_seconds_count") == 20


async def test_a_remembered_unknown_is_answered_from_the_list() -> None:
    bench = Bench()
    bench.keep("+1", None)
    await bench.send(scan("+1"))
    (answer,) = at_once(bench)
    assert (answer["reason"], answer["source"]) == (Reason.NOT_FOUND, "CACHE")
    assert bench.counted("CACHE", "NOT_FOUND") == 1


async def test_a_refused_identifier_is_answered_from_the_list() -> None:
    bench = Bench()
    await bench.send(scan("4111 1111 1111 1111"))
    (answer,) = at_once(bench)
    assert answer["reason"] == Reason.INVALID_IDENTIFIER
    assert "4111111111111111" not in str(bench.records)
    assert bench.acked == [0]


async def test_a_plugin_that_is_off_answers_from_the_list_whatever_the_cache_has() -> None:
    bench = Bench(enabled=False)
    bench.keep("+1")
    await bench.send(scan("+1"), scan("+2"))
    assert [answer["reason"] for answer in at_once(bench)] == [Reason.DISABLED] * 2
    assert bench.counted("NONE", "DISABLED") == 2


async def test_a_plugin_that_is_switched_off_answers_behind_what_was_asked_before() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1", "first"))
    bench.configuration.value = structs.replace(bench.configuration.value, enabled=False)
    await bench.send(scan("+1", "second"), scan("+2", "other"))
    assert bench.baskets() == ["other"]
    bench.directory.gate.set()
    await bench.until(lambda: len(bench.baskets()) == 3)
    assert bench.baskets() == ["other", "first", "second"]
    assert [answer.get("reason") for answer in bench.answers()][1:] == [None, Reason.DISABLED]


class Slow(ManualClock):
    """A clock by which a second passes before each look at it."""

    def monotonic(self) -> float:
        self.advance(1)
        return super().monotonic()


async def test_an_event_of_another_partition_is_sent_on_from_the_list() -> None:
    clock = Slow()
    begins_ms = clock.now_ms() + 1000
    bench = Bench(partitions=3, clock=clock)
    identifier = next(f"+{n}" for n in range(1, 99) if home(f"+{n}", 3) == 2)
    bench.cache.at_hand = False
    await bench.send(scan(identifier), arrived_at=0)
    assert at_once(bench) == []
    (sent_on,) = bench.records
    assert (sent_on.topic, sent_on.partition) == (topics.REKEYED, 2)
    asked = read_rekeyed(sent_on.value)
    assert asked.identifier == identifier
    assert asked.taken_at_ms == begins_ms, "when its list was begun"
    assert bench.acked == [0]


async def test_an_event_in_a_partition_that_was_added_goes_to_that_of_its_entry() -> None:
    bench = Bench(partitions=3)
    bench.cache.co_partitioning.is_apart = True
    added = TP(topics.CUSTOMER_IDENTIFIED, 4)
    bench.progress.begin({added: 0})
    await bench.take(added, [Fetched(0, scan("+1"))])
    (sent_on,) = bench.records
    assert (sent_on.topic, sent_on.partition) == (topics.REKEYED, home("+1", 3))
    assert bench.progress.position(added) == 1


async def test_an_event_whose_cache_another_worker_has_goes_to_that_worker() -> None:
    """Where the source topic alone was given partitions, it is not assigned with the cache."""
    bench = Bench()
    bench.cache.co_partitioning.is_apart = True
    bench.cache.at_hand = False
    await bench.send(scan("+1"))
    (sent_on,) = bench.records
    assert (sent_on.topic, sent_on.partition) == (topics.REKEYED, 0)
    await bench.take(REKEYED, [Fetched(0, sent_on.value)])
    await bench.until(lambda: bench.baskets() == ["b"])
    assert bench.directory.calls == ["+1"], "wherever it comes then, it is answered"


@pytest.mark.parametrize("topic", [topics.CUSTOMER_IDENTIFIED, topics.REKEYED])
async def test_while_entries_are_moved_events_are_answered_where_they_are(topic: str) -> None:
    """A worker that counts the new partitions would send them back."""
    bench = Bench(partitions=3)
    bench.cache.co_partitioning.is_frozen = True
    bench.keep("+1")
    for partition in range(5):
        tp = TP(topic, partition)
        bench.progress.begin({tp: 0})
        value = sent_on_event(bench, "+1") if topic == topics.REKEYED else scan("+1")
        await bench.take(tp, [Fetched(0, value)])
        await bench.until(lambda tp=tp: bench.progress.position(tp) == 1)
    assert [answer["source"] for answer in bench.answers()] == ["CACHE"] * 5
    assert {record.topic for record in bench.records} <= ANSWERS


async def test_a_rekeyed_hit_is_answered_from_the_list() -> None:
    bench = Bench()
    bench.keep("+1")
    await bench.take(REKEYED, [Fetched(0, sent_on_event(bench, "+1"))])
    (answer,) = at_once(bench)
    lookup_id = input_id(None, "t", 0, 0, 1)
    assert (answer["source"], answer["lookup_id"]) == ("CACHE", lookup_id)
    assert bench.progress.position(REKEYED) == 1


async def test_what_others_write_to_the_rekeyed_topic_is_not_answered() -> None:
    bench = Bench()
    bench.keep("+1")
    await bench.take(REKEYED, [Fetched(0, scan("+1"))])
    await bench.until(lambda: bench.progress.position(REKEYED) == 1)
    assert [record.topic for record in bench.records] == [topics.DEAD_LETTERS]


async def test_what_is_read_in_two_ways_is_answered_in_its_order() -> None:
    bench = Bench()
    bench.keep("+1")
    odd = [scan("+ 1", "b1"), scan("+1", "b3", terminal_id="ä"), scan("x/y", "b5")]
    plain = [scan("+1", "b0"), scan("+1", "b2"), scan("+1", "b4")]
    every = [event for both in zip(plain, odd, strict=True) for event in both]
    await bench.send(*every)
    assert [it["basket_id"] for it in at_once(bench)] == ["b0", "b1", "b2", "b3", "b4", "b5"]


@pytest.mark.parametrize("value", [None, b"", b"[]", b"\xff", scan("+1", ""), b"4" * 70_000])
async def test_what_cannot_be_read_becomes_a_dead_letter_and_holds_nobody_up(
    value: bytes | None,
) -> None:
    bench = Bench()
    bench.keep("+1")
    await bench.send(scan("+1", "b0"), value, scan("+1", "b2"))
    assert bench.baskets() == ["b0", "b2"]
    await bench.until(lambda: bench.acked == [0, 1, 2])
    (letter,) = (r for r in bench.records if r.topic == topics.DEAD_LETTERS)
    assert dict(letter.headers)["posstream.dlq.offset"] == b"1"


@pytest.mark.parametrize("event_type", [[], {}, 1, "OTHER"])
async def test_an_event_of_another_type_becomes_a_dead_letter_whatever_the_type(
    event_type: object,
) -> None:
    bench = Bench()
    bench.keep("+1")
    await bench.send(scan("+1", event_type=event_type))
    await bench.until(lambda: bench.acked == [0])
    assert [record.topic for record in bench.records] == [topics.DEAD_LETTERS]


async def test_an_event_whose_partition_moved_away_is_a_miss() -> None:
    bench = Bench()
    bench.keep("+1")
    bench.cache.at_hand = False
    await bench.send(scan("+1"))
    await bench.until(lambda: bench.acked == [0])
    assert bench.directory.calls == ["+1"]


async def test_an_error_of_the_store_is_told_to_it_and_ends_the_fetching() -> None:
    bench = Bench()
    bench.cache.error = OSError("damaged")
    with pytest.raises(OSError, match="damaged"):
        await bench.send(scan("+1"))
    assert bench.cache.checked == [bench.cache.error]
    assert (bench.records, bench.acked) == ([], [])


# -- no hit overtakes an open miss of its identifier


async def test_a_hit_behind_a_lookup_that_is_under_way_waits_for_its_turn() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1", "first"), scan("+2", "other"))
    bench.keep("+1")  # a change of the customer came in
    bench.keep("+3")
    await bench.send(scan("+1", "second"), scan("+3", "elsewhere"), scan("+ 1", "third"))
    await a_while()
    assert bench.baskets() == ["elsewhere"]
    bench.directory.gate.set()
    await bench.until(lambda: bench.acked == [0, 1, 2, 3, 4])
    assert [it for it in bench.baskets() if it not in {"other", "elsewhere"}] == [
        *("first", "second", "third")
    ]


class Later:
    """A clock by which an entry grows old between the first event of a list and the next."""

    def __init__(self, clock: Clock, looks: int, seconds: int) -> None:
        self._clock = clock
        self.looks = looks
        self._later_ms = seconds * 1000

    def now_ms(self) -> int:
        self.looks -= 1
        return self._clock.now_ms() + (self._later_ms if self.looks < 0 else 0)

    def monotonic(self) -> float:
        return self._clock.monotonic()


async def test_a_hit_behind_a_miss_of_the_same_list_waits_for_its_turn() -> None:
    """The list is judged by the time at its start, and what is odd in it by its own."""
    clock = Later(Clock(), looks=10**9, seconds=7200)
    bench = Bench(clock=clock)
    bench.directory.gate = asyncio.Event()
    bench.keep("+1")
    clock.looks = 1
    await bench.send(scan("+ 1", "first"), scan("+1", "second"))
    await a_while()
    assert bench.baskets() == []
    assert bench.lanes.open == 2
    clock.looks = 10**9
    bench.directory.gate.set()
    await bench.until(lambda: bench.acked == [0, 1])
    assert bench.baskets() == ["first", "second"]


async def test_after_a_redelivery_a_hit_waits_still_and_nothing_is_answered_twice() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    first = Fetched(0, scan("+1", "first"))
    await bench.send(first.value)
    await bench.take(SOURCE, [first])  # a seek
    bench.keep("+1")
    await bench.send(scan("+1", "second"))
    await bench.take(SOURCE, [first])
    await a_while()
    assert bench.baskets() == []
    bench.directory.gate.set()
    await bench.until(lambda: bench.acked == [0, 1])
    await bench.take(SOURCE, [first])
    assert bench.baskets() == ["first", "second"]
    assert bench.directory.calls == ["+1"]


async def test_after_a_rebalance_nothing_is_held_once_the_lookups_are_over() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    event = scan("+1", "first")
    await bench.send(event)
    bench.rebalance()
    await bench.take(SOURCE, [Fetched(0, event)])  # it was not committed
    bench.keep("+1")
    await bench.take(SOURCE, [Fetched(1, scan("+1", "second"))])
    await a_while()
    assert (bench.baskets(), bench.lanes.in_flight) == ([], 2)
    bench.directory.gate.set()
    await bench.until(lambda: bench.progress.position(SOURCE) == 2)
    assert bench.baskets() == ["first", "first", "second"], "delivered twice, answered twice"
    ids = {answer["lookup_id"] for answer in bench.answers()[:2]}
    assert len(ids) == 1, "by which it is known"
    await bench.take(SOURCE, [Fetched(2, scan("+1", "third"))])
    assert bench.baskets()[3:] == ["third"], "at once"
    assert (bench.lanes.open, bench.lanes.in_flight) == (0, 0)


async def test_what_an_older_generation_answers_finishes_nothing_of_the_new_one() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1"))
    bench.rebalance()
    bench.directory.gate.set()
    await bench.until(lambda: len(bench.answers()) == 1)
    await a_while()
    assert (bench.acked, bench.progress.position(SOURCE)) == ([], 0)
