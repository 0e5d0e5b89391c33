"""The observations of a group, where each is stored, and what is to be written. Pure.

Observations stay encoded in memory, some 120 bytes of code each. One of the head is decoded each
time it is asked for. A segment is decoded as a whole, and `take_puts` and `let_go` drop what was
decoded.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from agents.fraud_detection.engine.judged import Put
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.engine.state import (
    Head,
    decode_observation,
    decode_place,
    decode_places,
    decode_segment,
    encode,
    encode_observation,
)

if TYPE_CHECKING:
    from msgspec import Raw

#: Reads the stored segment of a number.
Read = Callable[[int], bytes | None]


class _Segment(Struct, gc=False):
    """A sealed segment."""

    newest_ms: int
    #: As stored. If observations changed since, `_at_hand` has the newer ones.
    value: bytes


class Kept:
    """The observations of a group.

    Args:
        head: as it is stored; its observations and segments are changed in place.
        read: reads the segments.
        most: observations in a segment.
    """

    __slots__ = (
        "_at_hand",
        "_changed",
        "_head",
        "_most",
        "_oldest_open_ms",
        "_open",
        "_segment_of",
        "_segments",
        "_written_end",
    )

    def __init__(self, head: Head, read: Read, most: int) -> None:
        self._head = head
        self._most = most
        #: In which segment an observation is; those of the head are in none.
        self._segment_of: dict[str, int] = {}
        self._segments: dict[int, _Segment] = {}
        #: Decoded segments: by number, the observations by id.
        self._at_hand: dict[int, dict[str, Observation]] = {}
        #: Those of the head, encoded, each with its time.
        self._open: dict[str, tuple[int, Raw]] = {}
        #: The segments to write or remove, and the end of those that were written.
        self._changed: set[int] = set()
        self._written_end = head.end
        for number in range(head.first, head.end):
            self._fill(number, read(number))
        for value in head.observations:
            place = decode_place(value)
            if place.at_ms > head.horizon_ms:
                self._open[place.event_id] = place.at_ms, value
                self._segment_of.pop(place.event_id, None)
        self._oldest_open_ms = self._oldest()

    def __len__(self) -> int:
        """How many observations are in memory."""
        return len(self._open) + len(self._segment_of)

    def __getitem__(self, event_id: str) -> Observation:
        """The observation of an event, even if the horizon has passed it since."""
        known = self._open.get(event_id)
        if known is None:
            return self._of(self._segment_of[event_id])[event_id]
        return decode_observation(known[1])

    def get(self, event_id: str) -> Observation | None:
        """The observation of an event, if there is one past the horizon."""
        if event_id not in self._segment_of and event_id not in self._open:
            return None
        known = self[event_id]
        return None if known.at_ms <= self._head.horizon_ms else known

    def live(self) -> Iterable[Observation]:
        """All observations past the horizon, in any order."""
        horizon_ms, segment_of = self._head.horizon_ms, self._segment_of
        found = [decode_observation(raw) for at, raw in self._open.values() if at > horizon_ms]
        for number in self._segments:
            found += [
                it
                for event_id, it in self._of(number).items()
                if it.at_ms > horizon_ms and segment_of.get(event_id) == number
            ]
        return found

    def times(self) -> Iterable[int]:
        """The times of all observations past the horizon, in any order."""
        horizon_ms, segment_of = self._head.horizon_ms, self._segment_of
        for number, segment in self._segments.items():
            its = self._at_hand.get(number)
            for it in decode_places(segment.value) if its is None else its.values():
                if it.at_ms > horizon_ms and segment_of.get(it.event_id) == number:
                    yield it.at_ms
        yield from (at for at, _ in self._open.values() if at > horizon_ms)

    def put(self, it: Observation) -> None:
        """Put an observation in, or in the place of the one with its id."""
        self.forget()
        number = self._segment_of.get(it.event_id)
        if number is not None:
            self._of(number)[it.event_id] = it
            segment = self._segments[number]
            segment.newest_ms = max(segment.newest_ms, it.at_ms)
            self._changed.add(number)
            return
        if len(self._open) >= self._most and it.event_id not in self._open:
            self._seal()
        self._open[it.event_id] = it.at_ms, encode_observation(it)
        self._oldest_open_ms = min(self._oldest_open_ms, it.at_ms)

    def put_again(self, event_id: str) -> None:
        """Write an observation once more as it is, and the segment that it may have sealed."""
        number = self._segment_of.get(event_id, self._head.end)
        self._changed |= {number - 1, number} & self._segments.keys()

    def forget(self) -> None:
        """Let the observations up to the horizon go, and the segments that have no others."""
        horizon_ms, head = self._head.horizon_ms, self._head
        # Segments are sealed in the order of arrival: the first one is out of the horizon first.
        while head.first < head.end and self._segments[head.first].newest_ms <= horizon_ms:
            for event_id in self._ids_of(head.first):
                if self._segment_of.get(event_id) == head.first:
                    del self._segment_of[event_id]
            del self._segments[head.first]
            self._at_hand.pop(head.first, None)
            self._changed.add(head.first)
            head.first += 1
        if self._oldest_open_ms <= horizon_ms:
            self._open = {event_id: it for event_id, it in self._open.items() if it[0] > horizon_ms}
            self._oldest_open_ms = self._oldest()

    def take_puts(self) -> tuple[list[Put], list[Put]]:
        """What is to be written before the head and after it, since the last call.

        A crash may come after any of the puts. So a new segment is written before the head that
        counts it. A segment that is removed, or has a revised observation, is written after the
        head: the observation comes again after a crash.
        """
        self._head.observations = [raw for _, raw in self._open.values()]
        before: list[Put] = []
        after: list[Put] = []
        for number in sorted(self._changed):
            segment = self._segments.get(number)
            if segment is not None and number in self._at_hand:
                segment.value = encode(self._known_of(number))
            value = None if segment is None else segment.value
            is_new = value is not None and number >= self._written_end
            (before if is_new else after).append(Put(segment=number, value=value))
        self._changed.clear()
        self._written_end = self._head.end
        self._at_hand = {}
        return before, after

    def let_go(self) -> None:
        """Drop the decoded observations of segments; only if nothing changed since `take_puts`."""
        self._at_hand = {}

    def _fill(self, number: int, value: bytes | None) -> None:
        horizon_ms, its = self._head.horizon_ms, decode_segment(value)
        newest_ms = max((it.at_ms for it in its), default=-1)
        self._segments[number] = _Segment(newest_ms, value or b"")
        self._at_hand[number] = {it.event_id: it for it in its}
        self._segment_of |= {it.event_id: number for it in its if it.at_ms > horizon_ms}

    def _seal(self) -> None:
        number, self._head.end = self._head.end, self._head.end + 1
        newest_ms = max(at for at, _ in self._open.values())
        value = encode([raw for _, raw in self._open.values()])
        self._segments[number] = _Segment(newest_ms, value)
        self._segment_of |= dict.fromkeys(self._open, number)
        self._changed.add(number)
        self._open = {}
        self._oldest_open_ms = self._oldest()

    def _of(self, number: int) -> dict[str, Observation]:
        """The observations in the value of a segment, by id."""
        its = self._at_hand.get(number)
        if its is None:
            its = {it.event_id: it for it in decode_segment(self._segments[number].value)}
            self._at_hand[number] = its
        return its

    def _ids_of(self, number: int) -> Iterable[str]:
        its = self._at_hand.get(number)
        if its is not None:
            return its
        return [it.event_id for it in decode_places(self._segments[number].value)]

    def _known_of(self, number: int) -> list[Observation]:
        """The observations of a segment, without those that are elsewhere or gone."""
        segment_of = self._segment_of
        return [
            it for event_id, it in self._of(number).items() if segment_of.get(event_id) == number
        ]

    def _oldest(self) -> int:
        return min((at for at, _ in self._open.values()), default=1 << 62)
