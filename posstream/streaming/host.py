"""The app that `faust worker` runs: it hosts the plugins' apps and has no consumer of its own."""

import asyncio
from collections import ChainMap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from mode import Service

from posstream.plugins.supervisor import Supervisor
from posstream.startup.membership import Membership
from posstream.streaming.app import LONGEST_DRAIN
from posstream.streaming.lifetimes import ProcessEnd, ends_if_refused


class _HostBoot(BootStrategy):
    """Starts the runtime, the web view, and then the supervisor of the plugins."""

    enable_web = False  # Faust's own pages serve table data without authentication

    def server(self) -> Iterable[Service]:
        """The services of a worker in starting order; they stop in reverse."""
        before, web, plugins = self.app.lifetimes
        return [before, *([web] if self.app.conf.web_enabled else []), plugins]


class HostApp(faust.App):
    """The Faust app that `faust -A posstream.app` finds.

    Args:
        app_id: its name in Faust's banner.
        broker: as Faust wants it.
        datadir: the worker's own; the tables of all plugins are in its folder `tables`.
    """

    BootStrategy = _HostBoot

    def __init__(self, app_id: str, *, broker: str, datadir: Path, **options: Any) -> None:
        self.membership = Membership(datadir)
        #: Runtime, web view, plugins.
        self.lifetimes: tuple[Service, Service, Service] | None = None
        self._supervisor: Supervisor
        self._end = ProcessEnd()
        super().__init__(
            app_id,
            env={},  # Faust reads some 80 names there, which override these arguments
            broker=broker,
            datadir=str(datadir / "tables"),
            store="rocksdb://",
            autodiscover=False,
            **options,
        )

    def host(self, supervisor: Supervisor) -> None:
        """Show the agents and tables of the plugins to `faust agents`, `tables` and `reset`."""
        self._supervisor = supervisor
        self.agents = ChainMap(*(it.app.agents for it in supervisor.running.values()))

    @property
    def tables(self) -> Mapping[str, Any]:
        """The tables of all plugins by their name."""
        return ChainMap(*(it.app.tables for it in self._supervisor.running.values()))

    async def on_first_start(self) -> None:
        """Make the data directory if it can be; Faust makes only its last part."""
        with ends_if_refused():
            self.membership.ask()
        Path(self.conf.datadir).mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - once, at start
        await super().on_first_start()

    async def on_start(self) -> None:
        """Start nothing of Faust's: the host has no consumer."""
        self.finalize()

    async def on_started(self) -> None:
        """Report the worker as ready once each plugin runs or has failed."""
        settled = asyncio.ensure_future(self._supervisor.settled())
        stopped = await self.wait_for_stopped(settled)
        settled.cancel()
        if stopped:
            return
        await self.on_started_init_extra_tasks()
        if self.on_startup_finished:
            await self.on_startup_finished()

    def _crash(self, reason: BaseException) -> None:
        """Crash; if the stop after the crash hangs, end the process."""
        if not self.crashed:
            drains = [it.app.tuning.drain_seconds for it in self._supervisor.running.values()]
            self._end.arm(max(drains, default=LONGEST_DRAIN))
        super()._crash(reason)
