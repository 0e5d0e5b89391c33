"""How one plugin is at one moment: what health, metrics and the console are told of it."""

import logging
from collections.abc import Sequence

from msgspec import Struct

from posstream.findings import PLUGIN_WARNING, Finding, found
from posstream.plugins.running import RunningPlugin
from posstream.plugins.status import PluginState

log = logging.getLogger(__name__)


class PluginReport(Struct, frozen=True, kw_only=True):
    """One plugin at one moment; also what the process of plugins tells the worker, as JSON."""

    state: PluginState
    #: Why it has failed: a sentence; empty otherwise.
    reason: str = ""
    #: Whether it ran or failed before, and starts again.
    restarting: bool = False
    rebalances: int = 0
    #: Records behind open transactions.
    held_back: int = 0
    #: Whether events wait, and none is finished.
    is_stalled: bool = False
    #: Why it answers nothing yet: a sentence each.
    not_ready: Sequence[str] = ()
    #: What is wrong while it runs.
    findings: Sequence[Finding] = ()
    #: How long a stop may wait for its events in flight.
    drain_seconds: float = 0.0


def report_of(
    name: str, running: RunningPlugin, state: PluginState, *, was_started: bool
) -> PluginReport:
    """The report of a plugin that was built and has not failed."""
    return PluginReport(
        state=state,
        restarting=was_started and state is PluginState.STARTING,
        rebalances=running.app.rebalancing_count,
        held_back=running.watch.held_back,
        is_stalled=running.watch.is_stalled,
        not_ready=_not_ready(running),
        findings=[*running.watch.findings, *_own_findings(name, running)],
        drain_seconds=running.app.tuning.drain_seconds,
    )


def _own_findings(name: str, running: RunningPlugin) -> Sequence[Finding]:
    """The findings of the plugin's own code; an error in it leaves other plugins healthy."""
    try:
        return [
            it if isinstance(it, Finding) else found(PLUGIN_WARNING, str(it))
            for it in running.built.warnings()
        ]
    except Exception as why:
        log.exception("plugin %s cannot say its warnings", name)
        return [found(PLUGIN_WARNING, f"its warnings cannot be read ({type(why).__name__})")]


def _not_ready(running: RunningPlugin) -> Sequence[str]:
    app = running.app
    if not app.has_consumer:
        return []
    if app.rebalancing:
        return ["the consumer group is rebalancing"]
    return [] if app.tables.actives_ready else ["the tables are being recovered"]
