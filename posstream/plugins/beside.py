"""Runs plugins beside the lookups in processes of their own, so that tills never wait for them.

Only the process that answers tills has the web view. What the plugins' pages ask is made here; each
child tells how its plugins are (docs/decisions/0022-plugins-beside-the-lookups.md).
"""

import asyncio
import contextlib
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
import orjson

from posstream.kafka.tuning import Tuning
from posstream.metrics import Metrics
from posstream.metrics_relay import Counted, Summed
from posstream.plugin import Built, Plugin
from posstream.plugins.beside_child import command
from posstream.plugins.figures import NONE, PluginFigures
from posstream.plugins.found import Plugins
from posstream.plugins.report import PluginReport
from posstream.plugins.status import PluginState, PluginStatus
from posstream.processes.child import ChildProcess, Spawned
from posstream.settings import Settings
from posstream.streaming.app import LONGEST_DRAIN, StreamingApp
from posstream.streaming.lifetimes import OPEN_SECONDS

log = logging.getLogger(__name__)

#: What a stop may take beyond the drain: the last commit, and the tables.
_LAST_SECONDS: Final = 10.0
#: A child that says nothing for this long is hung up by a plugin's code: it says something each
#: second.
_SILENCE_SECONDS: Final = 90.0
_STARTS: Final = PluginReport(state=PluginState.STARTING, not_ready=["its process is starting"])
#: The line that asks the child to end in order.
STOP: Final = b'{"stop":true}\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideSetup:
    """What the child needs to know.

    It is handed over as a pickle: a plugin's settings are any Python objects, and they are not read
    again, because the files of their secrets may be gone by now.
    """

    #: Those of the worker, without plugins.
    settings: Settings
    #: The names of the plugins that run there.
    plugins: Sequence[str]
    #: The worker's name in its consumer groups.
    member: str | None
    tuning: Tuning
    log_level: int

    @classmethod
    def of(
        cls, settings: Settings, plugins: Sequence[Plugin], *, member: str | None, tuning: Tuning
    ) -> "BesideSetup":
        """The setup for some of the worker's plugins; it has no other plugin's settings."""
        own = {name for it in plugins if it.settings for name in it.settings.readers}
        values = {name: it for name, it in settings.plugin_values.items() if name in own}
        return cls(
            settings=replace(settings, plugins=Plugins(()), plugin_values=values),
            plugins=[plugin.name for plugin in plugins],
            member=member,
            tuning=tuning,
            log_level=logging.getLogger().getEffectiveLevel(),
        )

    def prepare(self, app: StreamingApp) -> None:
        """Fit a plugin's app to the broker, before its consumer starts."""
        app.tune(self.tuning)
        if self.member is not None:
            app.join_as(self.member)


@dataclass(slots=True)
class BesideSeat:
    """One plugin, and how it runs in the child."""

    plugin: Plugin
    report: PluginReport = _STARTS
    figures: PluginFigures = NONE
    #: What its GraphQL and pages ask, and what that needs.
    asked: Built = field(default_factory=Built)
    #: Whether a part of it cannot be made: it runs no more.
    refused: bool = False
    #: Whether it once ran or failed.
    was_started: bool = False
    #: Events that wait while it has failed; None while that is not known.
    lag: int | None = None

    @property
    def state(self) -> PluginState:
        """Whether it works."""
        return self.report.state

    @property
    def status(self) -> PluginStatus:
        """What the web view is told of the plugin."""
        failed = self.state is PluginState.FAILED
        return PluginStatus(
            name=self.plugin.name,
            state=self.state,
            reason=self.report.reason,
            lag=self.lag if failed else None,
            built=None if failed else self.asked,
            findings=lambda: self.report.findings,
        )


