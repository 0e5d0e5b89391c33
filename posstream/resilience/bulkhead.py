"""Limits how many calls run at a time (bulkhead); the others wait while they can be in time.

The queue has no limit. A call is turned away at its last deadline, or earlier if recent calls took
so long that it could not end in time.
"""

import asyncio
from collections import deque
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Final

from posstream.resilience.clock import Clock
from posstream.resilience.demand import Demand

#: How long a queue is watched before a call is turned away early. The first calls are slow: they
#: open connections, and share the event loop with events that still arrive.
LEARN_SECONDS: Final = 5.0
#: Time between two searches for calls that would be too late.
LOOK_SECONDS: Final = 0.5
#: The pace is the time of the fastest call among the last ones that ended: this many.
_RECENT: Final = 20
#: A call is turned away early only if it would be late even at this multiple of the remaining time:
#: waiting in vain costs less than being turned away by a wrong estimate.
DOUBT: Final = 2.0


class _Waiting:
    """One call in the queue."""

    __slots__ = ("first", "place", "timer")

    def __init__(self, demand: Demand, timer: asyncio.TimerHandle) -> None:
        #: The result: whether the call may start.
        self.place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        #: The first deadline, by which the call is sorted into the queue.
        self.first = demand.first
        self.timer = timer


class Bulkhead:
    """A limit of concurrent calls; the earliest deadline goes first. For one event loop.

    The limit may change at any time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limit = 0
        self._waiting: dict[Demand, _Waiting] = {}
        #: A heap of (first deadline, number, demand); entries of calls that left are outdated.
        self._order: list[tuple[float, int, Demand]] = []
        self._numbers = count()
        #: How long the last calls took that ended while others waited, in seconds.
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._crowded_since = 0.0
        self._looked_at = 0.0
        #: How many calls are inside.
        self.inside = 0

    @property
    def queued(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    async def enter(self, limit: int, demand: Demand) -> bool:
        """Take a place, waiting for one in the queue.

        Args:
            limit: how many may be inside.
            demand: the deadlines by which the call's result is wanted; more may be added meanwhile.

        Returns:
            False if no place comes free in time. After True, `leave`.
        """
        self.resize(limit)
        if self.inside < limit:
            self._let_in(demand)
            return True
        waiting = self._queue(demand)
        try:
            return await waiting.place
        except asyncio.CancelledError:
            if self._waiting.pop(demand, None) is None and _is_granted(waiting.place):
                self.leave()  # the place was given in the same moment
            raise
        finally:
            waiting.timer.cancel()

    def resize(self, limit: int) -> None:
        """Change how many calls may be inside; waiting calls go in at once where there is room."""
        self._limit = limit
        self._call_in()

    def idle(self, limit: int) -> bool:
        """Whether no call waits and half the places are free."""
        return not self._waiting and self.inside < max(1, limit // 2)

    def leave(self, seconds: float | None = None) -> None:
        """Give the place back.

        Args:
            seconds: how long the call took; None if it made none.
        """
        self.inside -= 1
        if seconds is not None and self._waiting:
            self._recent.append(seconds)
        self._call_in()
        self._look_through()

    def _queue(self, demand: Demand) -> _Waiting:
        now = self._clock.monotonic()
        if not self._waiting:
            # The pace of an earlier queue says nothing about the calls of now.
            self._order.clear()
            self._recent.clear()
            self._crowded_since = self._looked_at = now
        waiting = self._waiting[demand] = _Waiting(demand, self._timer(demand))
        demand.moved = partial(self._moved, demand)
        heappush(self._order, (demand.first, next(self._numbers), demand))
        return waiting

    def _timer(self, demand: Demand) -> asyncio.TimerHandle:
        seconds = demand.last - self._clock.monotonic()
        turn_away = partial(self._settle, demand, granted=False)
        return asyncio.get_running_loop().call_later(seconds, turn_away)

    def _moved(self, demand: Demand) -> None:
        waiting = self._waiting.get(demand)
        if waiting is None:
            return
        waiting.timer.cancel()
        waiting.timer = self._timer(demand)
        if demand.first < waiting.first:
            waiting.first = demand.first
            heappush(self._order, (demand.first, next(self._numbers), demand))

    def _call_in(self) -> None:
        while self._waiting and self.inside < self._limit:
            demand = heappop(self._order)[-1]
            if demand in self._waiting:
                self._settle(demand, granted=not self._is_too_late(demand, ahead=0))

    def _look_through(self) -> None:
        """Turn away the calls that would end too late."""
        now = self._clock.monotonic()
        if not self._waiting or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        queue, self._order = sorted(self._order), []
        for entry in queue:
            first, _, demand = entry
            waiting = self._waiting.get(demand)
            if waiting is None or waiting.first != first:
                continue
            if self._is_too_late(demand, ahead=len(self._order)):
                self._settle(demand, granted=False)
            else:
                self._order.append(entry)

    def _is_too_late(self, demand: Demand, *, ahead: int) -> bool:
        now = self._clock.monotonic()
        if not self._recent or now - self._crowded_since < LEARN_SECONDS:
            return False
        needed = min(self._recent) * (1 + ahead / self._limit)
        return needed > DOUBT * (demand.last - now)

    def _settle(self, demand: Demand, *, granted: bool) -> None:
        waiting = self._waiting.pop(demand, None)
        if waiting is not None and not waiting.place.done():
            if granted:
                self._let_in(demand)
            waiting.place.set_result(granted)

    def _let_in(self, demand: Demand) -> None:
        self.inside += 1
        demand.begun = True


def _is_granted(place: "asyncio.Future[bool]") -> bool:
    return place.done() and not place.cancelled() and place.result()
