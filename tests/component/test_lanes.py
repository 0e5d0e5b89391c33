"""Fetched lists, answered in batches: nothing is finished too early, twice or never."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from posstream.kafka.record import Record
from posstream.streaming.lists import lanes
from posstream.streaming.lists.lanes import Event
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.patches.joined_batch import encoded_headers
from tests.component.list_fakes import FakeProducer, Fetched, ListApp, a_while, records_of, soon

SOURCE, OTHER = TP("source", 0), TP("source", 1)
MISS = b"miss"


class Answerer:
    """Answers every record that is no miss, to a topic and a partition of its own."""

    writes = ("answers",)

    def __init__(self) -> None:
        #: The lists as they came, by offsets.
        self.lists: list[tuple[TP, list[int]]] = []
        self.begun: list[Event] = []
        #: Awaited until the broker has what was changed in tables.
        self.keeps: Callable[[], Awaitable[None]] | None = None

    def answer(self, tp: TP, records: Sequence[Any], outbox: Outbox) -> Iterator[tuple[Any, str]]:
        self.lists.append((tp, [record.offset for record in records]))
        for record in records:
            if record.value == MISS:
                yield record, "a miss"
            else:
                value = b"%s/%d/%d" % (tp.topic.encode(), tp.partition, record.offset)
                outbox.add(Record("answers", b"k", value, partition=record.offset % 3))

    async def kept(self) -> None:
        if self.keeps is not None:
            await self.keeps()

    def begin(self, event: Event, what: str) -> None:
        assert what == "a miss"
        self.begun.append(event)


class Gate:
    """Lets batches for some partitions wait until it is open."""

    def __init__(self, *partitions: int) -> None:
        self.open = asyncio.Event()
        self._partitions = partitions

    async def __call__(self, partition: int) -> None:
        if partition in self._partitions:
            await self.open.wait()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next list is taken at once."""
    monkeypatch.setattr(lanes, "HAND_OVER_SECONDS", 0.01)


class Bench:
    """Lanes with their surroundings, whose partitions go on from 0."""

    def __init__(self, *, at_once: int = 1000, **producer: Any) -> None:
        self.answerer = Answerer()
        self.app = ListApp(FakeProducer(**producer))
        self.app.answer_lists(("source",), self.answerer, at_once=at_once)
        self.progress, self.lanes = self.app.progress, self.app.lanes
        self.progress.begin({SOURCE: 0, OTHER: 0})

    async def take(self, tp: TP, *offsets: int, misses: Sequence[int] = ()) -> Any:
        records = [Fetched(n, MISS if n in misses else b"") for n in offsets]
        return await self.lanes.take({tp: records}, self.app.consumer_generation_id)

    async def go_on(self) -> None:
        """What the fetch loop does with what is parked."""
        await self.lanes.take({}, self.app.consumer_generation_id)

    def rebalance(self, **starts: int) -> None:
        """As the consumer does it."""
        self.progress.clear()
        self.lanes.clear()
        self.app.consumer_generation_id += 1
        self.progress.begin({SOURCE: starts.get("source", 0)})

    @property
    def position(self) -> int | None:
        return self.progress.position(SOURCE)

    def answered(self) -> list[str]:
        return sorted((it.value or b"").decode() for it in self.app.producer.records)

    def confirm(self, number: int) -> None:
        self.app.producer.written[number].set_result(None)

    def offsets_begun(self) -> list[int]:
        return [it.offset for it in self.answerer.begun]


def answers_of(*offsets: int) -> list[str]:
    return sorted(f"source/0/{offset}" for offset in offsets)


# -- what is finished, and when


async def test_answered_events_are_finished_when_the_broker_has_all_batches_of_their_list() -> None:
    bench = Bench()
    bench.app.producer.confirms = False
    await bench.take(SOURCE, *range(6))
    assert len(bench.app.producer.written) == 3, "a batch for each partition"
    for number in (2, 0):
        bench.confirm(number)
        await a_while()
        assert (bench.position, bench.lanes.in_flight) == (0, 1)
    bench.confirm(1)
    await a_while()
    assert (bench.position, bench.lanes.in_flight) == (6, 0)
    assert bench.answered() == answers_of(*range(6))


