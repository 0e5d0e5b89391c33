"""Starts and watches the app of each plugin, so that a plugin that fails stops no other."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mode import Service

from posstream.domain.errors import PluginFailed, PosstreamError
from posstream.metrics import Metrics
from posstream.plugin import Plugin
from posstream.plugins.beside import Beside, BesideSeat
from posstream.plugins.figures import PluginFigures, figures_of
from posstream.plugins.found import Plugins
from posstream.plugins.report import PluginReport, report_of
from posstream.plugins.running import RunningPlugin
from posstream.plugins.status import PluginState, PluginStatus
from posstream.resilience.retry import growing_pauses

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
#: Between two looks at the events that wait for plugins that have failed.
_LAG_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Seat:
    """One plugin and how it runs."""

    plugin: Plugin
    state: PluginState = PluginState.STARTING
    reason: str = ""
    running: RunningPlugin | None = None
    #: Whether one of its starts came to an end: the plugin ran, or failed.
    was_started: bool = False
    #: Seconds to wait before each next restart; None = the plugin never crashed, or long ago.
    pauses: Iterator[float] | None = None
    stop: "asyncio.Future[None] | None" = None
    #: Events that wait while it has failed; None while that is not known.
    lag: int | None = None

    @property
    def status(self) -> PluginStatus:
        """What the web view is told of the plugin."""
        name, failed = self.plugin.name, self.state is PluginState.FAILED
        return PluginStatus(
            name=name,
            state=self.state,
            reason=self.reason,
            lag=self.lag if failed else None,
            built=None if failed or self.running is None else self.running.built,
            findings=lambda: self.report.findings,
        )

    @property
    def report(self) -> PluginReport:
        """What health and metrics are told of the plugin."""
        if self.running is None or self.state is PluginState.FAILED:
            return PluginReport(state=self.state, reason=self.reason)
        return report_of(self.plugin.name, self.running, self.state, was_started=self.was_started)


class Supervisor(Service):
    """Runs each plugin's app, and starts a crashed one again while another plugin runs.

    If no plugin runs any more the worker crashes: the supervisor of its process starts it again.

    Args:
        plugins: those that run in this process.
        make: builds a plugin on a new app.
        prepare: fits an app to the broker before its start.
        metrics: `plugin_up`, `plugin_restarts`, `plugin_lag`.
        beside: the worker's plugins in other processes; they are started and stopped with these.
        lag: asks how many events wait for a plugin; may raise PosstreamError.
        ends_alone: whether to crash when no plugin runs.
        pauses: makes the seconds to wait before each restart in turn.
    """

    def __init__(  # noqa: PLR0913 - the wiring names everything it gives
        self,
        plugins: Plugins,
        *,
        make: Callable[[Plugin], RunningPlugin],
        prepare: Callable[[Any], None],
        metrics: Metrics,
        beside: Sequence[Beside] = (),
        lag: Callable[[Plugin], Awaitable[int]] | None = None,
        ends_alone: bool = True,
        pauses: Callable[[], Iterator[float]] = lambda: growing_pauses(
            _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS
        ),
    ) -> None:
        super().__init__()
        self.plugins = plugins
        self._make = make
        self._prepare = prepare
        self._metrics = metrics
        self._beside = beside
        self._lag = lag
        self._ends_alone = ends_alone
        self._pauses = pauses
        self._not_loaded = {
            name: PluginStatus(
                name=name, state=PluginState.FAILED, reason=_sentence(why, shown=True)
            )
            for name, why in plugins.failed.items()
        }
        self._seats = {plugin.name: _Seat(plugin) for plugin in plugins}
        self._changed = asyncio.Condition()
        #: Failures before the start: Faust sets up the log only after the app was made.
        self._untold: list[tuple[str, str, BaseException | None]] = []
        for name, why in plugins.failed.items():
            self._tell_failed(name, self._not_loaded[name].reason, why)
        for seat in self._seats.values():
            self._build(seat)

    @property
    def running(self) -> Mapping[str, RunningPlugin]:
        """Every plugin that was built and has not failed."""
        return {
            name: seat.running
            for name, seat in self._seats.items()
            if seat.running is not None and seat.state is not PluginState.FAILED
        }

    def statuses(self) -> Mapping[str, PluginStatus]:
        """Every plugin that was found, by its name."""
        return self._not_loaded | {name: seat.status for name, seat in self._all.items()}

    def reports(self) -> Mapping[str, PluginReport]:
        """The same, with what health and metrics need to know."""
        return {
            name: PluginReport(state=it.state, reason=it.reason)
            for name, it in self._not_loaded.items()
        } | {name: seat.report for name, seat in self._all.items()}

    def figures(self) -> Mapping[str, PluginFigures]:
        """What each plugin still has to do."""
        found = {name: it for child in self._beside for name, it in child.figures.items()}
        return found | {name: figures_of(it) for name, it in self.running.items()}

    def refuse(self, name: str, reason: str) -> None:
        """Let a plugin fail because a part of it cannot be made; stop it if it runs."""
        beside = next((it for it in self._beside if name in it.seats), None)
        if beside is not None:
            beside.refuse(name, reason)
            return
        seat = self._seats[name]
        if seat.running is not None and seat.running.app.started:
            self.add_future(seat.running.app.crash(PluginFailed(reason)))
            return
        seat.running = None
        self._fail(seat, reason)

    async def settled(self) -> None:
        """Wait until each plugin runs or has failed."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: all(it.state is not PluginState.STARTING for it in self._all.values())
            )

    @property
    def _all(self) -> Mapping[str, _Seat | BesideSeat]:
        beside = {name: it for child in self._beside for name, it in child.seats.items()}
        return dict(sorted((self._seats | beside).items()))

    async def on_start(self) -> None:
        """Start all plugins, side by side."""
        for name, reason, why in self._untold:
            _log_failed(name, reason, why)
        for child in self._beside:
            child.changed = lambda: self.add_future(self._look_beside())
        await asyncio.gather(*(child.begin() for child in self._beside))
        for seat in self._seats.values():
            self.add_future(self._keep(seat))
        if self._lag is not None:
            self.add_future(self._count_waiting(self._lag))

    async def on_stop(self) -> None:
        """Stop all plugins, side by side."""
        stops = [self._stop(it) for it in self._seats.values()]
        stops += [child.close() for child in self._beside]
        for why in await asyncio.gather(*stops, return_exceptions=True):
            if why is not None:
                log.error("a plugin's app did not stop in order: %r", why, exc_info=why)

    async def _count_waiting(self, lag: Callable[[Plugin], Awaitable[int]]) -> None:
        """Ask again and again how many events wait for each plugin that has failed."""
        while not self.should_stop:
            for name, seat in self._all.items():
                if seat.state is PluginState.FAILED and seat.plugin.consumes:
                    with contextlib.suppress(PosstreamError, TimeoutError):
                        async with asyncio.timeout(_LAG_SECONDS):
                            seat.lag = await lag(seat.plugin)
                        self._metrics.plugin_lag.labels(name).set(seat.lag)
            await self.sleep(_LAG_SECONDS)

    def _build(self, seat: _Seat) -> bool:
        """Build a plugin; False if it has failed."""
        try:
            seat.running = self._make(seat.plugin)
        except (Exception, SystemExit) as why:  # noqa: BLE001 - a plugin may raise anything
            seat.running = None
            self._fail(seat, _sentence(why, shown=True), why)
            return False
        seat.state, seat.reason, seat.stop = PluginState.STARTING, "", None
        self._metrics.plugin_up.labels(seat.plugin.name).set(0)
        return True

    async def _keep(self, seat: _Seat) -> None:
        name = seat.plugin.name
        if seat.running is None:
            await self._end_if_alone(seat, StartupFailed(f"plugin {name}: {seat.reason}"))
            return
        while True:
            began = time.monotonic()
            why = await self._run(seat, seat.running)
            if self.should_stop:
                return
            self._fail(seat, _sentence(why), why)
            await self._notify()
            if await self._end_if_alone(seat, why):
                return
            try:
                await self._stop(seat)
            except Exception as unstopped:  # noqa: BLE001 - its stores may be open yet
                await self.crash(unstopped)
                return
            if isinstance(why, PluginFailed):
                return
            if seat.pauses is None or time.monotonic() - began > _LONGEST_PAUSE_SECONDS:
                seat.pauses = self._pauses()
            await self.sleep(next(seat.pauses))
            # With its traceback it would hold the stores of that app open, and the next app would
            # wait for their locks.
            del why
            if self.should_stop or not self._build(seat):
                return
            log.warning("plugin %s is started again", name, extra={"plugin": name})
            self._metrics.plugin_restarts.labels(name).inc()

    async def _run(self, seat: _Seat, running: RunningPlugin) -> BaseException:
        """Run a plugin's app until it crashes; returns the reason."""
        app = running.app
        self._prepare(app)
        start: asyncio.Future[None] = asyncio.ensure_future(app.start())
        end = asyncio.ensure_future(app.wait_until_stopped())
        await asyncio.wait({start, end}, return_when=asyncio.FIRST_COMPLETED)
        if start.done() and (failed := start.exception()) is not None:
            end.cancel()
            return failed
        if not app.should_stop:
            log.info("plugin %s runs", seat.plugin.name, extra={"plugin": seat.plugin.name})
            seat.state, seat.was_started = PluginState.RUNNING, True
            self._metrics.plugin_up.labels(seat.plugin.name).set(1)
            await self._notify()
        await end
        start.cancel()
        reason: BaseException | None = app.crash_reason
        return StartupFailed("its app was stopped") if reason is None else reason

    async def _stop(self, seat: _Seat) -> None:
        """Stop a plugin's app once, and wait for its end."""
        if seat.running is not None and seat.running.app.started:
            seat.stop = seat.stop or asyncio.ensure_future(seat.running.app.stop())
            await asyncio.shield(seat.stop)

    async def _end_if_alone(self, seat: _Seat, why: BaseException) -> bool:
        """Crash the worker if no other plugin runs; first wait for plugins that are starting."""
        if not self._ends_alone:
            return False
        others = [it for it in self._all.values() if it is not seat]
        async with self._changed:
            await self._changed.wait_for(
                lambda: all(it.state is not PluginState.STARTING for it in others)
            )
        if any(it.state is PluginState.RUNNING for it in others):
            return False
        await self.crash(why)
        return True

    async def _look_beside(self) -> None:
        """A plugin beside has another state: crash the worker if no plugin runs any more."""
        await self._notify()
        if not self.should_stop and all(
            it.state is PluginState.FAILED for it in self._all.values()
        ):
            await self.crash(StartupFailed("no plugin runs"))

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _fail(self, seat: _Seat, reason: str, why: BaseException | None = None) -> None:
        seat.state, seat.reason, seat.was_started = PluginState.FAILED, reason, True
        self._tell_failed(seat.plugin.name, reason, why)

    def _tell_failed(self, name: str, reason: str, why: BaseException | None) -> None:
        self._metrics.plugin_up.labels(name).set(0)
        if self.started:
            _log_failed(name, reason, why)
        else:
            self._untold.append((name, reason, why))


def _log_failed(name: str, reason: str, why: BaseException | None) -> None:
    about = {"plugin": name}
    log.error("plugin %s has failed: %s", name, reason, exc_info=why, extra=about)


class StartupFailed(PosstreamError):
    """A plugin could not be started, and no other one runs."""


def _sentence(why: BaseException, *, shown: bool = False) -> str:
    """Why a plugin failed, for /health/ready.

    The text of a foreign error may quote a customer: only that of a start, when no event was read
    yet, is shown.
    """
    if isinstance(why, PosstreamError) and str(why):
        return str(why)
    return f"{type(why).__name__}: {why}" if shown and str(why) else type(why).__name__
