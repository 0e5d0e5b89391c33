"""Topics that are taken in lists: each record once, and finished only when it is taken for good."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from posstream.streaming.lists import list_path
from posstream.streaming.lists.list_path import BEHIND, LIST, SHARE_SECONDS, SHORT_LIST, ListPath
from posstream.streaming.lists.progress import Progress
from tests.component.list_fakes import Fetched, ListApp, a_while, soon

LISTED, SECOND, OTHER = TP("listed", 0), TP("listed", 1), TP("else", 0)


class Taker:
    """Takes lists; can be slow, and can fail."""

    def __init__(self) -> None:
        self.lists: list[list[tuple[TP, int]]] = []
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None
        self.given_up = False

    async def take(self, records: Sequence[tuple[TP, Any]]) -> None:
        self.lists.append([(tp, record.offset) for tp, record in records])
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # as a transaction that is rolled back
            self.given_up = True
            raise
        if self.error is not None:
            raise self.error


class Bench:
    """A path with its surroundings, whose partitions go on from 0."""

    def __init__(self) -> None:
        self.taker = Taker()
        self.app = ListApp()
        self.app.take_lists(["listed"], self.taker.take)
        self.progress = Progress()
        self.progress.begin({LISTED: 0, SECOND: 0})
        self.path = ListPath(self.app, self.progress)

    def take(self, tp: TP, *offsets: int) -> Any:
        records = [Fetched(offset) for offset in offsets]
        return self.path.take({tp: records}, self.app.consumer_generation_id)

    def rebalance(self) -> None:
        """As the consumer does it."""
        self.progress.clear()
        self.path.clear()
        self.app.consumer_generation_id += 1
        self.progress.begin({LISTED: 0, SECOND: 0})

    def positions(self) -> tuple[int | None, int | None]:
        return self.progress.position(LISTED), self.progress.position(SECOND)


@pytest.fixture
async def bench() -> Any:
    bench = Bench()
    yield bench
    await bench.path.stop()


@pytest.fixture
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short list waits for others until the test is over."""
    monkeypatch.setattr(list_path, "LINGER_SECONDS", 3600)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short list does not wait for others."""
    monkeypatch.setattr(list_path, "LINGER_SECONDS", 0)


# -- when a list is handed over


@pytest.mark.usefixtures("never_by_itself")
async def test_a_list_that_is_long_enough_is_handed_over_at_once(bench: Bench) -> None:
    bench.take(LISTED, *range(LIST - 1))
    await a_while()
    assert bench.taker.lists == []
    bench.take(SECOND, 7)
    await soon(lambda: bench.taker.lists)
    expected = [*((LISTED, n) for n in range(LIST - 1)), (SECOND, 7)]
    assert bench.taker.lists == [expected]


async def test_a_shorter_one_waits_for_others_and_not_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_path, "LINGER_SECONDS", 0.5)  # a noisy machine is slow between takes
    bench.take(LISTED, 0)
    await a_while()
    bench.take(SECOND, 0, 1)
    assert bench.taker.lists == []
    await soon(lambda: bench.positions() == (1, 2))
    assert bench.taker.lists == [[(LISTED, 0), (SECOND, 0), (SECOND, 1)]]


@pytest.mark.usefixtures("at_once")
async def test_what_comes_while_a_list_is_taken_makes_the_next_one(bench: Bench) -> None:
    bench.taker.gate = asyncio.Event()
    bench.take(LISTED, 0)
    await soon(lambda: bench.taker.lists)
    bench.take(LISTED, 1)
    bench.take(LISTED, 2)
    await a_while()
    assert bench.taker.lists == [[(LISTED, 0)]], "one at a time"
    bench.taker.gate.set()
    await soon(lambda: bench.positions() == (3, 0))
    assert bench.taker.lists == [[(LISTED, 0)], [(LISTED, 1), (LISTED, 2)]]


@pytest.mark.usefixtures("at_once")
async def test_a_full_list_is_told_until_it_is_handed_over(bench: Bench) -> None:
    bench.taker.gate = asyncio.Event()
    bench.take(LISTED, 0)
    await soon(lambda: bench.taker.lists)
    assert not bench.path.is_full
    bench.take(SECOND, *range(LIST))
    assert bench.path.is_full
    bench.taker.gate.set()
    await soon(lambda: bench.positions() == (1, LIST))
    assert not bench.path.is_full


@pytest.mark.usefixtures("at_once")
async def test_more_than_a_list_is_handed_over_in_several(bench: Bench) -> None:
    bench.take(LISTED, *range(2 * LIST + 1))
    await soon(lambda: bench.positions() == (2 * LIST + 1, 0))
    assert [len(it) for it in bench.taker.lists] == [LIST, LIST, 1]


def lookups(count: int) -> dict[TP, list[Fetched]]:
    return {TP("asked", 0): [Fetched(offset) for offset in range(count)]} if count else {}


@pytest.mark.usefixtures("at_once")
async def test_while_there_are_lookups_lists_are_short(bench: Bench) -> None:
    bench.app.answer_lists(["asked"], SimpleNamespace(queued=0))
    rows = {LISTED: [Fetched(offset) for offset in range(LIST)]}
    bench.path.take({**rows, **lookups(1)}, 1)
    await soon(lambda: bench.positions() == (LIST, 0))
    assert {len(it) for it in bench.taker.lists} == {SHORT_LIST}


@pytest.mark.parametrize(("fetched", "queued"), [(BEHIND, 0), (0, BEHIND)])
@pytest.mark.usefixtures("at_once")
async def test_while_lookups_are_behind_a_list_is_taken_now_and_then(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fetched: int, queued: int
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    bench.app.answer_lists(["asked"], SimpleNamespace(queued=queued))
    rows = {LISTED: [Fetched(offset) for offset in range(3 * SHORT_LIST)]}
    bench.path.take({**rows, **lookups(fetched)}, 1)
    await soon(lambda: bench.positions() == (3 * SHORT_LIST, 0))
    assert len([it for it in pauses if 0 < it <= SHARE_SECONDS]) == 2, "but for the first"


async def test_records_of_other_topics_pass_by_as_they_are(bench: Bench) -> None:
    records = [Fetched(3)]
    left = bench.path.take({OTHER: records, LISTED: [Fetched(0)]}, 1)
    assert left == {OTHER: records}
    assert bench.path.take({OTHER: records}, 1) == {OTHER: records}


# -- what is finished, and when


@pytest.mark.usefixtures("at_once")
async def test_records_are_finished_only_after_they_were_taken_for_good(bench: Bench) -> None:
    bench.taker.gate = asyncio.Event()
    bench.take(LISTED, 0, 1)
    bench.take(SECOND, 0)
    await soon(lambda: bench.taker.lists)
    await a_while()
    assert bench.positions() == (0, 0)
    bench.taker.gate.set()
    await soon(lambda: bench.positions() == (2, 1))


@pytest.mark.usefixtures("at_once")
async def test_nothing_is_finished_after_the_generation_changed(bench: Bench) -> None:
    bench.taker.gate = asyncio.Event()
    bench.take(LISTED, 0, 1)
    await soon(lambda: bench.taker.lists)
    bench.rebalance()
    bench.taker.gate.set()
    bench.take(LISTED, 0)
    await soon(lambda: bench.positions() == (1, 0))
    await a_while()
    assert bench.taker.lists == [[(LISTED, 0), (LISTED, 1)], [(LISTED, 0)]]
    assert not bench.progress.is_finished(LISTED, 1)


@pytest.mark.usefixtures("never_by_itself")
async def test_what_waits_is_forgotten_at_an_assignment(bench: Bench) -> None:
    bench.take(LISTED, *range(LIST - 1))
    await a_while()
    bench.rebalance()
    bench.take(LISTED, 0)
    await a_while()
    assert bench.taker.lists == [], "nor does it count for the next list"
    bench.take(LISTED, *range(1, LIST))
    await soon(lambda: bench.positions() == (LIST, 0))
    assert bench.taker.lists == [[(LISTED, n) for n in range(LIST)]]


@pytest.mark.usefixtures("never_by_itself")
async def test_a_full_list_that_is_forgotten_is_full_no_more(bench: Bench) -> None:
    bench.take(LISTED, *range(LIST))
    bench.rebalance()
    assert not bench.path.is_full
    await a_while()
    assert bench.taker.lists == []


@pytest.mark.usefixtures("at_once")
async def test_what_an_older_generation_fetched_is_not_taken(bench: Bench) -> None:
    records = {LISTED: [Fetched(0)]}
    assert bench.path.take(records, bench.app.consumer_generation_id - 1) == {}
    await a_while()
    assert bench.taker.lists == []
    bench.path.take(records, bench.app.consumer_generation_id)
    await soon(lambda: bench.positions() == (1, 0))


# -- the end


@pytest.mark.usefixtures("at_once")
async def test_the_stop_waits_until_the_last_list_was_given_up(bench: Bench) -> None:
    """The database is closed next."""
    bench.taker.gate = asyncio.Event()
    bench.take(LISTED, 0)
    await soon(lambda: bench.taker.lists)
    await bench.path.stop()
    assert bench.taker.given_up
    assert bench.positions() == (0, 0)
    assert bench.app.crashed == []


@pytest.mark.usefixtures("never_by_itself")
async def test_the_stop_takes_nothing_more(bench: Bench) -> None:
    bench.take(LISTED, 0)
    await a_while()
    await bench.path.stop()
    bench.take(LISTED, *range(1, 2 * LIST))
    await a_while()
    assert bench.taker.lists == []


async def test_a_path_that_never_took_anything_stops(bench: Bench) -> None:
    async with asyncio.timeout(10):
        await bench.path.stop()


@pytest.mark.usefixtures("at_once")
async def test_a_taker_that_raises_ends_the_worker_and_finishes_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.taker.error = ValueError("unforeseen")
    bench.take(LISTED, 0)
    await soon(lambda: bench.app.crashed)
    assert bench.app.crashed == [bench.taker.error]
    assert bench.positions() == (0, 0)
    assert "a list could not be taken: ValueError" in caplog.text


@pytest.mark.usefixtures("at_once")
async def test_a_cancellation_that_a_taker_lets_through_ends_the_worker(bench: Bench) -> None:
    """Nothing would be taken any more, without a word."""

    async def take(_: object) -> None:
        raise asyncio.CancelledError

    bench.app.takes_list = take
    bench.take(LISTED, 0)
    await soon(lambda: bench.app.crashed)