async def test_nothing_is_told_before_the_broker_has_what_the_events_changed_in_tables() -> None:
    """A crash would undo the change, and tell of another one under the same revision."""
    bench = Bench()
    kept = asyncio.Event()
    bench.answerer.keeps = kept.wait
    taking = asyncio.ensure_future(bench.take(SOURCE, *range(6)))
    await a_while()
    assert not bench.app.producer.given
    assert (bench.position, bench.lanes.in_flight) == (0, 1)
    kept.set()
    await taking
    await a_while()
    assert bench.answered() == answers_of(*range(6))
    assert (bench.position, bench.lanes.in_flight) == (6, 0)


async def test_a_change_of_a_table_that_the_broker_refuses_ends_the_app(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    why = TopicAuthorizationFailedError()

    async def refuse() -> None:
        raise why

    bench.answerer.keeps = refuse
    await bench.take(SOURCE, 0, 1)
    await a_while()
    assert bench.app.crashed == [why]
    assert bench.position == 0
    assert "answers could not be sent" in caplog.text


async def test_a_change_of_a_table_that_is_never_confirmed_ends_the_app(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.app.patience(0.01)
    bench.answerer.keeps = asyncio.Event().wait  # type: ignore[assignment]
    await bench.take(SOURCE, 0)
    await soon(lambda: bench.app.crashed)
    assert isinstance(bench.app.crashed[0], TimeoutError)
    assert bench.position == 0
    assert "answers could not be sent" in caplog.text


async def test_lists_that_are_confirmed_in_another_order_leave_no_hole() -> None:
    bench = Bench()
    bench.app.producer.confirms = False
    await bench.take(SOURCE, 0)
    await bench.take(SOURCE, 1, 2)
    bench.confirm(1)
    bench.confirm(2)
    await a_while()
    assert bench.position == 0
    bench.confirm(0)
    await a_while()
    assert bench.position == 3


async def test_a_commit_passes_no_event_that_is_not_finished_and_answers_run_ahead_of_it() -> None:
    bench = Bench()
    await bench.take(SOURCE, *range(8), misses=[2, 4, 5])
    await a_while()
    assert bench.answered() == answers_of(0, 1, 3, 6, 7)
    positions = [bench.position]
    for event in reversed(bench.answerer.begun):
        event.finish()
        positions.append(bench.position)
    assert positions == [2, 2, 2, 8]


async def test_an_event_does_not_wait_for_answers_that_cannot_leave() -> None:
    bench = Bench()
    gate = Gate(0, 1, 2)
    bench.app.producer.takes_in = gate
    taking = asyncio.ensure_future(bench.take(SOURCE, 0, 1, 2, misses=[1]))
    await a_while()
    (event,) = bench.answerer.begun
    assert (event.topic, event.partition, event.offset) == ("source", 0, 1)
    assert bench.lanes.in_flight == 2, "the list, and the event"
    gate.open.set()
    await taking


@pytest.mark.usefixtures("impatient")
async def test_a_partition_whose_broker_is_frozen_holds_up_no_other() -> None:
    bench = Bench()
    gate = Gate(0)
    bench.app.producer.takes_in = gate
    await bench.take(SOURCE, 0, 1, 2)
    await bench.take(SOURCE, 3, 4, 5)
    assert bench.answered() == answers_of(1, 2, 4, 5)
    assert bench.position == 0
    gate.open.set()
    await soon(lambda: bench.position == 6)
    kept = [it.value for _, partition, records in bench.app.producer.given for it in records
            if partition == 0]  # fmt: skip
    assert kept == [b"source/0/0", b"source/0/3"], "in the order of their events"


async def test_a_list_without_answers_begins_its_events_too() -> None:
    bench = Bench()
    await bench.take(SOURCE, 0, 1, misses=[0, 1])
    assert bench.offsets_begun() == [0, 1]
    assert bench.app.producer.given == []


async def test_an_event_is_finished_once() -> None:
    bench = Bench()
    await bench.take(SOURCE, 0, misses=[0])
    (event,) = bench.answerer.begun
    event.finish()
    bench.rebalance(source=0)
    event.finish()
    assert bench.position == 0


async def test_an_event_has_what_its_record_had() -> None:
    bench = Bench()
    headers = [("h", b"v")]
    record = Fetched(7, MISS, key=None, timestamp=1_500, headers=headers)
    await bench.lanes.take({OTHER: [record]}, 1)
    (event,) = bench.answerer.begun
    assert (event.key, event.value, event.headers) == (None, MISS, headers)
    assert (event.topic, event.partition, event.offset) == ("source", 1, 7)
    assert event.timestamp == 1.5, "in seconds, as Faust's messages have it"


class At(SimpleNamespace):
    """A record of which only the offset matters."""


@given(st.sets(st.integers(0, 40), min_size=1), st.sets(st.integers(0, 40)))
def test_spans_hold_every_offset_but_those_left_out_each_once(
    offsets: set[int], left_out: set[int]
) -> None:
    records = [At(offset=offset) for offset in sorted(offsets)]
    spans = lanes._spans(records, left_out & offsets)
    held = [offset for start, stop in spans for offset in range(start, stop)]
    assert held == sorted(offsets - left_out)


# -- rebalances


async def test_nothing_is_finished_after_the_generation_changed() -> None:
    bench = Bench()
    bench.app.producer.confirms = False
    await bench.take(SOURCE, 0, 1, misses=[1])
    bench.rebalance(source=0)
    bench.confirm(0)
    bench.answerer.begun[0].finish()
    await a_while()
    assert not any(bench.progress.is_finished(SOURCE, offset) for offset in (0, 1))
    assert bench.lanes.in_flight == 0


async def test_what_an_older_generation_fetched_is_not_taken() -> None:
    """The set-up of a loss: fetched, then a rebalance, then taken for the new generation."""
    bench = Bench()
    records = [Fetched(0), Fetched(1, MISS)]
    generation = bench.app.consumer_generation_id
    bench.rebalance(source=0)
    await bench.lanes.take({SOURCE: records}, generation)
    assert (bench.answerer.lists, bench.app.producer.given) == ([], [])
    await bench.take(SOURCE, 0, 1, misses=[1])
    assert bench.answered() == answers_of(0), "they come again, and are taken then"
    assert bench.offsets_begun() == [1]


async def test_a_rebalance_while_the_partitions_of_a_topic_are_asked_for_is_noticed() -> None:
    bench = Bench()
    gate = asyncio.Event()
    bench.app.producer.tells = gate.wait
    taking = asyncio.ensure_future(bench.take(SOURCE, 0))
    await a_while()
    bench.rebalance(source=0)
    gate.set()
    await taking
    assert (bench.answerer.lists, bench.app.producer.given) == ([], [])


async def test_nothing_is_taken_while_the_flow_is_stopped() -> None:
    bench = Bench()
    bench.app.consumer.flow_active = False
    left = await bench.lanes.take({SOURCE: [Fetched(0)], TP("else", 0): [Fetched(5)]}, 1)
    assert (bench.answerer.lists, bench.app.producer.given) == ([], [])
    assert list(left) == [TP("else", 0)]
    assert bench.lanes.parked == {SOURCE}, "it does not come again"
    bench.app.consumer.flow_active = True
    await bench.go_on()
    assert bench.answered() == answers_of(0)


async def test_a_new_generation_begins_where_its_group_goes_on() -> None:
    bench = Bench()
    await bench.take(SOURCE, *range(10), misses=[9])
    bench.rebalance(source=3)  # another worker had it, and committed less
    await bench.take(SOURCE, 3, 4)
    await a_while()
    assert bench.position == 5
    assert bench.answered().count("source/0/3") == 2, "delivered again, answered again"


async def test_a_frozen_process_is_noticed_before_anything_leaves() -> None:
    bench = Bench()
    await bench.take(SOURCE, 0)
    await bench.take(SOURCE, 1)
    assert bench.app.pulses == [0, 1]


# -- what a seek brings again


async def test_what_a_seek_brings_again_is_neither_answered_nor_begun_twice() -> None:
    bench = Bench()
    bench.app.producer.confirms = False
    await bench.take(SOURCE, *range(6), misses=[1, 4])
    await bench.take(SOURCE, *range(6), misses=[1, 4])  # on their way
    for number in range(len(bench.app.producer.written)):
        bench.confirm(number)
    await a_while()
    await bench.take(SOURCE, *range(6), misses=[1, 4])  # confirmed
    bench.answerer.begun[0].finish()
    await bench.take(SOURCE, *range(6), misses=[1, 4])  # one of the events finished
    assert bench.answered() == answers_of(0, 2, 3, 5)
    assert bench.offsets_begun() == [1, 4]
    assert bench.position == 4


async def test_a_seek_into_the_middle_brings_the_new_ones_once() -> None:
    bench = Bench()
    await bench.take(SOURCE, *range(5), misses=[3])
    await bench.take(SOURCE, *range(2, 8), misses=[3, 6])
    await a_while()
    assert bench.answered() == answers_of(0, 1, 2, 4, 5, 7)
    assert bench.offsets_begun() == [3, 6]
    for event in bench.answerer.begun:
        event.finish()
    assert bench.position == 8


async def test_what_was_skipped_and_comes_by_a_seek_is_taken() -> None:
    """What Faust drops while it recovers comes again below what was taken."""
    bench = Bench()
    await bench.take(SOURCE, 5, 6)
    await bench.take(SOURCE, 3, 4, 5, 6, 7)
    await a_while()
    assert bench.answered() == answers_of(3, 4, 5, 6, 7)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("fetch"), st.integers(0, 30), st.integers(1, 12)),
            st.tuples(st.just("confirm"), st.integers(0, 5), st.just(0)),
            st.tuples(st.just("finish"), st.integers(0, 5), st.just(0)),
        ),
        max_size=25,
    ),
    st.sets(st.integers(0, 42)),
    st.sampled_from([1, 2, 5, 1000]),
)
def test_whatever_comes_again_each_event_is_answered_once_and_none_is_passed(
    steps: list[tuple[str, int, int]], misses: set[int], at_once: int
) -> None:
    async def play() -> None:
        bench = Bench(at_once=at_once)
        bench.app.producer.confirms = False
        came: set[int] = set()
        finished: set[int] = set()
        for what, at, count in steps:
            if what == "fetch":
                offsets = range(at, at + count)
                came |= set(offsets)
                await bench.take(SOURCE, *offsets, misses=sorted(misses))
            elif what == "confirm":
                for written in [it for it in bench.app.producer.written if not it.done()][:at]:
                    written.set_result(None)
            else:
                for event in bench.answerer.begun[:at]:
                    event.finish()
                    finished.add(event.offset)
            await a_while()
            position = bench.position or 0
            assert set(range(position)) & misses <= finished
        assert bench.answered() == answers_of(*(came - misses))
        assert sorted(bench.offsets_begun()) == sorted(came & misses)
        for written in bench.app.producer.written:
            if not written.done():
                written.set_result(None)
        for event in bench.answerer.begun:
            event.finish()
        await a_while()
        assert bench.position == next(n for n in range(50) if n not in came)
        assert bench.lanes.in_flight == 0

    asyncio.run(play())


