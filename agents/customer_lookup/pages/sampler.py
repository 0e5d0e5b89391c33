"""What this worker counted lately, kept in the worker: a page that is reloaded still has it."""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.pages.samples import Between, Sample, read_sample
from posstream.resilience.clock import Clock

#: Five minutes of steps, one each two seconds.
MAX_STEPS: Final = 150


class Sampler:
    """The last samples of the metrics of one worker; `take` is called every two seconds."""

    def __init__(self, metrics: LookupMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        # There is always one: whatever was counted before it is not of the last minutes.
        self._samples: deque[Sample] = deque([self._read()], maxlen=MAX_STEPS + 1)

    def take(self) -> None:
        """Take one sample now."""
        self._samples.append(self._read())

    @property
    def latest(self) -> Sample:
        """The last sample."""
        return self._samples[-1]

    @property
    def steps(self) -> Sequence[Between]:
        """What happened from each sample to the next, oldest first."""
        return [Between(first, last) for first, last in pairwise(self._samples)]

    def since(self, seconds: float | None = None) -> Between:
        """What happened in the last seconds, or since the oldest sample."""
        begin = None if seconds is None else self.latest.taken_at - seconds
        first = next(
            sample for sample in self._samples if begin is None or sample.taken_at >= begin
        )
        return Between(first, self.latest)

    def _read(self) -> Sample:
        return read_sample(self._metrics, self._clock.monotonic())
