"""Ends a process that was frozen for longer than its session timeout.

Other workers own its partitions by then, but the process does not know. Its events in flight would
be answered a second time, as failed, because their deadlines passed meanwhile; its cache entries
would overwrite newer ones. So the process ends at once and saves nothing, as after `kill -9`. A
supervisor starts it anew; other workers have answered the events that it had not committed.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 1.0


def _seconds() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux has it
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _end() -> None:
    os._exit(1)


class Pulse:
    """A beat in a thread of its own: only a frozen process misses it, not a busy event loop.

    Args:
        now: a clock in seconds that goes on while the machine sleeps, as the brokers do.
        end: ends the process.
    """

    def __init__(
        self, *, now: Callable[[], float] = _seconds, end: Callable[[], None] = _end
    ) -> None:
        self._limit_seconds = math.inf
        self._now = now
        self._end = end
        self._last = now()

    def watch(self, limit_seconds: float) -> None:
        """Beat from now on; end the process after a silence of more than `limit_seconds`."""
        self._limit_seconds = limit_seconds
        self._last = self._now()
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def check(self) -> None:
        """End the process if it was frozen; call this before anything is written."""
        silent = self._now() - self._last
        if silent > self._limit_seconds:
            log.critical(
                "this worker was frozen for %.0f s: others have its partitions, so it ends", silent
            )
            self._end()

    def _beat(self) -> None:
        while True:
            time.sleep(_BEAT_SECONDS)
            self.check()
            self._last = self._now()