# -- room


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "WINDOW", 10)
    monkeypatch.setattr(lanes, "MOST_OPEN", 3)


@pytest.mark.usefixtures("small")
async def test_all_that_was_fetched_is_begun_and_then_no_more_is_fetched() -> None:
    bench = Bench()
    await bench.take(SOURCE, *range(6), misses=range(6))
    assert bench.offsets_begun() == [0, 1, 2, 3, 4, 5]
    for event in bench.answerer.begun[:3]:
        assert (bench.lanes.parked, bench.lanes.is_ready) == ({SOURCE}, False)
        event.finish()
    bench.answerer.begun[3].finish()
    assert (bench.lanes.parked, bench.lanes.is_ready) == (set(), False)
    await bench.take(SOURCE, 6)
    assert (bench.position, bench.answered()) == (4, answers_of(6))


@pytest.mark.usefixtures("small")
async def test_a_full_partition_holds_up_no_other() -> None:
    bench = Bench()
    await bench.take(SOURCE, *range(3), misses=range(3))
    await bench.take(OTHER, 0)
    assert (bench.lanes.parked, bench.answered()) == ({SOURCE}, others(0))


@pytest.mark.usefixtures("small")
async def test_the_deadline_of_an_event_that_had_to_wait_counts_from_when_it_was_fetched() -> None:
    bench = Bench()
    await bench.take(SOURCE, 0, misses=[0])
    await bench.take(SOURCE, *range(1, 10))
    await bench.take(SOURCE, 10, misses=[10])
    fetched_at = time.monotonic()
    bench.answerer.begun[0].finish()
    await bench.go_on()
    assert bench.offsets_begun() == [0, 10]
    assert bench.answerer.begun[1].arrived_at <= fetched_at


