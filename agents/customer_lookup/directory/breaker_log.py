"""Tells in the log when the circuit breaker of the directory opens, probes and closes, and why."""

import logging

from posstream.resilience.breaker import State
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)


class BreakerLog:
    """Writes the lines of one outage: opened, the first probe, closed.

    A directory that stays dead is probed every 15 seconds. The last line has the number of probes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: When it opened, in monotonic seconds; None while it is closed.
        self._opened_at: float | None = None
        self._probes = 0

    def changed(self, state: State, why: str) -> None:
        """Tell a change of state."""
        if state is State.CLOSED:
            self._closed(why)
        elif state is State.HALF_OPEN:
            self._probes += 1
            if self._probes == 1:
                log.info("the circuit breaker is half open (%s): some calls probe", why)
        elif self._opened_at is None:
            self._opened_at = self._clock.monotonic()
            log.warning("the circuit breaker is open (%s): the directory is not called", why)
        elif self._probes == 1:
            log.info("the circuit breaker is open again (%s); it goes on to probe", why)

    def _closed(self, why: str) -> None:
        if self._opened_at is not None:
            seconds = self._clock.monotonic() - self._opened_at
            log.warning(
                "the circuit breaker is closed (%s): the directory is called again, after %.0f s "
                "and %d rounds of probes",
                why,
                seconds,
                self._probes,
            )
        self._opened_at, self._probes = None, 0
