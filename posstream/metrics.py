"""What a worker counts, for Prometheus. `docs/reference/metrics.md` says what each one means.

No identifier is ever a label: a label is kept for the life of the process and shown to anyone who
may scrape.
"""

import platform
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from posstream import __version__
from posstream.domain.errors import DeadLetterReason, StartRefused
from posstream.metrics_relay import Relayed

if TYPE_CHECKING:
    from posstream.plugin import Plugin

#: Seconds: a hit takes under a millisecond, a till gives up after some 12 seconds.
_SECONDS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
#: Histogram buckets of the event loop's delay, in seconds.
_DELAYS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1, 5)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Metric:
    """How a plugin declares a metric; `posstream_` goes before its name."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    #: The values of the labels, where they are few and known beforehand: they are shown from the
    #: start. Otherwise a rule or a person that asks for one that has not come yet finds nothing.
    known: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in {"counter", "gauge", "histogram"}:
            raise ValueError(f"the metric {self.name} has the kind {self.kind}")
        if any(len(values) != len(self.labels) for values in self.known):
            raise ValueError(f"the metric {self.name} does not know a value for each label")
        for name in (self.name, *self.labels):
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"the name {name!r} in a metric must be lower case, digits and _")


def one_of(values: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The known values of a metric's only label."""
    return tuple((value,) for value in values)


_Made = TypeVar("_Made")

#: The metrics of one plugin by their declared name.
PluginMetrics = Mapping[str, Any]


class _Histogram(Histogram):
    """A histogram that takes many equal observations in one step; the library has no way."""

    def observe_many(self, amount: float, count: int) -> None:
        self._sum.inc(amount * count)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(count)


_KINDS: Final[Mapping[str, Callable[..., Any]]] = {
    "counter": Counter,
    "gauge": Gauge,
    "histogram": partial(_Histogram, buckets=_SECONDS),
}


def register(metrics: Collection[Metric], registry: CollectorRegistry) -> PluginMetrics:
    """Make declared metrics and put them into a registry."""
    made = {
        it.name: _KINDS[it.kind](f"posstream_{it.name}", it.meaning, it.labels, registry=registry)
        for it in metrics
    }
    for it in metrics:
        show(made[it.name], it.known)
    return made


def show(metric: Any, known: Iterable[tuple[str, ...]]) -> None:
    """Show a metric for these values of its labels, before anything is counted."""
    for values in known:
        metric.labels(*values)


class Metrics:
    """The platform's metrics, in one registry with those of the plugins.

    Args:
        plugins: those that run here; their metrics live as long as the process.
        beside: those that run in other processes, which tell what they counted.
    """

    def __init__(
        self, plugins: "Iterable[Plugin]" = (), *, beside: "Iterable[Plugin]" = ()
    ) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"posstream_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"posstream_{name}", meaning, labels, registry=registry)

        self.plugin_up = gauge("plugin_up", "1 while the plugin runs, 0 else.", "plugin")
        self.plugin_restarts = counter(
            "plugin_restarts", "Times a plugin was started again.", "plugin"
        )
        self.plugin_lag = gauge(
            "plugin_lag", "Events that wait for a plugin that has failed.", "plugin"
        )
        self.held_by_transactions = gauge(
            "held_by_transactions", "Records behind open transactions, which cannot be read yet."
        )
        self.projection_lag = gauge(
            "projection_lag", "Events that a projection has not written yet.", "plugin"
        )
        self.projection_up = gauge(
            "projection_up", "1 while the projection of a plugin can write, 0 else.", "plugin"
        )
        self.brokers = gauge("brokers", "Brokers of the cluster that are there; 0 = none answers.")
        self.workers_lost = gauge(
            "workers_lost", "Workers that said nothing for 20 seconds and did not stop in order."
        )
        self.database_up = gauge("database_up", "1 while the database answers, 0 else.")
        self.event_loop_delay = Histogram(
            "posstream_event_loop_delay_seconds",
            "How late the event loop woke a sleeping task.",
            registry=registry,
            buckets=_DELAYS,
        )
        self.dead_letters = counter("dead_letters", "Messages set aside.", "reason")
        show(self.dead_letters, one_of(DeadLetterReason))
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
        self.plugin_configuration_version = gauge(
            "plugin_configuration_version", "The version in force of a plugin.", "plugin"
        )
        self.configuration_refused = counter(
            "configuration_refused", "Records of the configuration topic that were not usable."
        )

        self.build_info = gauge("build_info", "1, with the versions as labels.", *_versions())
        self.build_info.labels(**_versions()).set(1)
        plugins, beside = [*plugins], [*beside]
        show(self.plugin_restarts, one_of(it.name for it in (*plugins, *beside)))
        self._of_plugins = {
            it.name: _registered(it, partial(register, it.metrics, registry)) for it in plugins
        }
        #: What is told of the plugins beside, by their name.
        self.relayed: dict[str, Relayed] = {}
        for it in beside:
            apart = CollectorRegistry()
            self._of_plugins[it.name] = _registered(it, partial(register, it.metrics, apart))
            self.relayed[it.name] = Relayed(apart)
            _registered(it, partial(registry.register, self.relayed[it.name]))

    def of(self, plugin: "Plugin") -> PluginMetrics:
        """The metrics that a plugin declares."""
        return self._of_plugins.get(plugin.name, {})


def _versions() -> dict[str, str]:
    ours = {"version": __version__, "python": platform.python_version()}
    return ours | {"faust": version("faust-streaming"), "aiokafka": version("aiokafka")}


def _registered(plugin: "Plugin", made: Callable[[], _Made]) -> _Made:
    try:
        return made()
    except ValueError as why:  # DuplicateTimeseries
        raise StartRefused(
            f"a metric is claimed by posstream itself and by {plugin.name} ({why}): "
            "leave the plugin out with POSSTREAM_PLUGINS"
        ) from why