async def test_all_steps_of_a_list_that_had_to_wait_count_from_when_it_was_fetched() -> None:
    bench = Bench(at_once=2)
    bench.app.consumer.flow_active = False
    await bench.take(SOURCE, *range(6), misses=range(6))
    fetched_at = time.monotonic()
    bench.app.consumer.flow_active = True

    def stop() -> None:
        bench.app.consumer.flow_active = False

    Between(bench, 2, stop)
    await bench.go_on()
    assert bench.offsets_begun() == [0, 1, 2, 3], "the flow stopped after the second step"
    bench.app.consumer.flow_active = True
    await bench.go_on()
    assert bench.offsets_begun() == [*range(6)]
    assert all(it.arrived_at <= fetched_at for it in bench.answerer.begun)


@pytest.mark.usefixtures("small")
async def test_a_slow_call_holds_its_partition_up_only_a_window_behind_it() -> None:
    bench = Bench()
    await bench.take(SOURCE, 0, misses=[0])
    for first in range(1, 9, 2):
        await bench.take(SOURCE, first, first + 1)
    await bench.take(SOURCE, 9)
    assert bench.lanes.parked == set()
    await bench.take(SOURCE, 10, 11)
    assert (bench.lanes.parked, bench.lanes.is_ready) == ({SOURCE}, False)
    await bench.take(OTHER, *range(3))
    assert bench.answered() == sorted([*answers_of(*range(1, 10)), *others(0, 1, 2)])
    bench.answerer.begun[0].finish()
    assert bench.lanes.is_ready
    await bench.go_on()
    await a_while()
    assert (bench.position, bench.lanes.parked) == (12, set())


