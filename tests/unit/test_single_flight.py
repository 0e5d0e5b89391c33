import asyncio

import pytest

from posstream.resilience.single_flight import Flight, SingleFlight


class Call:
    """A call that ends when the test says so."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = False
        self._result: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self, _flight: Flight[str]) -> str:
        self.started += 1
        try:
            return await self._result
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    def succeed(self, result: str) -> None:
        self._result.set_result(result)

    def fail(self, error: Exception) -> None:
        self._result.set_exception(error)


async def test_whoever_asks_for_a_key_under_way_shares_one_call() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    joined = [flights.join("key", call) for _ in range(5)]
    call.succeed("John")
    results = await asyncio.gather(*(flight.result() for flight, _ in joined))
    assert results == ["John"] * 5
    assert call.started == 1


async def test_only_the_first_one_leads() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    leads = [flights.join("key", call)[1] for _ in range(3)]
    call.succeed("")
    await flights.drain()
    assert leads == [True, False, False]


async def test_the_flight_counts_who_shares_it_besides_the_leader() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    flight, _ = flights.join("key", call)
    assert flight.waiters == 0
    flights.join("key", call)
    flights.join("key", call)
    assert flight.waiters == 2
    call.succeed("")
    await flights.drain()


async def test_the_call_is_given_its_own_flight() -> None:
    flights = SingleFlight[str, str]()
    given: list[Flight[str]] = []

    async def call(flight: Flight[str]) -> str:
        given.append(flight)
        return ""

    flight, _ = flights.join("key", call)
    await flight.result()
    assert given == [flight]


async def test_two_keys_have_two_calls() -> None:
    flights = SingleFlight[str, str]()
    one, two = Call(), Call()
    first, _ = flights.join("one", one)
    second, _ = flights.join("two", two)
    assert len(flights) == 2
    two.succeed("two")
    assert await second.result() == "two"
    one.succeed("one")
    assert await first.result() == "one"


async def test_a_key_whose_call_is_over_is_called_again() -> None:
    flights = SingleFlight[str, str]()
    for result in ("first", "second"):
        call = Call()
        flight, leads = flights.join("key", call)
        call.succeed(result)
        assert leads
        assert result == await flight.result()
        await flights.drain()


async def test_a_failed_call_fails_for_everyone_and_is_not_tried_by_each() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    joined = [flights.join("key", call)[0] for _ in range(3)]
    error = RuntimeError("the directory is dead")
    call.fail(error)
    results = await asyncio.gather(*(flight.result() for flight in joined), return_exceptions=True)
    assert [error] * 3 == results
    assert call.started == 1


async def test_a_failure_that_nobody_waits_for_is_no_warning() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    flights.join("key", call)
    call.fail(RuntimeError("nobody listens"))
    await flights.drain()
    assert len(flights) == 0


async def test_a_cancelled_waiter_never_cancels_the_call_of_the_others() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    flight, _ = flights.join("key", call)
    leaving = asyncio.create_task(flight.result())
    staying = asyncio.create_task(flight.result())
    await asyncio.wait({leaving}, timeout=0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    call.succeed("John")
    assert await staying == "John"
    assert not call.cancelled


async def test_a_result_that_comes_in_the_same_moment_as_the_end_of_time_is_taken() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    come = asyncio.get_running_loop().create_future()
    flight, _ = flights.join("k", lambda _: come)
    asking = asyncio.ensure_future(flight.result(0))
    await asyncio.sleep(0)  # its time ends in the next turn of the loop
    come.set_result("in time")
    assert await asking == "in time"


async def test_a_waiter_out_of_time_leaves_the_call_running() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    flight, _ = flights.join("key", call)
    with pytest.raises(TimeoutError):
        await flight.result(timeout_seconds=0)
    assert not call.cancelled
    call.succeed("John")
    assert await flight.result() == "John"


async def test_a_flight_that_has_not_departed_has_no_result() -> None:
    with pytest.raises(RuntimeError, match="has not departed"):
        await Flight[str]().result()


async def test_draining_waits_for_every_call_and_then_nothing_is_under_way() -> None:
    flights = SingleFlight[str, str]()
    one, two = Call(), Call()
    flights.join("one", one)
    flights.join("two", two)
    drained = asyncio.create_task(flights.drain())
    one.succeed("")
    await asyncio.wait({drained}, timeout=0)
    assert not drained.done()
    two.succeed("")
    await drained
    assert len(flights) == 0


async def test_draining_waits_for_a_call_that_another_one_starts() -> None:
    flights = SingleFlight[str, str]()
    inner = Call()

    async def outer(_flight: Flight[str]) -> str:
        flights.join("inner", inner)
        inner.succeed("")
        return ""

    flights.join("outer", outer)
    await flights.drain()
    assert inner.started == 1
    assert len(flights) == 0


# -- forgetting


async def test_a_key_is_under_way_until_its_call_is_over() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    assert "key" not in flights
    flight, _ = flights.join("key", call)
    assert "key" in flights
    assert flights.is_current("key", flight)
    call.succeed("")
    await flights.drain()
    assert "key" not in flights
    assert not flights.is_current("key", flight)


async def test_whoever_asks_after_a_flight_was_forgotten_starts_a_new_one() -> None:
    flights = SingleFlight[str, str]()
    old_call, new_call = Call(), Call()
    old, _ = flights.join("key", old_call)
    flights.forget("key")
    assert "key" not in flights
    assert not flights.is_current("key", old)
    new, leads = flights.join("key", new_call)
    assert leads
    assert flights.is_current("key", new)
    assert (old.waiters, new.waiters) == (0, 0)
    new_call.succeed("new")
    assert await new.result() == "new"
    old_call.succeed("old")
    assert await old.result() == "old"


async def test_a_forgotten_flight_that_lands_does_not_remove_the_newer_one() -> None:
    flights = SingleFlight[str, str]()
    old_call, new_call = Call(), Call()
    old, _ = flights.join("key", old_call)
    flights.forget("key")
    new, _ = flights.join("key", new_call)
    old_call.succeed("old")
    await old.result()
    await asyncio.wait({asyncio.create_task(flights.drain())}, timeout=0)
    assert len(flights) == 1
    assert flights.is_current("key", new)
    again, leads = flights.join("key", new_call)
    assert (again, leads) == (new, False)
    new_call.succeed("new")
    await flights.drain()
    assert "key" not in flights


async def test_a_forgotten_flight_still_answers_whoever_joined_it() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    joined = [flights.join("key", call)[0] for _ in range(3)]
    flights.forget("key")
    call.succeed("John")
    assert await asyncio.gather(*(flight.result() for flight in joined)) == ["John"] * 3
    assert not call.cancelled


async def test_draining_waits_for_a_forgotten_flight_too() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    flights.join("key", call)
    flights.forget("key")
    drained = asyncio.create_task(flights.drain())
    await asyncio.wait({drained}, timeout=0)
    assert not drained.done()
    assert len(flights) == 1
    call.succeed("")
    await drained
    assert len(flights) == 0


async def test_forgetting_one_key_leaves_the_others() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    flight, _ = flights.join("other", call)
    flights.forget("key")
    assert flights.is_current("other", flight)
    call.succeed("")
    await flights.drain()


async def test_all_keys_can_be_forgotten_while_they_are_looked_through() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    for key in ("one", "two", "three"):
        flights.join(key, call)
    assert set(flights) == {"one", "two", "three"}
    for key in flights:
        flights.forget(key)
    assert set(flights) == set()
    call.succeed("")
    await flights.drain()


async def test_a_drain_that_is_bounded_cancels_what_is_still_under_way_then() -> None:
    flights = SingleFlight[str, str]()
    call = Call()
    flights.join("key", call)
    await flights.drain(0.001)
    assert call.cancelled
    assert len(flights) == 0
