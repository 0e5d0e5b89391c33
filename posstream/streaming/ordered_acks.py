"""Events finished in any order, acknowledged in offset order.

A commit cannot pass the oldest event in flight, so acks wait for the head of their lane, and the
lane is what bounds the events behind it.
"""

from collections import deque
from typing import Any, Final, Protocol

from posstream.streaming.offsets import Offsets

#: Un-acked events of a partition at which its fetching pauses. The events already fetched still
#: come, so that no partition waits for another one's slow head.
WINDOW: Final = 1000
#: A topic written in transactions has a hole for each; far below, a repeat is only a repeat.
_MOST_RANGES: Final = 1000


class Intake(Protocol):
    """Fetching, partition by partition."""

    def pause(self, tp: Any) -> None:
        """Fetch no more of a partition."""
        ...

    def resume(self, tp: Any) -> None:
        """Go on fetching it."""
        ...


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

    def __init__(self, tp: Any, generation: int, intake: Intake) -> None:
        self.tp = tp
        self.generation = generation
        #: False after a rebalance: its events come again, maybe to another worker.
        self.current = True
        self.slots: deque[Slot] = deque()
        # Not "all up to the highest": what Faust drops while it recovers comes again below it.
        self.taken = Offsets(_MOST_RANGES)
        self._paused = False
        self._intake = intake

    def add(self, event: Any) -> Slot:
        slot = Slot(event, self)
        self.slots.append(slot)
        if len(self.slots) >= WINDOW:
            self._paused = True
            self._intake.pause(self.tp)
        return slot

    def drain(self) -> None:
        while self.slots and self.slots[0].done:
            event = self.slots.popleft().event
            if self.current:
                event.ack()
        if self._paused and self.current and len(self.slots) <= WINDOW // 2:
            self._paused = False
            self._intake.resume(self.tp)


class OrderedAcks:
    """The lanes of one stream. For one event loop."""

    def __init__(self, intake: Intake) -> None:
        self._lanes: dict[Any, _Lane] = {}
        self._intake = intake

    @property
    def in_flight(self) -> int:
        """Events taken and not acknowledged."""
        return sum(len(lane.slots) for lane in self._lanes.values())

    def open(self, topic: str, partition: int) -> int:
        """Events of a partition taken and not acknowledged."""
        lane = self._lanes.get((topic, partition))
        return 0 if lane is None else len(lane.slots)

    @property
    def oldest(self) -> Any | None:
        """The message of the oldest event in flight, by when it came; None if there is none."""
        heads = [lane.slots[0].event.message for lane in self._lanes.values() if lane.slots]
        return min(heads, key=lambda message: message.arrived_at or 0.0, default=None)

    def take(self, event: Any) -> Slot | None:
        """Take an event in.

        Returns:
            its slot, or None if it was taken before: a seek at the end of a recovery can
            deliver an event twice in one generation.
        """
        lane = self._lane(event.message)
        if not lane.taken.add(event.message.offset):
            return None
        return lane.add(event)

    def _lane(self, message: Any) -> _Lane:
        lane = self._lanes.get(message.tp)
        if lane is None or lane.generation != message.generation_id:
            if lane is not None:
                lane.current = False
            lane = _Lane(message.tp, message.generation_id, self._intake)
            self._lanes[message.tp] = lane
        return lane
