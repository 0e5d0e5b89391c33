"""The live configurations of all plugins on one worker, by the name of their plugin."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.editing import LiveConfiguration
from posstream.configuration.follower import ConfigurationFollower
from posstream.configuration.model import PluginConfiguration
from posstream.configuration.store import SqlConfigurationStore
from posstream.configuration.told import told
from posstream.configuration.topic import KafkaConfigurationTopic
from posstream.metrics import Metrics
from posstream.resilience.clock import Clock
from posstream.settings import Settings

log = logging.getLogger(__name__)


class Configurations(dict[str, LiveConfiguration[Any]]):
    """Plugin name -> live configuration, of the plugins that have one.

    Args:
        lives: one for each plugin.
        default: the plugin that is meant where none is named.
    """

    def __init__(self, lives: Sequence[LiveConfiguration[Any]], default: str) -> None:
        super().__init__((live.plugin, live) for live in lives)
        self.default = default

    @classmethod
    def of(cls, settings: Settings, engine: AsyncEngine, clock: Clock) -> "Configurations":
        """The configurations of the plugins that run, on the database and the topic.

        Args:
            settings: of the worker; they name the plugins.
            engine: of the database, for changes.
            clock: time.
        """
        lives = []
        for plugin in settings.plugins:
            part = plugin.configuration
            if part is None:
                continue
            try:
                defaults = part.defaults(settings, settings.own(plugin))
                if not isinstance(defaults, PluginConfiguration):
                    raise TypeError("no PluginConfiguration")  # noqa: TRY301 - handled alike
            except Exception:  # the plugin is built without a configuration, and fails alone
                log.exception("plugin %s has no defaults for its configuration", plugin.name)
                continue
            live = LiveConfiguration(
                plugin.name,
                current=CurrentConfiguration(defaults),
                store=SqlConfigurationStore(engine, plugin.name),
                topic=KafkaConfigurationTopic(settings.bootstrap_servers, plugin.name),
                clock=clock,
            )
            lives.append(live)
        default = settings.plugins.default
        return cls(lives, default="" if default is None else default.name)

    def current(self, plugin: str) -> CurrentConfiguration[Any] | None:
        """The configuration in force of a plugin; None if the plugin has no live configuration."""
        live = self.get(plugin)
        return None if live is None else live.current

    def followers(
        self, metrics: Metrics, *, stores: bool = True
    ) -> Mapping[str, ConfigurationFollower]:
        """The follower of each plugin's records; metrics show the versions in force from now on.

        Args:
            metrics: of this process.
            stores: whether to tell of the versions and to keep them in the database: one process
                of a worker does.
        """
        for name, live in self.items() if stores else ():
            live.current.watch(partial(_count, name, metrics))
            live.current.watch(told(name, live.current))
            if name == self.default:
                live.current.watch(lambda value: metrics.configuration_version.set(value.version))
        return {
            name: ConfigurationFollower(live, metrics, stores=stores) for name, live in self.items()
        }


def _count(plugin: str, metrics: Metrics, value: PluginConfiguration) -> None:
    metrics.plugin_configuration_version.labels(plugin).set(value.version)
