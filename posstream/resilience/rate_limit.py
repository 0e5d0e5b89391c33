"""Limits how often something may happen in a sliding span of time (rate limit)."""

from collections import deque

from posstream.resilience.clock import Clock


class RateLimit:
    """At most `limit` times in any `per_seconds`. For one event loop."""

    def __init__(self, clock: Clock, limit: int, *, per_seconds: float) -> None:
        self.limit = limit
        self._clock = clock
        self._per_seconds = per_seconds
        self._times: deque[float] = deque()

    def allows(self) -> bool:
        """Whether it may happen now; if so, count it."""
        if self.wait_seconds:
            return False
        self._times.append(self._clock.monotonic())
        return True

    @property
    def wait_seconds(self) -> float:
        """Seconds until the next call of `allows` succeeds; 0 = now."""
        now = self._clock.monotonic()
        while self._times and self._times[0] <= now - self._per_seconds:
            self._times.popleft()
        if len(self._times) < self.limit:
            return 0.0
        # A limit of zero never has a time.
        return self._times[0] + self._per_seconds - now if self._times else self._per_seconds
