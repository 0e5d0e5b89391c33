"""The store and the topic of the live configuration in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agents.customer_lookup.configuration import LookupConfiguration
from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.editing import LiveConfiguration
from posstream.configuration.model import C, PluginConfiguration, json_schema, keys_of
from posstream.configuration.version import UNEDITED, ConfigurationChange, ConfigurationVersion
from posstream.domain.errors import InvalidConfiguration, PublishFailed
from tests.component.fakes import FixedClock

DEFAULTS = LookupConfiguration(api_endpoint="http://directory.test/")
KEYS = keys_of(LookupConfiguration)
#: key -> (lowest, highest) of the numeric keys.
RANGES = {
    key: (known["minimum"], known["maximum"])
    for key, known in json_schema(DEFAULTS, "customer_lookup")["properties"].items()
    if "minimum" in known
}


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item of a list in a configuration."""

    id: str
    window_seconds: Annotated[int, Meta(ge=1, le=604_800)]
    state: Literal["ACTIVE", "PAUSED"] = "ACTIVE"
    lowest: float = 0
    highest: float = 10

    def __post_init__(self) -> None:
        if self.lowest > self.highest:
            raise InvalidConfiguration("lowest", "must be at most `highest`")


class RulesConfiguration(PluginConfiguration, frozen=True, kw_only=True):
    """The model of another plugin."""

    rules: Annotated[list[Rule], Meta(title="Rules", description="Replaced as a whole.")] = (
        msgspec.field(default_factory=list)
    )
    warn_at: Annotated[int, Meta(title="Warn at", description="Alerts.", ge=0, le=100)] = 5
    stop_at: Annotated[int, Meta(title="Stop at", description="Alerts.", ge=0, le=100)] = 50

    def __post_init__(self) -> None:
        if self.warn_at > self.stop_at:
            raise InvalidConfiguration("warn_at", "must be at most `stop_at`")


@dataclass
class FakeStore:
    """Versions in a dictionary; can be down."""

    changes: dict[int, ConfigurationChange] = field(default_factory=dict)
    error: Exception | None = None

    async def latest(self) -> ConfigurationVersion:
        self._ask()
        return self.changes[max(self.changes)].version if self.changes else UNEDITED

    async def find(self, version: int) -> ConfigurationVersion | None:
        self._ask()
        found = self.changes.get(version)
        return None if found is None else found.version

    async def history(self, limit: int) -> Sequence[ConfigurationChange]:
        self._ask()
        return [self.changes[number] for number in sorted(self.changes, reverse=True)[:limit]]

    async def add(self, change: ConfigurationChange) -> bool:
        self._ask()
        return self.changes.setdefault(change.version.version, change) is change

    async def mirror(self, change: ConfigurationChange) -> None:
        self._ask()
        self.changes[change.version.version] = change

    async def remove(self, version: int) -> None:
        self._ask()
        del self.changes[version]

    def _ask(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class FakeTopic:
    """Records what is published; can refuse it."""

    published: list[ConfigurationVersion] = field(default_factory=list)
    down: bool = False

    async def publish(self, version: ConfigurationVersion) -> None:
        if self.down:
            raise PublishFailed("plugin-configuration: no broker")
        self.published.append(version)


def live_configuration(store: Any, topic: Any) -> LiveConfiguration[LookupConfiguration]:
    """The configuration of customer_lookup on one worker."""
    return live_configuration_of("customer_lookup", DEFAULTS, store, topic)


def live_rules(store: Any, topic: Any) -> LiveConfiguration[RulesConfiguration]:
    """The configuration of another plugin on one worker."""
    return live_configuration_of("rules", RulesConfiguration(), store, topic)


def live_configuration_of(plugin: str, defaults: C, store: Any, topic: Any) -> LiveConfiguration[C]:
    """The configuration of a plugin on one worker."""
    return LiveConfiguration(
        plugin,
        current=CurrentConfiguration(defaults),
        store=store,
        topic=topic,
        clock=FixedClock(),
    )
