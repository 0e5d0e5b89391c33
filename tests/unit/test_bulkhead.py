import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from posstream.resilience.bulkhead import DOUBT, LEARN_SECONDS, LOOK_SECONDS, Bulkhead
from posstream.resilience.clock import Clock
from posstream.resilience.demand import Demand
from tests.manual_clock import ManualClock

PATIENT = 60.0


async def enter(bulkhead: Bulkhead, limit: int, seconds: float) -> bool:
    """Enter, waiting for as long."""
    demand = Demand()
    demand.add(Clock().monotonic() + seconds)
    return await bulkhead.enter(limit, demand)


async def waiting(bulkhead: Bulkhead, limit: int) -> asyncio.Task[bool]:
    """One more who waits in the queue."""
    queued = bulkhead.queued
    task = asyncio.create_task(enter(bulkhead, limit, PATIENT))
    await asyncio.sleep(0)
    assert bulkhead.queued == queued + 1
    return task


async def filled(limit: int) -> Bulkhead:
    """A bulkhead with all places taken."""
    bulkhead = Bulkhead(Clock())
    for _ in range(limit):
        assert await enter(bulkhead, limit, 0)
    return bulkhead


async def test_as_many_as_the_limit_enter_without_a_wait() -> None:
    bulkhead = await filled(3)
    assert (bulkhead.inside, bulkhead.queued) == (3, 0)
    await waiting(bulkhead, 3)
    assert bulkhead.inside == 3


async def test_whoever_leaves_lets_the_next_one_in() -> None:
    bulkhead = await filled(1)
    task = await waiting(bulkhead, 1)
    bulkhead.leave()
    assert await task
    assert (bulkhead.inside, bulkhead.queued) == (1, 0)


async def test_first_come_first_served() -> None:
    bulkhead = await filled(1)
    entered: list[int] = []

    async def visit(number: int) -> None:
        assert await enter(bulkhead, 1, PATIENT)
        entered.append(number)
        bulkhead.leave()

    visits = [asyncio.create_task(visit(number)) for number in range(8)]
    await asyncio.sleep(0)
    bulkhead.leave()
    await asyncio.gather(*visits)
    assert entered == list(range(8))


async def test_nobody_passes_those_who_were_called_in() -> None:
    bulkhead = await filled(1)
    first = await waiting(bulkhead, 1)
    bulkhead.leave()
    assert not await enter(bulkhead, 1, 0), "the place belongs to the one who waited"
    assert await first


async def test_the_queue_has_no_length() -> None:
    bulkhead = await filled(1)
    tasks = [asyncio.create_task(enter(bulkhead, 1, PATIENT)) for _ in range(5000)]
    await asyncio.sleep(0)
    assert bulkhead.queued == 5000
    bulkhead.resize(5001)
    assert all(await asyncio.gather(*tasks))


