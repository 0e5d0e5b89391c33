"""Shows each plugin's state and figures as metrics; asked at each scrape.

A gauge would still show a partition that has moved to another worker.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from posstream.plugins.figures import PluginFigures
from posstream.plugins.report import PluginReport
from posstream.plugins.status import PluginState

#: What is shown instead of RUNNING for a plugin that runs, and recovers or is switched off.
_RECOVERING: Final = "RECOVERING"
_OFF: Final = "OFF"
STATES: Final = (*PluginState, _RECOVERING, _OFF)


class FiguresCollector:
    """A collector of what the supervisor knows of the plugins.

    Args:
        reports: how each plugin is.
        figures: what each plugin still has to do.
        is_on: whether a plugin is switched on by its live configuration.
        now: seconds since 1970.
    """

    def __init__(
        self,
        reports: Callable[[], Mapping[str, PluginReport]],
        figures: Callable[[], Mapping[str, PluginFigures]],
        is_on: Callable[[str], bool],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reports = reports
        self._figures = figures
        self._is_on = is_on
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """The metrics' names, so that the registry refuses a second metric with one of them."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """The numbers of now."""
        state, lag, oldest, recovering = families = _families()
        for name, report in self._reports().items():
            is_so = self._state(name, report)
            for one in STATES:
                state.add_metric([name, one], float(one == is_so))
        for name, it in self._figures().items():
            for topic, partition, count in it.lag:
                lag.add_metric([name, topic, str(partition)], count)
            age = 0.0 if it.oldest_at is None else max(0.0, self._now() - it.oldest_at)
            oldest.add_metric([name], age)
            recovering.add_metric([name], it.recovering)
        return families

    def _state(self, name: str, report: PluginReport) -> str:
        if report.state is PluginState.RUNNING:
            if not self._is_on(name):
                return _OFF
            if report.not_ready:
                return _RECOVERING
        return report.state


def _families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily(
            "posstream_plugin_state", "1 for the state of a plugin.", labels=["plugin", "state"]
        ),
        GaugeMetricFamily(
            "posstream_consumer_lag",
            "Events that are not finished.",
            labels=["plugin", "topic", "partition"],
        ),
        GaugeMetricFamily(
            "posstream_oldest_unanswered_seconds",
            "Age of the oldest event that was fetched and is not finished.",
            labels=["plugin"],
        ),
        GaugeMetricFamily(
            "posstream_recovery_remaining",
            "Records of changelogs that tables still have to read.",
            labels=["plugin"],
        ),
    )