def others(*offsets: int) -> list[str]:
    return [f"source/1/{offset}" for offset in offsets]


async def test_events_that_are_large_are_bounded_by_their_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    monkeypatch.setattr(lanes, "MOST_OPEN_BYTES", 2 * len(MISS))
    await bench.take(SOURCE, 0, 1, misses=[0, 1])
    await bench.take(SOURCE, 2, 3)
    assert (bench.lanes.parked, bench.lanes.is_ready) == ({SOURCE}, False)
    bench.answerer.begun[0].finish()
    assert bench.lanes.is_ready
    await bench.go_on()
    assert bench.answered() == answers_of(2, 3)


async def test_parked_events_are_dropped_at_a_drain_and_stay_below_no_commit() -> None:
    bench = Bench()
    bench.app.consumer.flow_active = False
    await bench.take(SOURCE, 0, 1)
    bench.lanes.drop_parked()
    bench.app.consumer.flow_active = True
    await bench.go_on()
    await bench.take(OTHER, 0)
    await a_while()
    assert (bench.position, bench.lanes.parked) == (0, set())
    assert bench.answered() == others(0)


async def test_parked_events_of_an_older_generation_are_never_taken() -> None:
    bench = Bench()
    bench.app.consumer.flow_active = False
    await bench.take(SOURCE, 0, 1)
    bench.rebalance(source=0)
    bench.app.consumer.flow_active = True
    assert bench.lanes.parked == set()
    await bench.go_on()
    assert bench.answerer.lists == []


