"""The observations of a group, where each is stored, and what is to be written. Pure."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from agents.fraud_detection.engine.judged import Put
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.engine.state import (
    Head,
    decode_observation,
    decode_segment,
    encode,
    encode_observation,
)

if TYPE_CHECKING:
    from msgspec import Raw

#: Reads a stored value: the head for None, else the segment of a number.
Read = Callable[[int | None], bytes | None]


class Kept:
    """The observations of a group.

    Args:
        head: as it is stored; its observations and segments are changed in place.
        read: reads the segments.
        most: observations in a segment.
    """

    def __init__(self, head: Head, read: Read, most: int) -> None:
        self._head = head
        self._most = most
        self.by_id: dict[str, Observation] = {}
        #: In which segment an observation is; those of the head are in none.
        self._segment_of: dict[str, int] = {}
        #: The ids of each segment, and the newest time in it.
        self._segments: dict[int, tuple[list[str], int]] = {}
        self._open: dict[str, Raw] = {}
        #: The segments to write or remove, and the end of those that were written.
        self._changed: set[int] = set()
        self._written_end = head.end
        for number in range(head.first, head.end):
            self._fill(number, decode_segment(read(number)))
        for value in head.observations:
            observation = decode_observation(value)
            if observation.at_ms > head.horizon_ms:
                self.by_id[observation.event_id] = observation
                self._open[observation.event_id] = value
                self._segment_of.pop(observation.event_id, None)
        self._oldest_open_ms = self._oldest()

    def get(self, event_id: str) -> Observation | None:
        """The observation of an event, if there is one past the horizon."""
        known = self.by_id.get(event_id)
        return None if known is None or known.at_ms <= self._head.horizon_ms else known

    def live(self) -> Iterable[Observation]:
        """All observations past the horizon, in any order."""
        horizon_ms = self._head.horizon_ms
        return [it for it in self.by_id.values() if it.at_ms > horizon_ms]

    def put(self, it: Observation) -> None:
        """Put an observation in, or in the place of the one with its id."""
        self.forget()
        self.by_id[it.event_id] = it
        number = self._segment_of.get(it.event_id)
        if number is not None:
            ids, newest = self._segments[number]
            self._segments[number] = ids, max(newest, it.at_ms)
            self._changed.add(number)
            return
        if len(self._open) >= self._most and it.event_id not in self._open:
            self._seal()
        self._open[it.event_id] = encode_observation(it)
        self._oldest_open_ms = min(self._oldest_open_ms, it.at_ms)

    def forget(self) -> None:
        """Let the observations up to the horizon go, and the segments that have no others."""
        horizon_ms, head = self._head.horizon_ms, self._head
        # Segments are sealed in the order of arrival: the first one is out of the horizon first.
        while head.first < head.end and self._segments[head.first][1] <= horizon_ms:
            for event_id in self._segments.pop(head.first)[0]:
                if self._segment_of.get(event_id) == head.first:
                    del self._segment_of[event_id], self.by_id[event_id]
            self._changed.add(head.first)
            head.first += 1
        if self._oldest_open_ms <= horizon_ms:
            for event_id in [it for it in self._open if self.by_id[it].at_ms <= horizon_ms]:
                del self._open[event_id], self.by_id[event_id]
            self._oldest_open_ms = self._oldest()

    def take_puts(self) -> tuple[list[Put], list[Put]]:
        """What is to be written before the head and after it, since the last call.

        A crash may come after any of the puts. So a new segment is written before the head that
        counts it. A segment that is removed, or has a revised observation, is written after the
        head: the observation comes again after a crash.
        """
        self._head.observations = list(self._open.values())
        before: list[Put] = []
        after: list[Put] = []
        for number in sorted(self._changed):
            value = encode(self._of_segment(number)) if number in self._segments else None
            is_new = value is not None and number >= self._written_end
            (before if is_new else after).append(Put(segment=number, value=value))
        self._changed.clear()
        self._written_end = self._head.end
        return before, after

    def _fill(self, number: int, observations: list[Observation]) -> None:
        horizon_ms, ids, newest = self._head.horizon_ms, [], -1
        for it in observations:
            newest = max(newest, it.at_ms)
            ids.append(it.event_id)
            if it.at_ms > horizon_ms:
                self.by_id[it.event_id] = it
                self._segment_of[it.event_id] = number
        self._segments[number] = ids, newest

    def _seal(self) -> None:
        number, self._head.end = self._head.end, self._head.end + 1
        newest = max(self.by_id[it].at_ms for it in self._open)
        self._segments[number] = list(self._open), newest
        self._segment_of |= dict.fromkeys(self._open, number)
        self._changed.add(number)
        self._open = {}
        self._oldest_open_ms = self._oldest()

    def _of_segment(self, number: int) -> list[Observation]:
        ids, _ = self._segments[number]
        return [self.by_id[each] for each in ids if self._segment_of.get(each) == number]

    def _oldest(self) -> int:
        return min((self.by_id[it].at_ms for it in self._open), default=1 << 62)
