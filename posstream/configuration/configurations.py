"""The live configurations of all plugins on one worker, by the name of their plugin."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.editing import LiveConfiguration
from posstream.configuration.follower import ConfigurationFollower
from posstream.configuration.store import SqlConfigurationStore
from posstream.configuration.topic import KafkaConfigurationTopic
from posstream.metrics import Metrics
from posstream.plugin import Plugin
from posstream.resilience.clock import Clock
from posstream.settings import Settings


class Configurations(Mapping[str, LiveConfiguration[Any]]):
    """Plugin name -> live configuration, of the plugins that have one.

    Args:
        lives: one for each plugin.
        default: the plugin that is meant where none is named.
    """

    def __init__(self, lives: Sequence[LiveConfiguration[Any]], default: str) -> None:
        self._lives = {live.plugin: live for live in lives}
        self.default = default

    @classmethod
    def of(
        cls,
        plugins: Sequence[Plugin],
        settings: Settings,
        engine: AsyncEngine,
        clock: Clock,
        own_settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> "Configurations":
        """Those of the plugins that were found, on the database and the topic.

        Args:
            plugins: all that were found.
            settings: of the platform.
            engine: of the database, for changes.
            clock: time.
            own_settings: by plugin, what its `SettingsPart` read.
        """
        lives = [
            LiveConfiguration(
                plugin.name,
                current=CurrentConfiguration(
                    plugin.configuration.defaults(settings, own_settings.get(plugin.name))
                ),
                store=SqlConfigurationStore(engine, plugin.name),
                topic=KafkaConfigurationTopic(settings.bootstrap_servers, plugin.name),
                clock=clock,
            )
            for plugin in plugins
            if plugin.configuration is not None
        ]
        return cls(lives, default_plugin(plugins))

    def followers(self, metrics: Metrics) -> Mapping[str, ConfigurationFollower]:
        """What follows each plugin's records of the topic."""
        return {name: ConfigurationFollower(live, metrics) for name, live in self.items()}

    def __getitem__(self, plugin: str) -> LiveConfiguration[Any]:
        return self._lives[plugin]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lives)

    def __len__(self) -> int:
        return len(self._lives)


def default_plugin(plugins: Sequence[Plugin]) -> str:
    """The plugin that is meant where none is named: the first one that says so, or the first one.

    Empty without plugins.
    """
    names = [plugin.name for plugin in plugins if plugin.is_default]
    return next(iter([*names, *(plugin.name for plugin in plugins)]), "")
