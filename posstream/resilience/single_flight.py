"""Coalesces concurrent calls of one key (single flight): later callers share the first's result."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

from posstream.resilience.demand import Demand

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class Flight(Generic[Result]):
    """One call under way."""

    def __init__(self) -> None:
        #: How many callers share the call besides the one that started it.
        self.waiters = 0
        #: The deadlines of the callers that wait for the result; each caller adds its own.
        self.demand = Demand()
        self._task: asyncio.Task[Result] | None = None

    def depart(self, call: Awaitable[Result]) -> asyncio.Task[Result]:
        """Start the call in a task of its own."""
        self._task = asyncio.ensure_future(call)
        return self._task

    async def result(self, timeout_seconds: float | None = None) -> Result:
        """Wait for the call's result, or raise what it raised.

        Raises:
            TimeoutError: after `timeout_seconds`; the call itself goes on.

        A waiter that is cancelled or runs out of time never cancels the call for the others.
        """
        task = self._task
        if task is None:
            raise RuntimeError("the flight has not departed")
        if not task.done() and not await _ends(task, timeout_seconds):
            raise TimeoutError
        return task.result()


class SingleFlight(Generic[Key, Result]):
    """The flights under way, by key. For one event loop."""

    def __init__(self) -> None:
        self._flights: dict[Key, Flight[Result]] = {}
        self._tasks: set[asyncio.Task[Result]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def join(
        self, key: Key, call: Callable[[Flight[Result]], Awaitable[Result]]
    ) -> tuple[Flight[Result], bool]:
        """Join the flight of `key`, starting one by `call(flight)` if there is none.

        Returns:
            the flight, and whether this caller started it (and leads it).
        """
        flight = self._flights.get(key)
        if flight is not None:
            flight.waiters += 1
            return flight, False
        flight = self._flights[key] = Flight()
        task = flight.depart(call(flight))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._landed(key, flight, done))
        return flight, True

    def __contains__(self, key: Key) -> bool:
        return key in self._flights

    def __iter__(self) -> Iterator[Key]:
        """The keys that have a flight to join."""
        return iter(list(self._flights))

    def is_current(self, key: Key, flight: Flight[Result]) -> bool:
        """Whether a caller that asks for `key` now would join this flight."""
        return self._flights.get(key) is flight

    def forget(self, key: Key) -> None:
        """Let the next caller for `key` start a new flight; the old one goes on."""
        self._flights.pop(key, None)

    async def drain(self, seconds: float | None = None) -> None:
        """Wait until no call is under way; cancel those that still are after `seconds`."""
        while self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()

    def _landed(self, key: Key, flight: Flight[Result], task: asyncio.Task[Result]) -> None:
        if self.is_current(key, flight):
            self.forget(key)
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved: all waiters may have left


async def _ends(task: "asyncio.Task[Any]", timeout_seconds: float | None) -> bool:
    """Wait until a task is done, but not for long; whether it is.

    A shield and a timeout of asyncio make more objects, and each lookup waits here.
    """
    loop = asyncio.get_running_loop()
    awake: asyncio.Future[None] = loop.create_future()

    def wake(_: "asyncio.Task[Any] | None" = None) -> None:
        if not awake.done():
            awake.set_result(None)

    timer = None if timeout_seconds is None else loop.call_later(timeout_seconds, wake)
    task.add_done_callback(wake)
    try:
        await awake
    finally:
        if timer is not None:
            timer.cancel()
        if not task.done():
            task.remove_done_callback(wake)
    return task.done()
