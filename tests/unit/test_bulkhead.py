import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posstream.resilience.bulkhead import QUEUE_PER_PLACE, Bulkhead

PATIENT = 60.0


async def waiting(bulkhead: Bulkhead, limit: int) -> asyncio.Task[bool]:
    """One more who waits in the queue."""
    queued = bulkhead.queued
    task = asyncio.create_task(bulkhead.enter(limit, PATIENT))
    await asyncio.sleep(0)
    assert bulkhead.queued == queued + 1
    return task


async def filled(limit: int) -> Bulkhead:
    """A bulkhead with all places taken."""
    bulkhead = Bulkhead()
    for _ in range(limit):
        assert await bulkhead.enter(limit, 0)
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
        assert await bulkhead.enter(1, PATIENT)
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
    assert not await bulkhead.enter(1, 0), "the place belongs to the one who waited"
    assert await first


async def test_a_full_queue_refuses_at_once() -> None:
    bulkhead = await filled(2)
    tasks = [await waiting(bulkhead, 2) for _ in range(2 * QUEUE_PER_PLACE)]
    refused = asyncio.create_task(bulkhead.enter(2, PATIENT))
    await asyncio.sleep(0)
    assert refused.done()
    assert not await refused
    assert not any(task.done() for task in tasks)


@pytest.mark.parametrize("wait_seconds", [-1, 0, 0.001])
async def test_whoever_waits_too_long_is_refused_and_leaves_the_queue(wait_seconds: float) -> None:
    bulkhead = await filled(1)
    assert not await bulkhead.enter(1, wait_seconds)
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
    hasty = asyncio.create_task(bulkhead.enter(1, 0))
    await asyncio.sleep(0)
    bulkhead.leave()  # its time ends in the same turn of the loop
    assert not await hasty
    assert bulkhead.inside == 0
    assert await bulkhead.enter(1, 0)


async def test_a_raised_limit_lets_those_who_wait_in_before_whoever_raised_it() -> None:
    bulkhead = await filled(1)
    first, second = await waiting(bulkhead, 1), await waiting(bulkhead, 1)
    third = asyncio.create_task(bulkhead.enter(3, PATIENT))
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
    bulkhead = Bulkhead()
    for _ in range(inside):
        assert await bulkhead.enter(limit, 0)
    assert expected is bulkhead.idle(limit)


async def test_it_is_not_idle_while_somebody_waits() -> None:
    bulkhead = await filled(1)
    await waiting(bulkhead, 1)
    assert not bulkhead.idle(100)


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
    bulkhead = Bulkhead()
    inside: list[int] = []
    most = 0

    async def visit(number: int, stay: int, patience: float) -> None:
        nonlocal most
        if not await bulkhead.enter(limit, patience):
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
