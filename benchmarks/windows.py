"""From samples of a running count to rates: the middle of a run, without its start and end. Pure.

A start has imports, joins and empty caches in it, an end partitions that are done already; what is
measured lies between 15 and 95 % of the events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Final

FROM: Final = 0.15
TO: Final = 0.95


@dataclass(frozen=True, slots=True)
class Sample:
    """How things were at one moment."""

    #: Monotonic.
    seconds: float
    #: Answers so far.
    count: float
    #: CPU time so far, of who answers and of the broker.
    cpu_seconds: float = 0.0
    broker_cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two moments of a run."""

    seconds: float
    events: float
    cpu_seconds: float
    broker_cpu_seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for an event."""
        return self.cpu_seconds / self.events * 1e6

    @property
    def broker_cpu_us(self) -> float:
        """The same of the broker."""
        return self.broker_cpu_seconds / self.events * 1e6


def window(
    samples: Sequence[Sample], events: int, *, low: float = FROM, high: float = TO
) -> Window:
    """The window of a run of `events`, between two shares of them.

    Raises:
        ValueError: if the samples do not reach that far, or no time passed.
    """
    # A count that grows in steps, as of whole batches, is taken to grow evenly between them.
    steps = [next(same) for _, same in groupby(samples, key=lambda it: it.count)]
    first, last = _at(steps, events * low), _at(steps, events * high)
    seconds = last.seconds - first.seconds
    if seconds <= 0:
        raise ValueError("everything was answered between two samples: take more events")
    return Window(
        seconds,
        last.count - first.count,
        last.cpu_seconds - first.cpu_seconds,
        last.broker_cpu_seconds - first.broker_cpu_seconds,
    )


def _at(samples: Sequence[Sample], count: float) -> Sample:
    """The moment at which so many were answered, between the samples around it."""
    before = None
    for sample in samples:
        if sample.count >= count:
            return sample if before is None else _between(before, sample, count)
        before = sample
    raise ValueError("the samples end before that")


def _between(one: Sample, other: Sample, count: float) -> Sample:
    share = (count - one.count) / (other.count - one.count)

    def mixed(first: float, second: float) -> float:
        return first + (second - first) * share

    return Sample(
        mixed(one.seconds, other.seconds),
        count,
        mixed(one.cpu_seconds, other.cpu_seconds),
        mixed(one.broker_cpu_seconds, other.broker_cpu_seconds),
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """Rounds of one figure."""

    middle: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Median, minimum and maximum.

    Raises:
        ValueError: if there are none.
    """
    if not values:
        raise ValueError("nothing was measured")
    return Spread(median(values), min(values), max(values))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of ascending values lies (nearest rank).

    Raises:
        ValueError: if there are none.
    """
    if not ordered:
        raise ValueError("nothing was measured")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
