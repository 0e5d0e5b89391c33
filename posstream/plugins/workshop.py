"""Builds plugins on what one process has: in the worker's own, and in those beside it."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.configuration.configurations import Configurations
from posstream.dead_letters.setting_aside import DeadLetters
from posstream.dead_letters.writer import DeadLetterWriter
from posstream.kafka.record import EventPublisher
from posstream.metrics import Metrics
from posstream.plugin import Built, Kit, Plugin, PortsKit
from posstream.plugins.event_failures import EventFailures
from posstream.plugins.running import PluginWatch, RunningPlugin
from posstream.resilience.clock import Clock
from posstream.settings import Settings
from posstream.startup.membership import Membership
from posstream.streaming.app import StreamingApp
from posstream.streaming.credentials import credentials
from posstream.streaming.lifetimes import OPEN_SECONDS, LifetimeService
from posstream.streaming.publisher import FaustPublisher
from posstream.streaming.stall import LOOK_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What all plugins of one process are built with."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    configurations: Configurations
    engine: AsyncEngine
    readers: AsyncEngine
    dead_letter_writer: DeadLetterWriter
    #: The worker's claim on its data directory; None in a process beside it.
    membership: Membership | None = None

    def make(self, plugin: Plugin) -> RunningPlugin:
        """Build a plugin on a new app.

        Raises:
            Exception: whatever the plugin's code raises.
        """
        settings = self.settings
        app = StreamingApp(
            plugin.consumer_group,
            broker=settings.faust_broker,
            broker_credentials=credentials(settings.bootstrap_servers),
            datadir=settings.datadir.absolute(),
            partitions=settings.topic_partitions,
            topic_replication_factor=settings.topic_replication,
            membership=self.membership,
        )
        dead_letters = DeadLetters(
            plugin=plugin.name,
            topic=plugin.dead_letters or "",  # without one it consumes nothing
            publish=self.dead_letter_writer.write,
            clock=self.clock,
            metrics=self.metrics,
            per_minute=settings.dead_letters_per_minute,
        )
        app.plugin = plugin.name
        app.failures = EventFailures(app, dead_letters, self.clock)
        kit = Kit(
            **self._shared(plugin, FaustPublisher(app)),
            app=app,
            datadir=settings.datadir,
            metrics=self.metrics.of(plugin),
            dead_letters=dead_letters,
        )
        built = plugin.build(kit)
        if plugin.ports is not None:
            asked = plugin.ports(kit)
            lifetimes = (*asked.lifetimes, *built.lifetimes)
            built = replace(built, ports=asked.ports, lifetimes=lifetimes)
        if undeclared := app.consumed.difference(plugin.consumes):
            raise ValueError(f"it reads {', '.join(sorted(undeclared))}, not in its `consumes`")
        app.lifetimes = [
            LifetimeService(
                it, open_seconds=OPEN_SECONDS, close_seconds=lambda: app.tuning.drain_seconds
            )
            for it in built.lifetimes
        ]
        watch = PluginWatch(
            app, plugin, dead_letters, clock=self.clock, partitions=settings.topic_partitions
        )
        app.timer(LOOK_SECONDS, name="plugin watch")(watch.look)
        return RunningPlugin(app, built, watch)

    def ports(self, plugin: Plugin, publisher: EventPublisher) -> Built:
        """What the GraphQL and the pages of a plugin ask that runs in another process.

        Raises:
            Exception: whatever the plugin's code raises.
        """
        kit = PortsKit(**self._shared(plugin, publisher))
        return Built() if plugin.ports is None else plugin.ports(kit)

    def _shared(self, plugin: Plugin, publisher: EventPublisher) -> dict[str, Any]:
        """What is in both kits."""
        return {
            "plugin": plugin,
            "settings": self.settings,
            "own_settings": self.settings.own(plugin),
            "clock": self.clock,
            "publisher": publisher,
            "configuration": self.configurations.current(plugin.name),
            "engine": self.engine,
            "readers": self.readers,
        }
