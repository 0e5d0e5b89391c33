"""The long-lived resources of a worker: opened in order before the first event, closed after it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiohttp.web import Application
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream import __version__
from posstream.configuration.topic import ConfigurationReader
from posstream.dead_letters.writer import DeadLetterWriter
from posstream.domain.errors import BrokerUnreachable, DatabaseUnusable, StartRefused
from posstream.findings import (
    BROKER_AWAY,
    BROKER_MISSING,
    DATABASE_AWAY,
    PROJECTION_LATE,
    PROJECTION_WAITS,
    Finding,
    found,
)
from posstream.fleet.fleet import Fleet
from posstream.fleet.heart import Heart
from posstream.kafka.broker_watch import BrokerWatch
from posstream.kafka.counts import group_lag
from posstream.kafka.preflight import PATIENCE_SECONDS, prepare_topics, tombstones_kept_ms
from posstream.kafka.topics import EMBEDDED_CLUSTER
from posstream.kafka.tuning import Tuning, tuning_for
from posstream.kafka.writer import TopicWriter
from posstream.metrics import Metrics
from posstream.plugin import Plugin
from posstream.plugins.beside import Beside, BesideSetup
from posstream.processes.metrics import ProcessFigures
from posstream.read_model.database_watch import DatabaseWatch
from posstream.read_model.migrate import upgrade
from posstream.read_model.opening import DatabaseOpening
from posstream.read_model.projecting import Setup
from posstream.read_model.projection_process import ProjectionProcess
from posstream.read_model.projections import projections
from posstream.read_model.projections_apart import ProjectionsApart
from posstream.read_model.projector import GroupSettings
from posstream.resilience.clock import Clock
from posstream.resilience.tasks import stop_task
from posstream.settings import WORKER, Settings
from posstream.startup.hosts import without_brackets
from posstream.startup.open_files import raise_open_files
from posstream.startup.preflight import Start, check_start, unusable
from posstream.startup.private_files import keep_private
from posstream.streaming.app import StreamingApp
from posstream.streaming.host import HostApp
from posstream.streaming.lifetimes import ends_if_refused
from posstream.streaming.loop_delay import measure_loop_delay
from posstream.tracing.starting import start_tracing, stop_tracing
from web.server import WebServer

log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class Runtime:
    """Broker check, SQL and web view of one worker: what all plugins share."""

    app: HostApp
    settings: Settings
    engine: AsyncEngine
    readers: AsyncEngine
    web: Application
    configuration_reader: ConfigurationReader
    fleet: Fleet
    heart: Heart
    writers: Sequence[TopicWriter | DeadLetterWriter]
    metrics: Metrics
    refuse: Callable[[str, str], None]
    #: The processes of the plugins beside the lookups.
    beside: Sequence[Beside] = ()

    def __post_init__(self) -> None:
        self._web_server: WebServer | None = None
        self._database = DatabaseOpening(self._open_database)
        self._tuning = Tuning()
        self._brokers = BrokerWatch(self.settings.bootstrap_servers, Clock())
        self._watch = DatabaseWatch(self.readers, Clock())
        self.metrics.brokers.set_function(lambda: self._brokers.count)
        self.metrics.database_up.set_function(lambda: self._watch.is_there)
        pids: dict[str, Callable[[], int | None]] = {"projections": lambda: self._projections.pid}
        pids |= {it.name: partial(getattr, it, "pid") for it in self.beside}
        self.metrics.registry.register(ProcessFigures(pids))
        self._projections = self._projecting()
        self._loop_delay: asyncio.Task[None] | None = None

    @property
    def findings(self) -> Sequence[Finding]:
        """What is wrong with the parts that all plugins share."""
        broker = BROKER_MISSING if self._brokers.count else BROKER_AWAY
        told = (
            (broker, "broker", self._brokers.warnings),
            (DATABASE_AWAY, "database", self._watch.warnings),
            (PROJECTION_WAITS, "projections", self._projections.warnings()),
            (PROJECTION_LATE, "projections", self._projections.late()),
        )
        ours = [found(code, said, part) for code, part, sentences in told for said in sentences]
        return [*ours, *self.fleet.findings]

    async def open(self) -> None:
        """Open everything but the web view; end the process with one line if it must not start."""
        with ends_if_refused():
            await self._open()

    async def _open(self) -> None:
        settings = self.settings
        log.info(
            "posstream %s starts, with the plugins %s",
            __version__,
            ", ".join(plugin.name for plugin in settings.plugins),
        )
        raise_open_files()
        start_tracing("worker")
        for child in self.beside:  # its imports take as long as the rest takes here
            await child.open()
        conf: Any = self.app.conf
        await check_start(
            Start(
                settings=settings,
                membership=self.app.membership,
                web=(without_brackets(conf.web_bind), conf.web_port) if conf.web_enabled else None,
                patience_seconds=PATIENCE_SECONDS,
            )
        )
        self.app.membership.claim()
        was_open = keep_private(settings.datadir)
        if was_open is not None:
            log.warning("%s", was_open)
        tables = settings.plugins.tables
        cluster, _ = await prepare_topics(
            settings.bootstrap_servers,
            settings.plugins.topics,
            tables=tables,
            partitions=settings.topic_partitions,
            replication=settings.topic_replication,
        )
        tuning = tuning_for(cluster, settings.session_timeout_seconds)
        if cluster != EMBEDDED_CLUSTER and tables:
            kept_ms = await tombstones_kept_ms(
                settings.bootstrap_servers, [table.changelog.name for table in tables]
            )
            if kept_ms is not None:
                tuning = replace(tuning, tombstones_ms=kept_ms)
        self._tuning = tuning
        try:
            await self.configuration_reader.open(fetch_wait_ms=tuning.rare_fetch_wait_ms)
        except BrokerUnreachable as why:
            raise StartRefused(str(why)) from why
        try:
            await self._database.open()
        except StartRefused:
            raise
        except Exception as why:
            raise StartRefused(unusable(why)) from why
        await self._brokers.open()
        await self._watch.open()
        await self.heart.open(self.app.membership.claim(), fetch_wait_ms=tuning.rare_fetch_wait_ms)
        await self._projections.open()
        observe = self.metrics.event_loop_delay.observe
        self._loop_delay = asyncio.create_task(measure_loop_delay(observe))

    def _projecting(self) -> ProjectionProcess | ProjectionsApart:
        if self.settings.projection == WORKER:
            return ProjectionProcess(self._projection_setup, metrics=self.metrics)
        brokers = self.settings.bootstrap_servers
        lags = {
            it.name: partial(group_lag, brokers, it.group, it.topics)
            for it in projections(self.settings.plugins)
        }
        return ProjectionsApart(lags, metrics=self.metrics, clock=Clock())

    def _projection_setup(self) -> Setup:
        settings = self.settings
        return Setup(
            group=GroupSettings(
                servers=settings.bootstrap_servers, member=self._member, tuning=self._tuning
            ),
            database_url=settings.database_url,
            plugins=[plugin.name for plugin in settings.plugins],
            keep_rows_days=settings.keep_rows_days,
        )

    def setup_beside(self, plugins: Sequence[Plugin]) -> BesideSetup:
        """What the process of some plugins is told at its start."""
        return BesideSetup.of(self.settings, plugins, member=self._member, tuning=self._tuning)

    async def _open_database(self) -> None:
        plugins = self.settings.plugins
        failures = await upgrade(self.engine, plugins)
        if len(failures) == len(plugins):
            raise DatabaseUnusable("; ".join(f"{name}: {why}" for name, why in failures.items()))
        for name, why in failures.items():
            self.refuse(name, f"its migrations cannot be run: {why}")
        await self.configuration_reader.settle()

    def prepare(self, app: StreamingApp) -> None:
        """Fit a plugin's app to the broker, before its consumer starts."""
        app.tune(self._tuning)
        if self._member is not None:
            app.join_as(self._member)

    @property
    def _member(self) -> str | None:
        """The worker's name in its consumer groups; the embedded broker knows no names."""
        return self.app.membership.claim() if self._tuning.shared else None

    async def close(self) -> None:
        """Close what `open` opened, in reverse."""
        await stop_task(self._loop_delay)
        await self.heart.close(says_farewell=not self.app.crashed)
        await self._watch.close()
        await self._brokers.close()
        await asyncio.gather(*(child.close() for child in self.beside))
        for writer in self.writers:
            await writer.close()
        await self._projections.close()
        await self._database.close()
        await self.configuration_reader.close()
        await self.readers.dispose()
        await self.engine.dispose()
        self.app.membership.release()
        await asyncio.to_thread(stop_tracing)

    async def open_web(self) -> None:
        """Open the web view where `faust worker` or the settings want it."""
        conf: Any = self.app.conf
        self._web_server = WebServer(self.web, host=conf.web_bind, port=conf.web_port)
        with ends_if_refused():
            await self._web_server.start()

    async def close_web(self) -> None:
        """Close the web view; open streams end at once."""
        if self._web_server is not None:
            await self._web_server.stop()
