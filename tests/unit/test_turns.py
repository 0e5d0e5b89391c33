import asyncio

import pytest

from posstream.resilience.turns import Turn, Turns


async def take(turn: Turn, name: str, log: list[str]) -> None:
    try:
        await turn.come()
        log.append(name)
    finally:
        turn.give_up()


async def settle() -> None:
    """Let every task run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_turn_of_a_key_is_taken_at_once() -> None:
    log: list[str] = []
    await take(Turns().take("key"), "first", log)
    assert log == ["first"]


async def test_whoever_took_a_place_first_goes_first_however_late_it_comes() -> None:
    turns, log = Turns(), list[str]()
    first, second, third = (turns.take("key") for _ in range(3))
    late = [asyncio.create_task(take(third, "third", log))]
    await settle()
    late.append(asyncio.create_task(take(second, "second", log)))
    await settle()
    assert log == []
    await take(first, "first", log)
    await asyncio.gather(*late)
    assert log == ["first", "second", "third"]


async def test_a_turn_lasts_until_it_is_left() -> None:
    turns, log = Turns(), list[str]()
    first, second = turns.take("key"), turns.take("key")
    await first.come()
    waiting = asyncio.create_task(take(second, "second", log))
    await settle()
    assert log == []
    first.give_up()
    await waiting
    assert log == ["second"]


async def test_keys_do_not_wait_for_each_other() -> None:
    turns, log = Turns(), list[str]()
    turns.take("one")
    await take(turns.take("two"), "two", log)
    assert log == ["two"]


async def test_a_place_that_is_given_up_lets_the_next_one_go() -> None:
    turns, log = Turns(), list[str]()
    first, second = turns.take("key"), turns.take("key")
    first.give_up()
    await take(second, "second", log)
    assert log == ["second"]


async def test_a_turn_can_be_given_up_more_than_once() -> None:
    turns = Turns()
    turn = turns.take("key")
    turn.give_up()
    turn.give_up()
    assert "key" not in turns


async def test_a_cancelled_waiter_that_gives_up_does_not_end_the_turn_before_it() -> None:
    turns, log = Turns(), list[str]()
    first, second = turns.take("key"), turns.take("key")
    waiting = asyncio.create_task(take(second, "second", log))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not first.over.done()


async def test_a_key_is_known_from_the_first_place_to_the_last_turn() -> None:
    turns = Turns()
    assert "key" not in turns
    first, second = turns.take("key"), turns.take("key")
    first.give_up()
    assert "key" in turns
    second.give_up()
    assert "key" not in turns


async def test_a_new_turn_after_an_empty_queue_waits_for_nobody() -> None:
    turns, log = Turns(), list[str]()
    await take(turns.take("key"), "first", log)
    await take(turns.take("key"), "second", log)
    assert log == ["first", "second"]
