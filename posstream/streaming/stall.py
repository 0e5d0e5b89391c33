"""Detects a stalled consumer: events wait, and nothing is committed.

Upstream's consumer has stalled so (faust-streaming#523, #532, #596). The cure is a restart, so a
worker that stands still is not alive, and ends.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from faust.types import TP

from posstream.resilience.clock import Clock

#: Seconds between two looks.
LOOK_SECONDS: Final = 5.0
#: Longer than any event may take: the longest deadline is 300 s.
STALLED_SECONDS: Final = 330
#: The sentence about a stalled worker.
STALLED: Final = f"events wait, and nothing was committed for {STALLED_SECONDS} s"


@dataclass(frozen=True, slots=True)
class Standing:
    """A partition in which something waits."""

    #: The offset at which it stands; None if that is not known.
    place: int | None
    #: How many offsets wait.
    count: int
    #: When it was first seen there, in monotonic seconds.
    since: float


class PartitionWatch(ABC):
    """Notes since when partitions of some topics stand at one place.

    Args:
        app: whose consumer it is.
        topics: their names; other topics may lag.
        clock: time.
    """

    def __init__(self, app: Any, topics: Iterable[str], *, clock: Clock) -> None:
        self._app = app
        self._topics = frozenset(topics)
        self._clock = clock
        self._standing: dict[TP, Standing] = {}

    def look(self) -> None:
        """Compare where each partition stands with where it stood at the last look."""
        now = self._clock.monotonic()
        before, self._standing = self._standing, {}
        for tp in [TP(*tp) for tp in self._app.consumer.assignment() if tp.topic in self._topics]:
            place, count = self._place(tp)
            if count > 0:
                known = before.get(tp)
                since = known.since if known is not None and known.place == place else now
                self._standing[tp] = Standing(place, count, since)

    def _standing_for(self, seconds: float) -> list[tuple[TP, Standing]]:
        """The partitions that have stood still for so long."""
        now = self._clock.monotonic()
        return [it for it in sorted(self._standing.items()) if now - it[1].since >= seconds]

    @abstractmethod
    def _place(self, tp: TP) -> tuple[int | None, int]:
        """Where a partition stands, and how many offsets wait there."""


class StallWatch(PartitionWatch):
    """Watches for a standstill: events wait, and none is finished."""

    @property
    def stalled(self) -> list[str]:
        """Topics of which a partition has stood still for too long while events waited."""
        return sorted({tp.topic for tp, _ in self._standing_for(STALLED_SECONDS)})

    def _place(self, tp: TP) -> tuple[int | None, int]:
        at = self._app.consumer.finished_to(tp)
        # As the last fetch told it: to ask the broker would hold up the fetches.
        return at, (self._app.consumer.highwater(tp) or 0) - (at or 0)
