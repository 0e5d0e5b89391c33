"""Time as a dependency, so that a test can hold it still."""

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Wall time for ages that are stored, monotonic time for durations and deadlines."""

    def now_ms(self) -> int:
        """Wall time, milliseconds since 1970; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...


class SystemClock:
    """The machine's clocks, whose wall time never goes back.

    If the wall clock were set back, old answers would look young and be served past their window.
    This clock then goes on from where it was, at the pace of the monotonic clock. A wall clock that
    is set forward only makes answers look older than they are.
    """

    def __init__(
        self,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._last_wall_ns = wall_ns()
        self._last_monotonic_ns = monotonic_ns()

    def now_ms(self) -> int:
        """Wall time, milliseconds since 1970."""
        monotonic_ns = self._monotonic_ns()
        least = self._last_wall_ns + monotonic_ns - self._last_monotonic_ns
        self._last_wall_ns = max(self._wall_ns(), least)
        self._last_monotonic_ns = monotonic_ns
        return self._last_wall_ns // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._monotonic_ns() / 1e9
