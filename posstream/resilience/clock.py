"""Time as a dependency, so that a test can hold it still."""

import time
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
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Wall time, milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()
