"""What the customer lookup counts. `docs/reference/metrics.md` says what each one means."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from agents.customer_lookup.cache_commands import Cause
from agents.customer_lookup.reasons import AttemptStatus, Reason, Source
from posstream.domain.customer import CUSTOMER_FIELDS
from posstream.metrics import Metric, PluginMetrics, one_of

#: The label of an answer that has no source, or no reason.
_NONE: Final = "NONE"
_ANSWERS: Final = (
    *((source, _NONE) for source in Source),
    *((_NONE, reason) for reason in Reason),
    # The cache remembers who is unknown.
    (Source.CACHE, Reason.NOT_FOUND),
)
_REFRESHES: Final = one_of(["refreshed", "failed", "skipped"])
_FIELDS: Final = one_of(name for name in CUSTOMER_FIELDS if name != "customer_id")
_REMOVED: Final = one_of([*Cause, "expired", "misplaced"])

METRICS: Final = (
    Metric("counter", "answers", "Terminal answers.", ("source", "reason"), _ANSWERS),
    Metric("histogram", "answer_seconds", "From an event's arrival to its answer."),
    Metric("gauge", "events_in_flight", "Events taken and not acknowledged."),
    Metric("counter", "api_calls", "HTTP attempts that ended.", ("status",), one_of(AttemptStatus)),
    Metric("histogram", "api_call_seconds", "Duration of an HTTP attempt."),
    Metric("gauge", "api_calls_in_flight", "Lookups that hold a permit."),
    Metric("gauge", "api_calls_queued", "Lookups that wait for a permit."),
    Metric("counter", "coalesced", "Events that shared another event's call."),
    Metric(
        "counter", "retries", "Attempts after the first.", ("outcome",), one_of(["made", "refused"])
    ),
    Metric("gauge", "breaker_state", "0 closed, 1 half open, 2 open."),
    Metric("counter", "breaker_opened", "Times the breaker opened."),
    Metric("counter", "refreshes_ahead", "Hot entries refreshed early.", ("outcome",), _REFRESHES),
    Metric("counter", "unknown_tiers", "Customers with a tier not in the contract."),
    Metric("counter", "odd_fields", "Customers with an unusable field.", ("field",), _FIELDS),
    Metric("gauge", "cache_entries", "Entries of the cache, estimated."),
    Metric("counter", "cache_removed", "Entries removed from the cache.", ("why",), _REMOVED),
    Metric("gauge", "commit_age_seconds", "Since the last commit, while events are in flight."),
    Metric("gauge", "drill_active", "1 while an outage drill runs."),
)


class LookupMetrics(SimpleNamespace):
    """The metrics of the lookup, each an attribute by its declared name.

    Args:
        metrics: those of `METRICS` by name, as `Kit.metrics` has them.
    """

    def __init__(self, metrics: PluginMetrics) -> None:
        super().__init__(**metrics)
        #: By (source, reason): finding a counter by its labels takes longer than counting.
        self._answers: dict[tuple[str | None, str], Any] = {}
        self._api_calls: dict[str, Any] = {}

    def answered(self, source: str | None, reason: str, seconds: float, count: int = 1) -> None:
        """Count answers of one kind, each `seconds` after the arrival of its event."""
        counter = self._answers.get((source, reason))
        if counter is None:
            counter = self._answers[source, reason] = self.answers.labels(source or _NONE, reason)
        counter.inc(count)
        self.answer_seconds.observe_many(seconds, count)

    def called(self, status: str, seconds: float) -> None:
        """Count an HTTP attempt that ended."""
        counter = self._api_calls.get(status)
        if counter is None:
            counter = self._api_calls[status] = self.api_calls.labels(status)
        counter.inc()
        self.api_call_seconds.observe(seconds)


def series_of(metric: MetricWrapperBase, suffix: str) -> Iterator[Sample]:
    """The present values of a metric, one for each of its labels."""
    for family in metric.collect():
        for series in family.samples:
            if series.name == family.name + suffix:
                yield series


def value_of(metric: MetricWrapperBase, suffix: str = "") -> float:
    """The value of a metric without labels."""
    return next(series_of(metric, suffix)).value


def label_of(series: Sample, name: str) -> str | None:
    """A label of a value; None if there is no source, or no reason."""
    value = series.labels[name]
    return None if value == _NONE else value
