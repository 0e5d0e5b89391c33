"""What this worker counted lately, kept in the worker: a page that is reloaded still has it."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from agents.customer_lookup.lookup_split import LookupSplit, split
from agents.customer_lookup.metrics import LookupMetrics, label_of, series_of, value_of
from agents.customer_lookup.reasons import FAILED_ATTEMPTS
from posstream.resilience.clock import Clock

#: Five minutes of steps, one each two seconds.
MAX_STEPS: Final = 150


@dataclass(frozen=True, slots=True)
class Sample:
    """The counts of one worker since its start, and its gauges."""

    #: Monotonic seconds.
    taken_at: float
    #: Answers by (source, reason), as `split` takes them.
    answers: Mapping[tuple[str | None, str | None], int]
    #: HTTP attempts by status.
    attempts: Mapping[str, int]
    #: Bounds in seconds, ascending, the last one infinite: how many attempts took at most that.
    durations: Sequence[tuple[float, int]]
    coalesced: int
    events_in_flight: int


def read_sample(metrics: LookupMetrics, taken_at: float) -> Sample:
    """Read the present values of the metrics."""
    return Sample(
        taken_at=taken_at,
        answers={
            (label_of(series, "source"), label_of(series, "reason")): int(series.value)
            for series in series_of(metrics.answers, "_total")
        },
        attempts={
            series.labels["status"]: int(series.value)
            for series in series_of(metrics.api_calls, "_total")
        },
        durations=[
            (float(series.labels["le"]), int(series.value))
            for series in series_of(metrics.api_call_seconds, "_bucket")
        ],
        coalesced=int(value_of(metrics.coalesced, "_total")),
        events_in_flight=int(value_of(metrics.events_in_flight)),
    )


@dataclass(frozen=True, slots=True)
class Between:
    """What happened on a worker from one sample to a later one."""

    first: Sample
    last: Sample

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.last.taken_at - self.first.taken_at

    @property
    def split(self) -> LookupSplit:
        """What was answered."""
        before = self.first.answers
        return split({key: count - before.get(key, 0) for key, count in self.last.answers.items()})

    @property
    def attempts(self) -> int:
        """HTTP attempts that ended."""
        return sum(self.last.attempts.values()) - sum(self.first.attempts.values())

    @property
    def failures(self) -> int:
        """Those that ended FAILED or TIMEOUT; a 404 is an answer."""
        return sum(
            self.last.attempts.get(status, 0) - self.first.attempts.get(status, 0)
            for status in FAILED_ATTEMPTS
        )

    @property
    def coalesced(self) -> int:
        """Lookups that shared the call of another one."""
        return self.last.coalesced - self.first.coalesced

    def per_second(self, count: int) -> float | None:
        """A count of it as a rate; None if no time has passed."""
        return count / self.seconds if self.seconds > 0 else None

    def duration_ms(self, share: float) -> float | None:
        """What this share of the attempts took at most; None without attempts.

        Estimated from the histogram as Prometheus does (`histogram_quantile`): within a bucket
        the durations are taken to be spread evenly, and beyond the last bound nothing is known.
        """
        before = dict(self.first.durations)
        reached = [(bound, count - before.get(bound, 0)) for bound, count in self.last.durations]
        rank = share * reached[-1][1]
        low, below = 0.0, 0
        for bound, count in reached:
            if count >= rank > 0:
                # The last bucket, and an empty step, have no width to divide.
                width = 0.0 if bound == float("inf") else bound - low
                return 1000 * (low + width * (rank - below) / max(count - below, 1))
            low, below = bound, count
        return None


class Sampler:
    """The last samples of the metrics of one worker; `take` is called every two seconds."""

    def __init__(self, metrics: LookupMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        # There is always one sample: counts from before it are not of the last minutes.
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