# -- off and on


async def test_events_wait_while_their_topic_is_switched_off_and_go_on_in_order() -> None:
    bench = Bench()
    is_on = False
    bench.lanes.answer_while(("source",), lambda: is_on)
    await bench.take(SOURCE, 0, 1)
    await bench.go_on()
    await a_while()
    assert (bench.answered(), bench.position, bench.lanes.in_flight) == ([], 0, 0)
    assert (bench.lanes.parked, bench.lanes.is_ready) == ({SOURCE}, False)
    assert bench.lanes.oldest_at is None, "they wait on purpose"
    is_on = True
    assert bench.lanes.is_ready
    await bench.go_on()
    await bench.take(SOURCE, 2)
    await a_while()
    assert bench.answerer.lists == [(SOURCE, [0, 1]), (SOURCE, [2])]
    assert bench.position == 3


# -- the producer


async def test_a_refused_batch_ends_the_worker_and_finishes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.app.producer.confirms = False
    await bench.take(SOURCE, 0, 1)
    why = TopicAuthorizationFailedError()
    bench.app.producer.written[0].set_exception(why)
    bench.confirm(1)
    await soon(lambda: bench.app.crashed)
    assert bench.app.crashed == [why]
    assert bench.position == 0
    assert not bench.progress.is_finished(SOURCE, 1), "of a turn all or nothing"
    assert "answers could not be sent: TopicAuthorizationFailedError" in caplog.text


async def test_a_dead_producer_ends_the_worker_and_finishes_nothing() -> None:
    bench = Bench()
    why = KafkaTimeoutError()

    async def refuse(_: int) -> None:
        raise why

    bench.app.producer.takes_in = refuse
    async with asyncio.timeout(10):
        await bench.take(SOURCE, 0, 1, misses=[1])
    await soon(lambda: bench.app.crashed)
    assert bench.app.crashed == [why]
    assert bench.position == 0


async def test_a_confirmation_that_never_comes_ends_the_worker() -> None:
    bench = Bench()
    bench.app.producer.confirms = False
    bench.app.patience(0.01)
    await bench.take(SOURCE, 0)
    await soon(lambda: bench.app.crashed)
    assert isinstance(bench.app.crashed[0], TimeoutError)
    assert bench.position == 0


async def test_a_cancelled_take_leaves_no_batch_of_its_turn_behind() -> None:
    """On SIGTERM: what was left behind would be answered a second time, elsewhere."""
    bench = Bench()
    gate = Gate(0, 1, 2)
    bench.app.producer.takes_in = gate
    taking = asyncio.ensure_future(bench.take(SOURCE, *range(6), misses=[5]))
    await a_while()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert bench.lanes.in_flight == 2, "the drain waits for it"
    gate.open.set()
    await soon(lambda: bench.position == 5)
    assert bench.answered() == answers_of(*range(5))
    assert bench.offsets_begun() == [5]


# -- steps


class Between:
    """Does something in the pause after a step."""

    def __init__(self, bench: Bench, step: int, do: Callable[[], object]) -> None:
        self._bench = bench
        self._step = step
        self._do = do
        self._answer = bench.answerer.answer
        bench.answerer.answer = self._noted  # type: ignore[method-assign]

    def _noted(self, *args: Any) -> Iterator[tuple[Any, str]]:
        yield from self._answer(*args)
        if len(self._bench.answerer.lists) == self._step:
            asyncio.get_running_loop().call_soon(self._do)


async def test_a_long_list_is_answered_in_steps_and_its_answers_leave_together() -> None:
    bench = Bench(at_once=2)
    given: list[int] = []
    Between(bench, 2, lambda: given.append(len(bench.app.producer.given) + 10))
    records = {tp: [Fetched(n) for n in range(count)] for tp, count in ((SOURCE, 5), (OTHER, 2))}
    await bench.lanes.take(records, 1)
    assert bench.answerer.lists == [
        *((SOURCE, [0, 1]), (SOURCE, [2, 3]), (SOURCE, [4])),
        *((OTHER, [0]), (OTHER, [1])),
    ], "two events in each step"
    assert given == [10], "the event loop had its turn between them"
    assert len(bench.app.producer.given) == 3, "a batch for each partition"
    assert len(bench.app.pulses) == 5, "a frozen process is noticed before each of them"
    await a_while()
    assert (bench.position, bench.lanes.in_flight) == (5, 0)


