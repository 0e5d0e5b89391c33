"""Events finished in any order, acknowledged in offset order.

Faust 0.15.3 commits correctly only if acks arrive in offset order per partition
(faust-streaming#606), so finished events are acked strictly from the head of their lane.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

#: Un-acked events per partition: a stuck head stops intake here, and a crash repeats no more.
WINDOW: Final = 1000


class Slot:
    """The place of one event in its lane. The slot keeps the event alive until it is acked."""

    __slots__ = ("_lane", "done", "event")

    def __init__(self, event: Any, lane: "_Lane") -> None:
        self.event = event
        self.done = False
        self._lane = lane

    def finish(self) -> None:
        """The event needs nothing more: its answer is with the broker."""
        self.done = True
        self._lane.drain()


class _Lane:
    """The events of one partition in one generation, oldest first."""

    def __init__(self, generation: int, is_current: Callable[["_Lane"], bool]) -> None:
        self.generation = generation
        self.slots: deque[Slot] = deque()
        self.last_taken = -1
        self.room = asyncio.Event()
        self.room.set()
        self._is_current = is_current

    def drain(self) -> None:
        current = self._is_current(self)
        while self.slots and self.slots[0].done:
            event = self.slots.popleft().event
            if current:  # after a rebalance the event comes again, maybe to another worker
                event.ack()
        if len(self.slots) < WINDOW:
            self.room.set()


class OrderedAcks:
    """The lanes of one stream. For one event loop."""

    def __init__(self) -> None:
        self._lanes: dict[Any, _Lane] = {}

    @property
    def in_flight(self) -> int:
        """Events taken and not acknowledged."""
        return sum(len(lane.slots) for lane in self._lanes.values())

    async def take(self, event: Any) -> Slot | None:
        """Take an event in; waits while `WINDOW` events of its partition are not acked.

        Returns:
            its slot, or None if it was taken before: a seek at the end of a recovery can
            deliver an event twice in one generation.
        """
        lane = self._lane(event.message)
        while len(lane.slots) >= WINDOW:
            lane.room.clear()
            await lane.room.wait()
            lane = self._lane(event.message)
        if event.message.offset <= lane.last_taken:
            return None
        lane.last_taken = event.message.offset
        slot = Slot(event, lane)
        lane.slots.append(slot)
        return slot

    def _lane(self, message: Any) -> _Lane:
        lane = self._lanes.get(message.tp)
        if lane is None or lane.generation != message.generation_id:
            if lane is not None:
                lane.room.set()
            tp = message.tp
            lane = _Lane(message.generation_id, lambda lane: self._lanes.get(tp) is lane)
            self._lanes[tp] = lane
        return lane
