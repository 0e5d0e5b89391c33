"""Counts what happened lately."""

from collections import deque
from typing import Final

from posstream.resilience.clock import Clock

_STEPS: Final = 60


class Recently:
    """How often something happened within the last seconds, in steps of a sixtieth of that time.

    Args:
        clock: time.
        seconds: what happened longer ago does not count.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._step_seconds = seconds / _STEPS
        #: The number of a step -> how often it happened in that step, if at all.
        self._counts: deque[tuple[int, int]] = deque()

    def add(self, count: int = 1) -> None:
        """Count what happened now."""
        self._forget()
        step = self._step
        if self._counts and self._counts[-1][0] == step:
            count += self._counts.pop()[1]
        if count:
            self._counts.append((step, count))

    @property
    def count(self) -> int:
        """How often it happened."""
        self._forget()
        return sum(count for _, count in self._counts)

    def _forget(self) -> None:
        while self._counts and self._counts[0][0] <= self._step - _STEPS:
            self._counts.popleft()

    @property
    def _step(self) -> int:
        return int(self._clock.monotonic() // self._step_seconds)
