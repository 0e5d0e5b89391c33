"""Coalesces concurrent calls of one key (single flight): later callers share the first's result."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Generic, TypeVar

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
        if self._task is None:
            raise RuntimeError("the flight has not departed")
        try:
            async with asyncio.timeout(timeout_seconds):
                return await asyncio.shield(self._task)
        except TimeoutError:
            if self._task.done() and not self._task.cancelled():
                return self._task.result()  # it came in the same round of the loop
            raise


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