class Beside:
    """Starts the child, starts it again when it ends, and knows how each of its plugins is.

    Args:
        plugins: those that run there.
        ports: makes what the GraphQL and the pages of a plugin ask.
        setup: makes what the child is told, at each start, for the plugins that may run.
        metrics: `plugin_up`, `plugin_restarts`, the dead letters, and the plugins' own.
        spawned: the child, if it was started before.
    """

    def __init__(
        self,
        plugins: Plugins,
        *,
        ports: Callable[[Plugin], Built],
        setup: Callable[[Sequence[Plugin]], BesideSetup],
        metrics: Metrics,
        spawned: Spawned | None = None,
    ) -> None:
        #: The names of its plugins.
        self.name = ", ".join(plugin.name for plugin in plugins)
        self._setup = setup
        self._metrics = metrics
        self._summed = {
            "dead_letters": Summed(metrics.dead_letters),
            "dead_letters_refused": Summed(metrics.dead_letters_refused),
            "plugin_restarts": Summed(metrics.plugin_restarts),
        }
        self._begun = asyncio.Event()
        self._child = ChildProcess(
            command(plugins),
            spawned=spawned,
            name=f"the process of {self.name}",
            setup=self._told,
            hear=self._hear,
            ended=self._ended,
            goodbye=STOP,
            stop_seconds=lambda: self.drain_seconds + _LAST_SECONDS,
            silence_seconds=_SILENCE_SECONDS,
        )
        #: Called after each change of a plugin's state.
        self.changed: Callable[[], object] = lambda: None
        self.seats = {plugin.name: BesideSeat(plugin) for plugin in plugins}
        for name, seat in self.seats.items():
            metrics.plugin_up.labels(name).set(0)
            try:
                seat.asked = ports(seat.plugin)
            except (Exception, SystemExit) as why:  # noqa: BLE001 - a plugin may raise anything
                self.refuse(name, f"{type(why).__name__}: {why}")

    @property
    def reports(self) -> Mapping[str, PluginReport]:
        """How each plugin is, by its name."""
        return {name: seat.report for name, seat in self.seats.items()}

    @property
    def figures(self) -> Mapping[str, PluginFigures]:
        """What each plugin that has not failed still has to do, by its name."""
        seats = self.seats.items()
        return {name: it.figures for name, it in seats if it.state is not PluginState.FAILED}

    @property
    def pid(self) -> int | None:
        """The id of the child's process; None if it does not run."""
        return self._child.pid

    @property
    def drain_seconds(self) -> float:
        """How long a stop may wait for events in flight."""
        return max((it.drain_seconds for it in self.reports.values()), default=0) or LONGEST_DRAIN

    async def open(self) -> None:
        """Start the child: it imports what it needs, and waits for `begin`."""
        if not all(seat.refused for seat in self.seats.values()):
            await self._child.open()

    async def begin(self) -> None:
        """Let the plugins start: topics and tables are prepared."""
        for name, seat in self.seats.items():
            try:
                for lifetime in seat.asked.lifetimes:
                    async with asyncio.timeout(OPEN_SECONDS):
                        await lifetime.open()
            except Exception as why:  # noqa: BLE001 - a plugin may raise anything
                self.refuse(name, f"{type(why).__name__}: {why}")
        self._begun.set()
        for name, seat in self.seats.items():
            if seat.refused:  # there was no log yet
                _log_failed(name, seat.report.reason)

    async def close(self) -> None:
        """Stop the plugins in order and end the child. Idempotent."""
        await self._child.close()
        for seat in self.seats.values():
            for lifetime in reversed(seat.asked.lifetimes):
                with contextlib.suppress(Exception):  # a plugin may raise anything
                    await lifetime.close()

    def refuse(self, name: str, reason: str) -> None:
        """Let a plugin fail because a part of it cannot be made; stop it if it runs."""
        seat = self.seats[name]
        seat.refused = True
        if self._begun.is_set():
            _log_failed(name, reason)
        self._child.say(orjson.dumps({"refuse": [name, reason]}) + b"\n")
        self._put(seat, PluginReport(state=PluginState.FAILED, reason=reason))

    async def _told(self) -> bytes:
        await self._begun.wait()
        seats = [seat for seat in self.seats.values() if not seat.refused]
        for seat in seats:
            if seat.was_started:
                name = seat.plugin.name
                log.warning("plugin %s is started again", name, extra={"plugin": name})
                self._metrics.plugin_restarts.labels(seat.plugin.name).inc()
                self._put(seat, _STARTS)
        return pickle.dumps(self._setup([seat.plugin for seat in seats]))

    def _hear(self, said: Mapping[str, Any]) -> None:
        for name, report in msgspec.convert(said["plugins"], dict[str, PluginReport]).items():
            if not self.seats[name].refused:
                self._put(self.seats[name], report)
        for name, told in msgspec.convert(said["figures"], dict[str, PluginFigures]).items():
            self.seats[name].figures = told
        for name, text in said["metrics"].items():
            self._metrics.relayed[name].take(text)
        for name, counted in msgspec.convert(said["counted"], dict[str, Counted]).items():
            self._summed[name].take(counted)

    def _ended(self, why: str) -> None:
        for summed in self._summed.values():
            summed.restart()
        for seat in self.seats.values():
            if not seat.refused:
                reason = f"its process ended ({why})"
                self._put(seat, PluginReport(state=PluginState.FAILED, reason=reason))

    def _put(self, seat: BesideSeat, report: PluginReport) -> None:
        before, starts = seat.state, report.state is PluginState.STARTING
        if starts and seat.was_started:
            report = msgspec.structs.replace(report, restarting=True)
        seat.report = report
        seat.was_started |= not starts
        up = report.state is PluginState.RUNNING
        self._metrics.plugin_up.labels(seat.plugin.name).set(up)
        if report.state is not before:
            self.changed()


def _log_failed(name: str, reason: str) -> None:
    log.error("plugin %s has failed: %s", name, reason, extra={"plugin": name})
