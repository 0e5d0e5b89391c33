"""Shows the metrics of plugins that run in another process as if they were counted here."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

_TOTAL: Final = "_total"


class Relayed:
    """A collector of what one plugin in the other process counted last.

    Args:
        declared: has the plugin's metrics, uncounted: shown until the process tells more.
    """

    def __init__(self, declared: CollectorRegistry) -> None:
        self._declared = declared
        self._text = ""

    def take(self, text: str) -> None:
        """Take what the other process shows, as Prometheus reads it."""
        self._text = text

    def describe(self) -> Iterable[Metric]:
        """The metrics by their names: another one's name is refused."""
        return self._declared.collect()

    def collect(self) -> Iterable[Metric]:
        """The newest numbers."""
        if not self._text:
            return self._declared.collect()
        families: Iterable[Metric] = text_string_to_metric_families(self._text)  # type: ignore[no-untyped-call]
        return families


def shown(metrics: Mapping[str, Any]) -> str:
    """What `Relayed.take` takes: the declared metrics of a plugin, by their names."""
    text: bytes = generate_latest(_Collected(metrics))  # type: ignore[no-untyped-call]
    return text.decode()


class _Collected:
    """As much of a registry as is asked for."""

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return chain.from_iterable(it.collect() for it in self._metrics.values())


#: Labels and value of each child of a counter.
Counted = list[tuple[list[str], float]]


def counted(counter: Counter) -> Counted:
    """How far a counter is."""
    return [
        ([*sample.labels.values()], sample.value)
        for family in counter.collect()
        for sample in family.samples
        if sample.name.endswith(_TOTAL)
    ]


class Summed:
    """Adds what a counter of the other process counted to the one here.

    Args:
        counter: the one here.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._before: dict[tuple[str, ...], float] = {}

    def take(self, told: Counted) -> None:
        """Add what came since the last time."""
        for labels, value in told:
            more = value - self._before.get((*labels,), 0.0)
            self._before[*labels,] = value
            (self._counter.labels(*labels) if labels else self._counter).inc(more)

    def restart(self) -> None:
        """The other process begins to count anew."""
        self._before.clear()
