"""A bulkhead: so many at a time, a bounded queue before them, and nobody waits without end."""

import asyncio
from collections import deque
from typing import Final

#: Places in the queue for each place inside.
QUEUE_PER_PLACE: Final = 10


class Bulkhead:
    """First come, first served. For one event loop; the limit may change at any time."""

    def __init__(self) -> None:
        self._limit = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        #: How many are inside.
        self.inside = 0

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue)

    async def enter(self, limit: int, wait_seconds: float) -> bool:
        """Take a place, waiting for one in the queue.

        Returns:
            False if the queue is full, or no place came free in time. After True, `leave`.
        """
        self._limit = limit
        self._call_in()
        if self.inside < limit:
            self.inside += 1
            return True
        if self.queued >= limit * QUEUE_PER_PLACE:
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            async with asyncio.timeout(wait_seconds):
                await place
        except (TimeoutError, asyncio.CancelledError) as why:
            if place in self._queue:
                self._queue.remove(place)
            elif not place.cancelled():
                self.leave()  # it was given to us in the same moment
            if isinstance(why, asyncio.CancelledError):
                raise
            return False
        return True

    def idle(self, limit: int) -> bool:
        """Whether nobody waits and half the places are free."""
        return not self._queue and self.inside < max(1, limit // 2)

    def leave(self) -> None:
        """Give the place back."""
        self.inside -= 1
        self._call_in()

    def _call_in(self) -> None:
        while self._queue and self.inside < self._limit:
            place = self._queue.popleft()
            if not place.done():
                self.inside += 1
                place.set_result(None)