@pytest.mark.parametrize("wait_seconds", [-1, 0, 0.001])
async def test_whoever_waits_too_long_is_refused_and_leaves_the_queue(wait_seconds: float) -> None:
    bulkhead = await filled(1)
    assert not await enter(bulkhead, 1, wait_seconds)
    assert (bulkhead.inside, bulkhead.queued) == (1, 0)


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    bulkhead = await filled(1)
    leaving, staying = await waiting(bulkhead, 1), await waiting(bulkhead, 1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert bulkhead.queued == 1
    bulkhead.leave()
    assert await staying
    assert (bulkhead.inside, bulkhead.queued) == (1, 0)


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_waiter_cancelled_as_its_place_comes_free_loses_no_place(
    *, cancelled_first: bool
) -> None:
    bulkhead = await filled(1)
    leaving, staying = await waiting(bulkhead, 1), await waiting(bulkhead, 1)
    if cancelled_first:
        leaving.cancel()
        bulkhead.leave()
    else:
        bulkhead.leave()
        leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await staying
    assert (bulkhead.inside, bulkhead.queued) == (1, 0)


async def test_a_waiter_whose_time_ends_as_its_place_comes_free_loses_no_place() -> None:
    bulkhead = await filled(1)
    hasty = asyncio.create_task(enter(bulkhead, 1, 0))
    await asyncio.sleep(0)
    bulkhead.leave()  # its time ends in the same turn of the loop
    assert await hasty
    assert (bulkhead.inside, bulkhead.queued) == (1, 0)
    bulkhead.leave()
    assert await enter(bulkhead, 1, 0)


async def test_a_raised_limit_lets_those_who_wait_in_before_whoever_raised_it() -> None:
    bulkhead = await filled(1)
    first, second = await waiting(bulkhead, 1), await waiting(bulkhead, 1)
    third = asyncio.create_task(enter(bulkhead, 3, PATIENT))
    assert await first
    assert await second
    assert not third.done()
    assert (bulkhead.inside, bulkhead.queued) == (3, 1)
    bulkhead.leave()
    assert await third


async def test_a_lowered_limit_turns_nobody_out_and_lets_nobody_in_above_it() -> None:
    bulkhead = await filled(4)
    task = await waiting(bulkhead, 2)
    bulkhead.leave()
    bulkhead.leave()
    assert (bulkhead.inside, bulkhead.queued) == (2, 1)
    bulkhead.leave()
    assert await task
    assert bulkhead.inside == 2


@pytest.mark.parametrize(
    ("limit", "inside", "expected"),
    [
        (1, 0, True),
        (1, 1, False),
        (2, 0, True),
        (2, 1, False),
        (10, 4, True),
        (10, 5, False),
        (11, 4, True),
        (11, 5, False),
    ],
)
async def test_it_is_idle_while_half_its_places_are_free(
    limit: int, inside: int, *, expected: bool
) -> None:
    bulkhead = Bulkhead(Clock())
    for _ in range(inside):
        assert await enter(bulkhead, limit, 0)
    assert expected is bulkhead.idle(limit)


async def test_it_is_not_idle_while_somebody_waits() -> None:
    bulkhead = await filled(1)
    await waiting(bulkhead, 1)
    assert not bulkhead.idle(100)


# -- who goes first, and who is turned away


class Crowd:
    """Those who wait for a bulkhead with all places taken, on a clock that the test moves."""

    def __init__(self, limit: int) -> None:
        self.clock = ManualClock()
        self.bulkhead = Bulkhead(self.clock)
        self.limit = limit
        self.demands: dict[str, Demand] = {}
        self.entered: list[str] = []
        self.refused: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        for _ in range(limit):
            self.come("", None)

    def come(self, name: str, seconds: float | None) -> None:
        """Somebody comes who waits for so long; None: nobody waits, but it is worth an hour."""
        demand = self.demands[name] = Demand()
        if seconds is None:
            demand.last = self.clock.monotonic() + 3600
        else:
            demand.add(self.clock.monotonic() + seconds)
        self._tasks.append(asyncio.ensure_future(self._wait(name, demand)))

    async def _wait(self, name: str, demand: Demand) -> None:
        granted = await self.bulkhead.enter(self.limit, demand)
        (self.entered if granted else self.refused).append(name)

    async def settled(self) -> None:
        """Everything that can happen now has happened."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def serve(self, calls: int, *, seconds: float) -> None:
        """So many calls end in turn, each of which took as long on its place."""
        for _ in range(calls):
            self.clock.advance(seconds / self.limit)
            self.bulkhead.leave(seconds)
            await self.settled()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest_asyncio.fixture
async def crowd() -> AsyncIterator[Crowd]:
    """A crowd before one place."""
    crowd = Crowd(1)
    await crowd.settled()
    crowd.entered.clear()
    yield crowd
    await crowd.end()


async def test_the_earliest_deadline_goes_first_and_what_nobody_waits_for_last(
    crowd: Crowd,
) -> None:
    crowd.come("nobody waits", None)
    for name, seconds in (("long", 60), ("short", 1), ("long too", 60), ("middle", 30)):
        crowd.come(name, seconds)
    await crowd.settled()
    await crowd.serve(5, seconds=0.01)
    assert crowd.entered == ["short", "middle", "long", "long too", "nobody waits"]


async def test_whoever_joins_a_call_in_a_hurry_brings_it_forward_and_keeps_it_longer(
    crowd: Crowd,
) -> None:
    crowd.come("first", 30)
    crowd.come("shared", 60)
    await crowd.settled()
    crowd.demands["shared"].add(crowd.clock.monotonic() + 1)
    await crowd.serve(1, seconds=0.01)
    assert crowd.entered == ["shared"]
    crowd.come("over", 0)
    crowd.come("kept", 0)
    crowd.demands["over"].add(crowd.clock.monotonic())
    await asyncio.sleep(0)
    crowd.demands["kept"].add(crowd.clock.monotonic() + 60)
    async with asyncio.timeout(10):
        while not crowd.refused:  # noqa: ASYNC110 - it waits for a timer
            await asyncio.sleep(0)
    assert (crowd.refused, crowd.bulkhead.queued) == (["over"], 2)


async def test_the_work_on_a_demand_begins_with_its_place(crowd: Crowd) -> None:
    crowd.come("it", 60)
    await crowd.settled()
    assert not crowd.demands["it"].begun
    await crowd.serve(1, seconds=0.01)
    assert crowd.demands["it"].begun


async def test_nobody_is_turned_away_before_a_call_ended(crowd: Crowd) -> None:
    for number in range(1000):
        crowd.come(str(number), 60)
    await crowd.settled()
    crowd.clock.advance(59)
    crowd.come("late", 60)
    await crowd.settled()
    assert (crowd.refused, crowd.bulkhead.queued) == ([], 1001)


async def test_all_wait_who_can_be_served_at_the_present_pace(crowd: Crowd) -> None:
    for number in range(220):
        crowd.come(str(number), 12)
    await crowd.settled()
    await crowd.serve(220, seconds=0.05)
    assert (len(crowd.entered), crowd.refused) == (220, [])


async def test_those_are_turned_away_for_whom_the_pace_is_too_slow_by_far(crowd: Crowd) -> None:
    for number in range(1000):
        crowd.come(str(number), 12)
    await crowd.settled()
    await crowd.serve(1, seconds=LEARN_SECONDS)
    left = 12 - LEARN_SECONDS
    assert left > LEARN_SECONDS
    kept = int(DOUBT * left / LEARN_SECONDS)
    assert (len(crowd.entered), crowd.bulkhead.queued) == (1, kept)
    assert crowd.refused == [str(number) for number in range(1 + kept, 1000)], "the last ones"


async def test_a_pace_that_falls_turns_more_away_once_it_is_no_exception(crowd: Crowd) -> None:
    for number in range(400):
        crowd.come(str(number), 100)
    await crowd.settled()
    await crowd.serve(120, seconds=0.05)
    await crowd.serve(19, seconds=2)
    assert crowd.refused == [], "one of the last 20 calls was fast"
    await crowd.serve(1, seconds=2)
    left = 100 - crowd.clock.monotonic()
    assert crowd.bulkhead.queued == int(DOUBT * left / 2)


async def test_no_look_through_the_queue_comes_too_soon_after_another(crowd: Crowd) -> None:
    for number in range(400):
        crowd.come(str(number), 12)
    await crowd.settled()
    await crowd.serve(1, seconds=LEARN_SECONDS)
    crowd.come("late", 1)
    queued = crowd.bulkhead.queued
    await crowd.settled()
    await crowd.serve(1, seconds=LOOK_SECONDS / 2)
    assert crowd.bulkhead.queued == queued, "one left, one came, nobody was turned away"


async def test_a_place_is_not_given_to_who_could_not_be_served_in_time_any_more(
    crowd: Crowd,
) -> None:
    crowd.come("too late", 12)
    crowd.come("in time", 60)
    await crowd.settled()
    await crowd.serve(1, seconds=11)
    assert (crowd.refused, crowd.entered) == (["too late"], ["in time"])


async def test_what_an_earlier_crowd_met_is_forgotten(crowd: Crowd) -> None:
    crowd.come("before", 60)
    await crowd.settled()
    await crowd.serve(1, seconds=30)
    assert crowd.bulkhead.queued == 0
    for number in range(100):
        crowd.come(str(number), 12)
    await crowd.settled()
    crowd.clock.advance(LEARN_SECONDS)
    await crowd.serve(50, seconds=0.05)
    assert crowd.refused == []


async def test_a_call_that_reached_no_directory_says_nothing_of_the_pace(crowd: Crowd) -> None:
    for number in range(100):
        crowd.come(str(number), 12)
    await crowd.settled()
    crowd.clock.advance(11)
    crowd.bulkhead.leave()
    await crowd.settled()
    assert crowd.refused == []


# -- whatever happens

#: How long one stays, how long one waits, and when one is cancelled: turns, seconds, turns.
visitors = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from([0, 0.0001, PATIENT]),
        st.none() | st.integers(0, 12),
    ),
    min_size=1,
    max_size=60,
)


@settings(deadline=None)
@given(visitors, st.integers(1, 4))
async def test_never_more_than_the_limit_are_inside_and_no_place_is_lost(
    visitors: list[tuple[int, float, int | None]], limit: int
) -> None:
    bulkhead = Bulkhead(Clock())
    inside: list[int] = []
    most = 0

    async def visit(number: int, stay: int, patience: float) -> None:
        nonlocal most
        if not await enter(bulkhead, limit, patience):
            return
        inside.append(number)
        most = max(most, len(inside))
        try:
            for _ in range(stay):
                await asyncio.sleep(0)
        finally:
            inside.remove(number)
            bulkhead.leave()

    tasks = [
        asyncio.create_task(visit(number, stay, patience))
        for number, (stay, patience, _) in enumerate(visitors)
    ]
    for turn in range(13):
        for task, (_, _, cancelled_at) in zip(tasks, visitors, strict=True):
            if cancelled_at == turn:
                task.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ended} <= {type(None), asyncio.CancelledError}
    assert most <= limit
    assert (bulkhead.inside, bulkhead.queued) == (0, 0)
