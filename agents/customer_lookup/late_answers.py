"""Counts the answers of the last minutes that came too late for their tills."""

from typing import Final

from agents.customer_lookup.metrics import LookupMetrics, label_of, series_of
from agents.customer_lookup.reasons import Reason
from posstream.findings import Finding, Severity
from posstream.resilience.clock import Clock
from posstream.resilience.recently import Recently

_MINUTES: Final = 5
_LATE: Final = frozenset({Reason.DEADLINE, Reason.OVERLOADED})


class LateAnswers:
    """The answers DEADLINE and OVERLOADED beside all others, as the metrics count them.

    Args:
        metrics: of the plugin.
        clock: time.
    """

    def __init__(self, metrics: LookupMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._late, self._all = (Recently(clock, _MINUTES * 60) for _ in range(2))
        self._before = self._counted()

    def look(self) -> None:
        """Note what was answered since the last look; call this every few seconds."""
        before, self._before = self._before, self._counted()
        for recently, then, now in zip((self._late, self._all), before, self._before, strict=True):
            recently.add(now - then)

    @property
    def findings(self) -> list[Finding]:
        """One if there were late answers."""
        if not (late := self._late.count):
            return []
        came = "1 answer" if late == 1 else f"{late:,} answers"
        return [
            Finding(
                code="ANSWERS_LATE",
                severity=Severity.CRITICAL,
                sentence=f"{came} of {self._all.count:,} in the last {_MINUTES} minutes came too "
                "late for a till: DEADLINE or OVERLOADED",
                next_step="See which; the directory is slow, or the workers are too few",
                link="/lookups?outcome=FAILED",
            )
        ]

    def _counted(self) -> tuple[int, int]:
        """The late answers, and all, since the worker's start."""
        late = total = 0
        for series in series_of(self._metrics.answers, "_total"):
            total += int(series.value)
            if label_of(series, "reason") in _LATE:
                late += int(series.value)
        return late, total
