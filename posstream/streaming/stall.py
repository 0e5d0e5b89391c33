"""Detects a stalled consumer: events wait, and nothing is committed.

Upstream's consumer has stalled so (faust-streaming#523, #532, #596). The cure is a restart, so a
worker that stands still is not alive, and ends.
"""

from collections.abc import Iterable
from typing import Any, Final

from faust.types import TP

from posstream.resilience.clock import Clock

#: Seconds between two looks.
LOOK_SECONDS: Final = 5.0
#: Longer than any event may take: the longest deadline is 300 s.
STALLED_SECONDS: Final = 330
#: The sentence about a stalled worker.
STALLED: Final = f"events wait, and nothing was committed for {STALLED_SECONDS} s"


class StallWatch:
    """Watches the partitions of some topics for a standstill.

    Args:
        app: whose consumer it is.
        topics: their names; other topics may lag.
        clock: time.
    """

    def __init__(self, app: Any, topics: Iterable[str], *, clock: Clock) -> None:
        self._app = app
        self._topics = frozenset(topics)
        self._clock = clock
        #: Where a partition with a lag stands, and since when.
        self._standing: dict[TP, tuple[int | None, float]] = {}

    @property
    def stalled(self) -> list[str]:
        """Topics of which a partition has stood still for too long while events waited."""
        now = self._clock.monotonic()
        return sorted(
            {tp.topic for tp, (_, since) in self._standing.items() if now - since > STALLED_SECONDS}
        )

    def look(self) -> None:
        """Compare how far each partition can be read with how far its events are finished."""
        consumer = self._app.consumer
        now = self._clock.monotonic()
        before, self._standing = self._standing, {}
        for tp in [TP(*tp) for tp in consumer.assignment() if tp.topic in self._topics]:
            at = consumer.finished_to(tp)
            # The last fetch told it: asking the broker would hold up the fetches.
            end = consumer.highwater(tp)
            if (end or 0) > (at or 0):
                known = before.get(tp)
                since = known[1] if known is not None and known[0] == at else now
                self._standing[tp] = at, since
