"""Detects a stalled consumer, whose events wait, and transactions that hold events back.

Upstream's consumer has stalled so (faust-streaming#523, #532, #596). The cure is a restart, so a
worker that stands still is not alive, and ends.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from faust.types import TP

from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK_SECONDS: Final = 5.0
#: Longer than any event may take: the longest deadline is 300 s.
STALLED_SECONDS: Final = 330
#: The sentence about a stalled worker.
STALLED: Final = f"events wait, and nothing was committed for {STALLED_SECONDS} s"
#: An open transaction that has held records back for this long is said to hang.
HANGS_SECONDS: Final = 10
#: How many partitions `/health/ready` names.
_MOST_NAMED: Final = 3


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
        for tp in [TP(*tp) for tp in self._app.consumer.assignment() if self._watches(tp.topic)]:
            place, count = self._place(tp)
            if count > 0:
                known = before.get(tp)
                since = known.since if known is not None and known.place == place else now
                self._standing[tp] = Standing(place, count, since)

    def _watches(self, topic: str) -> bool:
        # The events of a plugin that is switched off wait on purpose, and are not fetched: nothing
        # new is known of their partitions.
        return topic in self._topics and bool(self._app.lanes.is_on(topic))

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


class TransactionWatch(PartitionWatch):
    """Watches for open transactions of other producers, behind which nothing can be read.

    Only what is committed is read, so a transaction whose producer hangs holds back everything
    that was written behind its first record. Kafka aborts it after its timeout, 15 minutes at most
    unless the cluster allows more; until then the worker can only warn.
    """

    def __init__(self, app: Any, topics: Sequence[str], *, clock: Clock) -> None:
        super().__init__(app, topics, clock=clock)
        self._said: set[tuple[TP, int | None]] = set()

    @property
    def held_back(self) -> int:
        """How many offsets cannot be read because of open transactions."""
        return sum(held.count for held in self._standing.values())

    @property
    def warnings(self) -> Sequence[str]:
        """A sentence for each partition with a transaction that hangs; only the first few."""
        return [_sentence(tp, held) for tp, held in self._standing_for(HANGS_SECONDS)[:_MOST_NAMED]]

    def look(self) -> None:
        """Compare the end of each partition with the offset up to which it can be read."""
        super().look()
        hanging = {(tp, held.place): held for tp, held in self._standing_for(HANGS_SECONDS)}
        for tp, start in sorted(self._said - hanging.keys()):
            log.warning("the transaction at %s/%d/%d holds up nothing any more", *tp, start)
        for place in sorted(hanging.keys() - self._said):
            log.warning("%s", _sentence(place[0], hanging[place]))
        self._said = set(hanging)

    def _place(self, tp: TP) -> tuple[int, int]:
        place: tuple[int, int] = self._app.consumer.held_back(tp)
        return place


def _sentence(tp: TP, held: Standing) -> str:
    return (
        f"an open transaction at {tp.topic}/{tp.partition}/{held.place} holds up {held.count} "
        "records: what is behind it can be read when its producer commits or aborts it"
    )
