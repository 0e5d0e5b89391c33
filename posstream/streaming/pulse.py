"""Ends a process that was frozen for longer than the broker waits for a sign of life.

Its partitions have new owners by then, and it does not know: whatever it had in flight would be
written over what they wrote since, and answered a second time, as failed, because the deadlines
passed in its sleep. It saves nothing on the way out, as after `kill -9`: its supervisor starts it
anew, and what it had not committed is long answered elsewhere.
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
        now: seconds that go on while the machine sleeps: its brokers may be elsewhere.
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
        """Beat from now on; a silence of more than so many seconds is the end."""
        self._limit_seconds = limit_seconds
        self._last = self._now()
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def check(self) -> None:
        """End the process if it was frozen; to be asked before anything leaves it."""
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
