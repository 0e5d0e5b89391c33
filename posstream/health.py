"""Tells whether this worker is alive and ready, folded from its plugins."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from posstream.findings import (
    PLUGIN_FAILED,
    PLUGIN_NOT_READY,
    PLUGIN_OFF,
    PLUGIN_RESTARTING,
    WORKER_STOPPING,
    Finding,
    Severity,
    found,
    worst_first,
)
from posstream.plugins.figures import late
from posstream.plugins.report import PluginReport
from posstream.plugins.status import PluginState
from posstream.plugins.supervisor import Supervisor
from posstream.streaming.stall import STALLED
from web.programs import HealthReport

#: The part of what is wrong with the whole worker.
_WORKER: Final = "worker"
#: The findings for which a worker gets no requests.
_NOT_READY: Final = frozenset({WORKER_STOPPING, PLUGIN_NOT_READY})


@dataclass(eq=False)
class WorkerHealth:
    """`web.programs.Health` of one worker."""

    #: The app that hosts the plugins.
    host: Any
    #: Of the plugins.
    supervisor: Supervisor
    #: What is wrong with the parts that all plugins share.
    shared: Callable[[], Sequence[Finding]] = tuple
    #: Whether a plugin is switched on by its live configuration.
    is_on: Callable[[str], bool] = lambda _: True
    #: Seconds since 1970.
    now: Callable[[], float] = time.time

    def live(self) -> HealthReport:
        """Alive until it crashed or stalled: then a supervisor should start it again."""
        reasons = []
        if self.host.crashed:
            reasons.append("the worker crashed")
        up = _up(self.supervisor.reports())
        if up and all(report.is_stalled for report in up.values()):
            reasons.append(STALLED)
        return HealthReport(not reasons, tuple(reasons), {})

    def ready(self) -> HealthReport:
        """Ready once a plugin runs, and none recovers its tables; failed plugins are named."""
        reports = self.supervisor.reports()
        up = _up(reports)
        degraded = [it for it in self.findings() if it.severity is not Severity.NOTE]
        runs = any(not report.restarting for report in up.values())
        return HealthReport(
            runs and not any(it.code in _NOT_READY for it in degraded),
            tuple(it.sentence for it in degraded),
            {
                "rebalances": sum(report.rebalances for report in up.values()),
                "plugins": {name: report.state for name, report in reports.items()},
                "degraded": sorted({it.part for it in degraded} - {_WORKER}),
            },
        )

    def findings(self) -> Sequence[Finding]:
        """All that is wrong on this worker now, worst first."""
        return worst_first(self._findings())

    def _findings(self) -> Iterator[Finding]:
        if self.host.crashed or self.host.should_stop:
            yield found(WORKER_STOPPING, "the worker is stopping", _WORKER)
        up = _up(self.supervisor.reports())
        yield from self._of_plugins(up)
        yield from self.shared()
        now, figures = self.now(), self.supervisor.figures()
        for name, report in up.items():
            waits = late(figures[name], now) if name in figures else ()
            for it in (*waits, *report.findings):
                yield replace(it, part=name, sentence=self._named(name, it.sentence))

    def _of_plugins(self, up: Mapping[str, PluginReport]) -> Iterator[Finding]:
        """What is wrong with plugins as a whole."""
        for name, report in up.items():
            if report.restarting:
                yield found(PLUGIN_RESTARTING, f"the plugin {name} is started again", name)
                continue
            for why in report.not_ready:
                yield found(PLUGIN_NOT_READY, self._named(name, why), name)
        for status in self.supervisor.statuses().values():
            if status.state is PluginState.FAILED:
                said = f"the plugin {status.name} has failed: {status.told}"
                yield found(PLUGIN_FAILED, said, status.name)
        for name in sorted(up):
            if not self.is_on(name):
                yield found(PLUGIN_OFF, f"the plugin {name} is switched off", name)

    def _named(self, plugin: str, sentence: str) -> str:
        """A sentence with its plugin's name, where there are several."""
        alone = len(self.supervisor.statuses()) == 1
        return sentence if alone else f"{plugin}: {sentence}"


def _up(reports: Mapping[str, PluginReport]) -> Mapping[str, PluginReport]:
    """Those of the plugins that have not failed."""
    return {name: it for name, it in reports.items() if it.state is not PluginState.FAILED}
