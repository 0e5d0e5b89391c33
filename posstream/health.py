"""Tells whether this worker is alive and ready, folded from its plugins."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from posstream.plugins.running import RunningPlugin
from posstream.plugins.status import PluginState
from posstream.plugins.supervisor import Supervisor
from posstream.streaming.stall import STALLED
from web.programs import HealthReport

log = logging.getLogger(__name__)


@dataclass(eq=False)
class WorkerHealth:
    """`web.programs.Health` of one worker."""

    #: The app that hosts the plugins.
    host: Any
    #: Of the plugins.
    supervisor: Supervisor
    #: A sentence for each thing that is wrong with what all plugins share.
    warnings: Callable[[], Sequence[str]] = tuple

    def live(self) -> HealthReport:
        """Alive until it crashed or stalled: then a supervisor should start it again."""
        reasons = []
        if self.host.crashed:
            reasons.append("the worker crashed")
        running = self.supervisor.running
        if running and all(it.watch.is_stalled for it in running.values()):
            reasons.append(STALLED)
        return HealthReport(not reasons, tuple(reasons), {})

    def ready(self) -> HealthReport:
        """Ready once a plugin runs, and none recovers its tables; failed plugins are named."""
        running = self.supervisor.running
        stops = self.host.crashed or self.host.should_stop
        reasons = ["the worker is stopping"] if stops else []
        restarting = self.supervisor.restarting
        for name, it in running.items():
            if name not in restarting:
                reasons += [self._named(name, why) for why in _not_ready(it)]
        statuses = self.supervisor.statuses()
        failed = [
            f"the plugin {status.name} has failed: {status.told}"
            for status in statuses.values()
            if status.state is PluginState.FAILED
        ]
        warnings = [
            *(f"the plugin {name} is started again" for name in sorted(restarting)),
            *failed,
            *self.warnings(),
        ]
        warnings += [
            self._named(name, warning)
            for name, it in running.items()
            for warning in (*it.watch.warnings, *_own_warnings(name, it))
        ]
        return HealthReport(
            len(running) > len(restarting) and not reasons,
            (*reasons, *warnings),
            {
                "rebalances": sum(it.app.rebalancing_count for it in running.values()),
                "plugins": {name: status.state for name, status in statuses.items()},
            },
        )

    def _named(self, plugin: str, sentence: str) -> str:
        """A sentence with its plugin's name, where there are several."""
        alone = len(self.supervisor.statuses()) == 1
        return sentence if alone else f"{plugin}: {sentence}"


def _own_warnings(name: str, running: RunningPlugin) -> Sequence[str]:
    """The warnings of the plugin's own code; an error in them leaves other plugins healthy."""
    try:
        return [str(warning) for warning in running.built.warnings()]
    except Exception as why:
        log.exception("plugin %s cannot say its warnings", name)
        return [f"its warnings cannot be asked ({type(why).__name__})"]


def _not_ready(running: RunningPlugin) -> Iterator[str]:
    app = running.app
    if not app.has_consumer:
        return
    if app.rebalancing:
        yield "the consumer group is rebalancing"
    elif not app.tables.actives_ready:
        yield "the tables are being recovered"
