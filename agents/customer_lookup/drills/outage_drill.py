"""The outage drill as one worker sees it: the newest record of the topic says what runs.

Every worker follows the topic, so a drill runs everywhere or nowhere; each ends it by its clock.
"""

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from agents.customer_lookup.drills.drill import Drill, drill_record, read_drill
from agents.customer_lookup.metrics import LookupMetrics
from posstream.kafka.record import Record
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: Drills that a worker remembers.
MOST_SEEN: Final = 50


class OutageDrills:
    """The newest drill, its start and its end.

    Args:
        publish: writes a record and waits for the broker; raises PublishFailed.
        clock: time.
        metrics: `drill_active` is 1 while one runs.
    """

    def __init__(
        self, *, publish: Callable[[Record], Awaitable[None]], clock: Clock, metrics: LookupMetrics
    ) -> None:
        self._publish = publish
        self._clock = clock
        #: The newest drill, over or not; None if there never was one.
        self.newest: Drill | None = None
        #: The drill whose begin was logged, and whose end was not.
        self._told: Drill | None = None
        #: The last drills that this worker has seen, by their start.
        self._seen: dict[int, Drill] = {}
        metrics.drill_active.set_function(lambda: float(self.running is not None))

    @property
    def seen(self) -> Sequence[Drill]:
        """The last drills, over or not, newest first.

        A worker that starts finds those that the compacted topic still has.
        """
        return [self._seen[at] for at in sorted(self._seen, reverse=True)]

    @property
    def running(self) -> Drill | None:
        """The drill that runs now."""
        drill = self.newest
        return drill if drill is not None and drill.runs(self._clock.now_ms()) else None

    def take(self, value: bytes | None) -> None:
        """Follow a record of the topic; a record that is not usable ends the drill that runs."""
        self._know(None if value is None else read_drill(value))
        if value is not None and self.newest is None:
            log.warning("a record of the outage drills is not usable: no drill runs")
        self.look()

    def look(self) -> None:
        """Log the start and the end of a drill; call this often."""
        before, now = self._told, self.running
        if now is not None and before is None:
            log.warning("an outage drill runs: %s", _described(now))
        elif before is not None and now is None:
            by = None if self.newest is None else self.newest.stopped_by
            log.warning("the outage drill is over%s", f", stopped by {by}" if by else "")
        self._told = now

    async def start(self, drill: Drill) -> bool:
        """Begin a drill on every worker; False if one runs already.

        Raises:
            PublishFailed: if the broker did not take it.
        """
        if self.running is not None:
            return False
        await self._write(drill)
        return True

    async def stop(self, by: str) -> Drill | None:
        """End the newest drill on every worker; None if it is over.

        A drill that has not begun by this worker's clock may run on a worker whose clock is ahead.

        Raises:
            PublishFailed: if the broker did not take it; it ends by itself in time.
        """
        drill, now_ms = self.newest, self._clock.now_ms()
        if drill is None or drill.is_over(now_ms):
            return None
        ended_at_ms = max(drill.started_at_ms, now_ms)
        ended = dataclasses.replace(drill, ends_at_ms=ended_at_ms, stopped_by=by)
        await self._write(ended)
        return ended

    async def _write(self, drill: Drill) -> None:
        await self._publish(drill_record(drill))
        # The topic's reader will do this a moment later, but the caller may rely on it now.
        self._know(drill)

    def _know(self, drill: Drill | None) -> None:
        self.newest = drill
        if drill is not None:
            self._seen[drill.started_at_ms] = drill
            if len(self._seen) > MOST_SEEN:
                del self._seen[min(self._seen)]


def _described(drill: Drill) -> str:
    return f"{drill.fault} in {drill.percent} % of the calls, by {drill.started_by}"
