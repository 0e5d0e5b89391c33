"""Counts of all workers from the read model: read seldom, and with a short time limit."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import LookupStatistics
from posstream.domain.times import from_ms
from posstream.logs.noise import ONCE_A_MINUTE
from posstream.resilience.clock import Clock
from web.graphql.execution import in_time

logger = logging.getLogger(__name__)

#: The windows, each with its name.
WINDOWS: Final = (
    ("last 5 minutes", timedelta(minutes=5)),
    ("last hour", timedelta(hours=1)),
)
#: Seconds until the counts are read again, for all open pages together.
KEPT_SECONDS: Final = 10.0
#: How long a page waits for the database, in seconds; the rest of it does not need one.
PATIENCE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted in one of the windows."""

    name: str
    seconds: float
    counted: LookupStatistics

    @property
    def per_second(self) -> float:
        """Lookups per second."""
        return self.counted.split.lookups / self.seconds


@dataclass(frozen=True, slots=True)
class Overall:
    """The windows, as they were at one moment."""

    read_at: datetime
    windows: Sequence[Window]


class AllWorkers:
    """The read model's counts, shared by every page that is open."""

    def __init__(self, read_model: Callable[[], SqlReadModel], clock: Clock) -> None:
        self._read_model = read_model
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked_at: float | None = None
        self._known: Overall | None = None

    async def latest(self) -> Overall | None:
        """The counts of a moment ago; None if the read model does not answer."""
        async with self._lock:
            now = self._clock.monotonic()
            # Also after a failure: a database in trouble is not asked by every page in turn.
            if self._asked_at is None or now - self._asked_at >= KEPT_SECONDS:
                self._known = await self._ask()
                self._asked_at = self._clock.monotonic()
            return self._known

    async def _ask(self) -> Overall | None:
        try:
            answer = await in_time(self._read(), PATIENCE_SECONDS)
        except Exception as why:  # noqa: BLE001 - the database's own, whichever it is
            said = "the console cannot read the read model (%s)"
            logger.warning(said, type(why).__name__, extra=ONCE_A_MINUTE)
            return None
        if answer is None:
            said = "the read model did not answer the console in %g s"
            logger.warning(said, PATIENCE_SECONDS, extra=ONCE_A_MINUTE)
        return answer

    async def _read(self) -> Overall:
        until = from_ms(self._clock.now_ms())
        windows = [
            Window(
                name,
                length.total_seconds(),
                await self._read_model().lookup_statistics(until - length),
            )
            for name, length in WINDOWS
        ]
        return Overall(until, windows)