async def test_a_drain_between_two_steps_waits_for_the_answers_that_nobody_has_yet() -> None:
    bench = Bench(at_once=2)
    in_flight: list[int] = []
    Between(bench, 1, lambda: in_flight.append(bench.lanes.in_flight))
    await bench.take(SOURCE, 0, 1, 2)
    assert in_flight == [1]


async def test_after_a_rebalance_between_two_steps_nothing_more_is_answered_or_finished() -> None:
    bench = Bench(at_once=2)
    Between(bench, 1, lambda: bench.rebalance(source=0))
    await bench.take(SOURCE, *range(6), misses=[1])
    await a_while()
    assert bench.answerer.lists == [(SOURCE, [0, 1])]
    assert (bench.answered(), bench.position) == (answers_of(0), 0)
    await bench.take(SOURCE, *range(6))
    await a_while()
    assert bench.answered() == answers_of(0, *range(6)), "delivered again, answered again"
    assert bench.position == 6


async def test_what_is_left_when_the_flow_stops_between_two_steps_is_taken_later() -> None:
    bench = Bench(at_once=2)

    def stop() -> None:
        bench.app.consumer.flow_active = False

    Between(bench, 1, stop)
    records = {SOURCE: [Fetched(n) for n in range(5)], OTHER: [Fetched(0)]}
    await bench.lanes.take(records, 1)
    assert bench.answered() == answers_of(0, 1)
    assert bench.lanes.parked == {SOURCE, OTHER}
    bench.app.consumer.flow_active = True
    await bench.go_on()
    await a_while()
    assert bench.answered() == sorted([*answers_of(*range(5)), *others(0)])
    assert (bench.position, bench.lanes.parked) == (5, set())


async def test_a_take_that_is_cancelled_between_two_steps_leaves_no_answer_behind() -> None:
    bench = Bench(at_once=2)
    taking = asyncio.ensure_future(bench.take(SOURCE, *range(6)))
    Between(bench, 1, taking.cancel)
    with pytest.raises(asyncio.CancelledError):
        await taking
    await a_while()
    assert (bench.answered(), bench.position) == (answers_of(0, 1), 2)
    assert bench.lanes.in_flight == 0


