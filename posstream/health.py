"""Tells whether this worker is alive and ready, folded from its plugins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posstream.plugins.report import PluginReport
from posstream.plugins.status import PluginState
from posstream.plugins.supervisor import Supervisor
from posstream.streaming.stall import STALLED
from web.programs import HealthReport


@dataclass(eq=False)
class WorkerHealth:
    """`web.programs.Health` of one worker."""

    #: The app that hosts the plugins.
    host: Any
    #: Of the plugins.
    supervisor: Supervisor
    #: The parts that all plugins share -> sentences about what is wrong with each.
    shared: Callable[[], Mapping[str, Sequence[str]]] = dict
    #: Whether a plugin is switched on by its live configuration.
    is_on: Callable[[str], bool] = lambda _: True

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
        stops = self.host.crashed or self.host.should_stop
        reasons = ["the worker is stopping"] if stops else []
        reasons += [
            self._named(name, why)
            for name, report in up.items()
            if not report.restarting
            for why in report.not_ready
        ]
        shared = self.shared()
        off = [name for name in sorted(up) if not self.is_on(name)]
        warnings = [
            *(f"the plugin {name} is started again" for name in sorted(up) if up[name].restarting),
            *(
                f"the plugin {status.name} has failed: {status.told}"
                for status in self.supervisor.statuses().values()
                if status.state is PluginState.FAILED
            ),
            *(f"the plugin {name} is switched off" for name in off),
            *(sentence for sentences in shared.values() for sentence in sentences),
            *(
                self._named(name, warning)
                for name, report in up.items()
                for warning in report.warnings
            ),
        ]
        runs = any(not report.restarting for report in up.values())
        return HealthReport(
            runs and not reasons,
            (*reasons, *warnings),
            {
                "rebalances": sum(report.rebalances for report in up.values()),
                "plugins": {name: report.state for name, report in reports.items()},
                "degraded": sorted(
                    {
                        *off,
                        *(name for name, sentences in shared.items() if sentences),
                        *(name for name, it in reports.items() if _is_degraded(it)),
                    }
                ),
            },
        )

    def _named(self, plugin: str, sentence: str) -> str:
        """A sentence with its plugin's name, where there are several."""
        alone = len(self.supervisor.statuses()) == 1
        return sentence if alone else f"{plugin}: {sentence}"


def _is_degraded(report: PluginReport) -> bool:
    failed = report.state is PluginState.FAILED
    return failed or bool(report.restarting or report.not_ready or report.warnings)


def _up(reports: Mapping[str, PluginReport]) -> Mapping[str, PluginReport]:
    """Those of the plugins that have not failed."""
    return {name: it for name, it in reports.items() if it.state is not PluginState.FAILED}
