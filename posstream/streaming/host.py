"""The app that `faust worker` runs: it hosts the plugins' apps and has no consumer of its own."""

import asyncio
import socket
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faust.app.base import BootStrategy
from mode import Service

from posstream.logs.setup import TEXT
from posstream.plugins.running import RunningPlugin
from posstream.plugins.supervisor import Supervisor
from posstream.startup.membership import Membership
from posstream.streaming.app import LONGEST_DRAIN, WorkerApp
from posstream.streaming.lifetimes import ends_if_refused
from posstream.streaming.patches.worker import Worker, leave_out_banner


class _HostBoot(BootStrategy):
    """Starts the runtime, the web view, and then the supervisor of the plugins."""

    enable_web = False  # Faust's own pages serve table data without authentication

    def server(self) -> Iterable[Service]:
        """The services of a worker in starting order; they stop in reverse."""
        before, web, plugins = self.app.lifetimes
        return [before, *([web] if self.app.conf.web_enabled else []), plugins]


class HostApp(WorkerApp):
    """The Faust app that `faust -A posstream.app` finds.

    Args:
        app_id: its name in Faust's banner.
        broker: as Faust wants it.
        datadir: the worker's own; the tables of all plugins are in its folder `tables`.
        log_format: of `posstream.logs`.
    """

    BootStrategy = _HostBoot

    def __init__(
        self, app_id: str, *, broker: str, datadir: Path, log_format: str = TEXT, **options: Any
    ) -> None:
        leave_out_banner()
        #: How `Worker` writes the log.
        self.log_format = log_format
        self.membership = Membership(datadir)
        #: Runtime, web view, plugins.
        self.lifetimes: tuple[Service, Service, Service] | None = None
        self._supervisor: Supervisor
        self._beside: Callable[[], Sequence[RunningPlugin]]
        super().__init__(app_id, broker=broker, datadir=datadir, Worker=Worker, **options)

    def host(
        self, supervisor: Supervisor, beside: Callable[[], Sequence[RunningPlugin]] = tuple
    ) -> None:
        """Show the agents and tables of the plugins to `faust agents`, `tables` and `reset`.

        Args:
            supervisor: of the plugins in this process.
            beside: builds those that run in another one, to be shown.
        """
        self._supervisor = supervisor
        self._beside = beside

    @property
    def address(self) -> str:
        """The worker as people name it: its host, and the port of its web view."""
        conf: Any = self.conf
        return f"{socket.gethostname()}:{conf.web_port}"

    @property
    def own_address(self) -> str:
        """The same, but no other worker's: without a web view, two on a host have one port."""
        conf: Any = self.conf
        if conf.web_enabled:
            return self.address
        return f"{socket.gethostname()}/{self.membership.claim()[-8:]}"

    @property
    def agents(self) -> Mapping[str, Any]:
        """The agents of all plugins by their name."""
        return ChainMap(*(it.app.agents for it in self._plugins()))

    @agents.setter
    def agents(self, _: Any) -> None:
        """Faust gives each app agents of its own; the host has none."""

    @property
    def tables(self) -> Mapping[str, Any]:
        """The tables of all plugins by their name."""
        return ChainMap(*(it.app.tables for it in self._plugins()))

    def _plugins(self) -> Sequence[RunningPlugin]:
        return [*self._supervisor.running.values(), *self._beside()]

    async def on_first_start(self) -> None:
        """Make the data directory, if it can be made."""
        with ends_if_refused():
            self.membership.ask()
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

    @property
    def _drain_seconds(self) -> float:
        drains = [it.drain_seconds for it in self._supervisor.reports().values()]
        return max(drains, default=0) or LONGEST_DRAIN
