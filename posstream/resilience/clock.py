"""Time as a dependency, so that a test can hold it still."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(eq=False, kw_only=True)
class Clock:
    """Wall time for ages that are stored, monotonic time for durations and deadlines.

    These are the machine's clocks, but the wall time never goes back. A wall clock that is set
    back would make old answers look young, and serve them past their window; this clock goes on
    from where it was, at the pace of the monotonic clock. A wall clock that is set forward only
    makes answers look older than they are.
    """

    wall_ns: Callable[[], int] = time.time_ns
    monotonic_ns: Callable[[], int] = time.monotonic_ns

    def __post_init__(self) -> None:
        self._last_wall_ns = self.wall_ns()
        self._last_monotonic_ns = self.monotonic_ns()

    def now_ms(self) -> int:
        """Wall time, milliseconds since 1970."""
        monotonic_ns = self.monotonic_ns()
        least = self._last_wall_ns + monotonic_ns - self._last_monotonic_ns
        self._last_wall_ns = max(self.wall_ns(), least)
        self._last_monotonic_ns = monotonic_ns
        return self._last_wall_ns // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self.monotonic_ns() / 1e9
