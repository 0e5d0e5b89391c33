"""What a worker counts, for Prometheus. `docs/reference/metrics.md` says what each one means.

No identifier is ever a label: a label is kept for the life of the process and shown to anyone who
may scrape.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: Seconds: a hit takes under a millisecond, a till gives up after some 12 seconds.
_SECONDS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


@dataclass(frozen=True, slots=True)
class Metric:
    """How a plugin declares a metric; `posstream_` goes before its name."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    meaning: str
    labels: tuple[str, ...] = ()


#: The metrics of one plugin by their declared name.
PluginMetrics = Mapping[str, Any]


class _Histogram(Histogram):
    """A histogram that takes many equal observations in one step; the library has no way."""

    def observe_many(self, amount: float, count: int) -> None:
        self._sum.inc(amount * count)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(count)


class Metrics:
    """The counters of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"posstream_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"posstream_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str) -> _Histogram:
            return _Histogram(f"posstream_{name}", meaning, buckets=_SECONDS, registry=registry)

        self.answers = counter("answers", "Terminal answers.", "source", "reason")
        self.answer_seconds = histogram("answer_seconds", "From an event's arrival to its answer.")
        self.events_in_flight = gauge("events_in_flight", "Events taken and not acknowledged.")
        self.api_calls = counter("api_calls", "HTTP attempts that ended.", "status")
        self.api_call_seconds = histogram("api_call_seconds", "Duration of an HTTP attempt.")
        self.api_calls_in_flight = gauge("api_calls_in_flight", "Lookups that hold a permit.")
        self.api_calls_queued = gauge("api_calls_queued", "Lookups that wait for a permit.")
        self.coalesced = counter("coalesced", "Events that shared another event's call.")
        self.retries = counter("retries", "Attempts after the first.", "outcome")
        self.breaker_state = gauge("breaker_state", "0 closed, 1 half open, 2 open.")
        self.breaker_opened = counter("breaker_opened", "Times the breaker opened.")
        self.refreshes = counter("refreshes_ahead", "Hot entries refreshed early.", "outcome")
        self.unknown_tiers = counter("unknown_tiers", "Customers with a tier not in the contract.")
        self.odd_fields = counter("odd_fields", "Customers with an unusable field.", "field")
        self.cache_entries = gauge("cache_entries", "Entries of the cache, estimated.")
        self.cache_removed = counter("cache_removed", "Entries removed from the cache.", "why")
        self.commit_age_seconds = gauge(
            "commit_age_seconds", "Since the last commit, while events are in flight."
        )
        self.held_by_transactions = gauge(
            "held_by_transactions", "Records behind open transactions, which cannot be read yet."
        )
        self.projection_lag = gauge(
            "projection_lag", "Events that a projection has not written yet.", "plugin"
        )
        self.dead_letters = counter("dead_letters", "Messages set aside.", "reason")
        self.dead_letters_refused = counter(
            "dead_letters_refused", "Messages whose dead letter the broker refuses."
        )
        self.streams = gauge("streams", "WebSockets and event streams that are open.")
        self.streams_dropped = counter("streams_dropped", "Streams cut off: nobody read them.")
        self.web_connections = gauge("web_connections", "Connections of the web view.")
        self.web_connections_ended = counter(
            "web_connections_ended", "Connections that the web view ended.", "why"
        )
        self.wrong_keys = counter("wrong_keys", "Wrong keys.")
        self.lookups_refused = counter(
            "lookups_refused", "Identifiers that a key tried beyond its budget."
        )
        self.configuration_version = gauge("configuration_version", "The version in force.")
        self.configuration_refused = counter(
            "configuration_refused", "Records of the configuration topic that were not usable."
        )
        self.drill_active = gauge("drill_active", "1 while an outage drill runs.")

    def answered(self, source: str | None, reason: str, seconds: float, count: int = 1) -> None:
        """Count answers of one kind, each of which took so long since its event's arrival."""
        self.answers.labels(source or "NONE", reason).inc(count)
        self.answer_seconds.observe_many(seconds, count)
