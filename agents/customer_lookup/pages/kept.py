"""Keeps what was read from the read model for some seconds, for all open pages together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from posstream.logs.noise import ONCE_A_MINUTE
from posstream.resilience.clock import Clock
from web.graphql.execution import in_time

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Seconds until it is read again.
KEPT_SECONDS: Final = 10.0
#: How long a page waits for the database, in seconds; the rest of it does not need one.
PATIENCE_SECONDS: Final = 2.0


class Kept(Generic[T]):
    """What a read gave a moment ago; also that it failed: a database in trouble is asked rarely.

    Args:
        read: from the read model.
        clock: time.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked_at: float | None = None
        self._known: T | None = None

    async def latest(self) -> T | None:
        """What was read; None if the read model does not answer."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._asked_at is None or now - self._asked_at >= KEPT_SECONDS:
                self._known = await self._ask()
                self._asked_at = self._clock.monotonic()
            return self._known

    async def _ask(self) -> T | None:
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