async def test_what_was_answered_before_a_fault_leaves(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(at_once=2)

    def fail(*_: object) -> Any:
        raise OSError("no disk")

    Between(bench, 1, lambda: setattr(bench.answerer, "answer", fail))
    with pytest.raises(OSError, match="no disk"):
        await bench.take(SOURCE, *range(4))
    await a_while()
    assert (bench.answered(), bench.position) == (answers_of(0, 1), 2)
    assert caplog.text == ""


@pytest.mark.usefixtures("small")
async def test_a_partition_that_is_full_between_two_steps_keeps_the_rest_in_order() -> None:
    bench = Bench(at_once=3)
    await bench.take(SOURCE, *range(8), misses=range(3))
    assert bench.offsets_begun() == [0, 1, 2]
    assert (bench.lanes.parked, bench.lanes.is_ready) == ({SOURCE}, False)
    bench.answerer.begun[0].finish()
    await bench.go_on()
    await a_while()
    assert bench.answered() == answers_of(*range(3, 8))
    assert bench.answerer.lists == [(SOURCE, [0, 1, 2]), (SOURCE, [3, 4, 5]), (SOURCE, [6, 7])]


async def test_a_topic_that_is_switched_off_between_two_steps_keeps_the_rest() -> None:
    bench = Bench(at_once=2)
    on = {"source"}
    bench.lanes.answer_while(("source",), lambda: "source" in on)
    Between(bench, 1, on.clear)
    await bench.take(SOURCE, *range(5))
    assert (bench.answered(), bench.lanes.parked) == (answers_of(0, 1), {SOURCE})
    on.add("source")
    await bench.go_on()
    await a_while()
    assert (bench.answered(), bench.position) == (answers_of(*range(5)), 5)


# -- other topics


async def test_records_of_other_topics_pass_by_as_they_are() -> None:
    bench = Bench()
    others = {TP("else", 0): [Fetched(3)], TP("more", 2): [Fetched(9)]}
    left = await bench.lanes.take({SOURCE: [Fetched(0)], **others}, 1)
    assert left == others
    assert bench.answered() == answers_of(0)
    assert await bench.lanes.take(others, 1) == others
    assert len(bench.app.pulses) == 1, "with nothing of ours there is nothing to do"


# -- the outbox


async def test_every_record_is_in_a_batch_of_its_partition_in_the_order_it_was_put_in() -> None:
    outbox = Outbox(lambda: BatchBuilder(262_144, 0), 1_700_000_000_123, {"a": 4, "b": 2})
    headers = [("ce_id", b"1"), ("äö", b"\xff"), ("empty", b"")]
    put_in = [Record("a", b"key-%d" % n, b"v%d" % n, headers) for n in range(50)]
    put_in += [Record("b", None, b"x", partition=1), Record("b", b"k", None, partition=0)]
    end = encoded_headers(headers)
    for record in put_in[:10]:
        outbox.add(record)
    for record in put_in[10:25]:
        key, value = record.key or b"", record.value or b""
        outbox.to("a")(key, len(value), (value, end), len(value) + len(end))
    for record in put_in[25:]:
        outbox.add(record)
    found = [
        record
        for topic, partition, batch in outbox.batches()
        for record in records_of(topic, partition, batch)
    ]
    partitions = {"a": list(range(4)), "b": list(range(2))}
    expected: dict[tuple[str, int], list[Record]] = {}
    for it in put_in:
        every = partitions[it.topic]
        place = DefaultPartitioner()(it.key, every, every) if it.partition is None else it.partition
        copy = Record(it.topic, it.key, it.value, list(it.headers), place)
        expected.setdefault((it.topic, place), []).append(copy)
    assert {(it.topic, it.partition) for it in found} == set(expected)
    for there, records in expected.items():
        assert [it for it in found if (it.topic, it.partition) == there] == records


@pytest.mark.parametrize("size", [0, 1, 60, 99, 100, 101, 1000])
async def test_a_full_batch_begins_another_one_and_no_record_is_lost(size: int) -> None:
    outbox = Outbox(lambda: BatchBuilder(400, 0), 1, {"a": 1})
    values = [b"%03d" % n + b"x" * size for n in range(12)]
    for value in values:
        outbox.add(Record("a", b"k", value, [("h", b"v")]))
    batches = outbox.batches()
    found = [records_of(*batch) for batch in batches]
    assert [it.value for records in found for it in records] == values
    assert [batch.record_count() for _, _, batch in batches] == [len(it) for it in found]
    assert len(batches) > 1 or size < 20
    for _, _, batch in batches:
        assert batch.size() <= 400 or batch.record_count() == 1, "a larger one goes alone"


async def test_a_batch_of_the_outbox_is_numbered_for_the_broker_like_any_other() -> None:
    """The idempotent producer counts by it; a wrong count would have later batches refused."""
    outbox = Outbox(lambda: BatchBuilder(262_144, 0), 1_234, {"a": 1})
    theirs = BatchBuilder(262_144, 0)
    for n in range(7):
        outbox.add(Record("a", b"k%d" % n, b"v", [("h", b"v")]))
        assert theirs.append(timestamp=1_234, key=b"k%d" % n, value=b"v", headers=[("h", b"v")])
    ((_, _, ours),) = outbox.batches()
    theirs.close()
    assert ours.record_count() == theirs.record_count() == 7
    assert ours.closed()
    for batch in (ours, theirs):
        batch._set_producer_state(5, 1, 40)
    assert bytes(ours._build()) == bytes(theirs._build())
