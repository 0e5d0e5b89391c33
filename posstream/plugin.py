"""The plugin contract: what a plugin declares, and what the platform hands to it.

A plugin is one frozen value: data, and one function that builds its agents. It is `PLUGIN` in the
`__init__.py` of a folder in `agents/`, or what an entry point of the group `posstream.plugins`
names. Everything that posstream lists (topics, schemas, settings, commands, pages, what erasure
touches) is folded from the plugins that are found.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from posstream.kafka.topics import APP_ID, TopicSpec

if TYPE_CHECKING:
    from pathlib import Path

    import click
    from sqlalchemy.ext.asyncio import AsyncEngine

    from posstream.configuration.current import CurrentConfiguration
    from posstream.configuration.part import ConfigurationPart
    from posstream.dead_letters.part import ReplayPart
    from posstream.dead_letters.setting_aside import DeadLetters
    from posstream.events.model import EventModel
    from posstream.findings import Finding
    from posstream.forgetting.part import ForgettingPart
    from posstream.kafka.record import EventPublisher
    from posstream.metrics import Metric, PluginMetrics
    from posstream.read_model.part import ReadModelPart
    from posstream.resilience.clock import Clock
    from posstream.settings import Settings
    from posstream.startup.settings_part import SettingsPart
    from posstream.streaming.app import StreamingApp
    from posstream.streaming.table_spec import TableSpec

#: One line of `posstream check`: whether all is well, and what was found.
CheckLine = tuple[bool, str]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """What one plugin is. Parts that need heavy imports are functions, called when they are used.

    Imports of `graphql`, `pages` and `commands` happen in the function: only these modules of a
    plugin know `web` and `click`.
    """

    #: The name of its folder or entry point: lower case, digits and `_`. Also the key of its live
    #: configuration, and its label in metrics.
    name: str
    #: One sentence for people.
    description: str
    #: Builds its agents on the kit's app; called once for each start of that app.
    build: "Callable[[Kit], Built]"
    #: Makes what its GraphQL and pages ask (`Built.ports`, and the lifetimes that they need),
    #: without its agents; then `build` makes no ports. A plugin that has this runs in a process
    #: beside the default one's: tills never wait for it.
    ports: "Callable[[PortsKit], Built] | None" = None
    #: Whether a command or query that names no plugin means this one; of several, the first.
    is_default: bool = False
    #: Kafka consumer group, and the Faust app's id; by default `posstream-NAME`.
    group: str | None = None
    #: Topics that it owns: created at the start, and claimed by no other plugin.
    topics: tuple[TopicSpec, ...] = ()
    #: Topics whose events its agents read: its own, or other plugins'.
    consumes: tuple[str, ...] = ()
    #: Where its unreadable messages go: the name of one of its topics.
    dead_letters: str | None = None
    #: Topics out of `consumes` to which a dead letter may be replayed.
    replayable: tuple[str, ...] = ()
    #: How such a letter is read, and what came of it; None = only its place is known.
    replay: "ReplayPart | None" = None
    #: One typed model for each event that others may rely on.
    events: "tuple[EventModel, ...]" = ()
    #: Its settings in the environment, if it has any.
    settings: "SettingsPart | None" = None
    #: The typed model of its live configuration; None = it has none.
    configuration: "ConfigurationPart | None" = None
    #: Its Faust tables.
    tables: "tuple[TableSpec, ...]" = ()
    #: Its SQL tables, migrations and projection.
    read_model: "ReadModelPart | None" = None
    #: What it erases and exports of a customer.
    forgetting: "ForgettingPart | None" = None
    metrics: "tuple[Metric, ...]" = ()
    #: What its warnings are about, in words: the overview lists it if all is well.
    looks_at: tuple[str, ...] = ()
    #: Makes its `web.graphql.part.GraphQLPart`.
    graphql: Callable[[], Any] | None = None
    #: Makes its `web.console.part.ConsolePart`.
    pages: Callable[[], Any] | None = None
    #: Its commands of `posstream`.
    commands: "Callable[[], Sequence[click.Command]] | None" = None
    #: Its lines of `posstream check`. Takes the settings, the identifier of a customer to ask for,
    #: and the values of its live configuration as the database has them.
    check: "Callable[[Settings, str, Mapping[str, Any]], Awaitable[Sequence[CheckLine]]] | None" = (
        None
    )
    #: What `posstream dev` prints beside the platform's addresses: a title and an address each.
    addresses: "Callable[[Settings], Sequence[tuple[str, str]]] | None" = None

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"the name {self.name!r} must be lower case, digits and _")
        owned = {topic.name for topic in self.topics}
        if self.dead_letters is not None and self.dead_letters not in owned:
            raise ValueError(f"its topic of dead letters, {self.dead_letters}, is none of its own")
        if self.dead_letters in self.consumes:
            raise ValueError("it consumes its own dead letters, which would never end")
        if self.consumes and self.dead_letters is None:
            raise ValueError("it consumes topics, so it needs a topic of dead letters")
        if not set(self.replayable) <= set(self.consumes):
            raise ValueError("a topic that is replayable is none of those that it consumes")

    @property
    def consumer_group(self) -> str:
        """The Kafka consumer group of its agents."""
        return self.group or f"{APP_ID}-{self.name.replace('_', '-')}"

    @property
    def projection_group(self) -> str:
        """The Kafka consumer group of its projection."""
        return f"{APP_ID}-{self.name.replace('_', '-')}-projection"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortsKit:
    """What the platform hands to a plugin's `ports`."""

    plugin: Plugin
    settings: "Settings"
    #: What the plugin's own `SettingsPart` read.
    own_settings: Any
    clock: "Clock"
    publisher: "EventPublisher"
    #: The version in force; None if the plugin has no live configuration.
    configuration: "CurrentConfiguration[Any] | None"
    #: The read model, for changes and for reading.
    engine: "AsyncEngine"
    readers: "AsyncEngine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit(PortsKit):
    """What the platform hands to a plugin's `build`."""

    #: The Faust app of this plugin alone: its consumer group, its producer, its tables.
    app: "StreamingApp"
    datadir: "Path"
    #: Its declared metrics by their name without `posstream_`.
    metrics: "PluginMetrics"
    dead_letters: "DeadLetters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """A resource that is opened before the first event and closed after the last one."""

    name: str
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ControlAction:
    """What can be done with a control."""

    #: On its button.
    title: str
    #: As a sentence.
    meaning: str
    #: Does the action; doing it twice is the same as doing it once.
    do: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Something that operators may work by hand, on one worker or on all, such as a breaker."""

    #: Lower case; of one plugin no two are the same.
    name: str
    #: Its state, in words.
    state: Callable[[], str]
    #: Name of the action, in lower case -> what it does.
    actions: Mapping[str, ControlAction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A plugin that runs: what its GraphQL, its pages and the platform ask."""

    #: What its own GraphQL and pages use; no other code looks inside.
    ports: Any = None
    #: Opened in this order, closed in reverse.
    lifetimes: tuple[Lifetime, ...] = ()
    #: A finding, or only its sentence, for each thing that is wrong while it runs: for
    #: `/health/ready` and the console.
    warnings: "Callable[[], Sequence[Finding | str]]" = field(default=tuple)
    #: What operators may work by hand; of plugins in the worker's own process only.
    controls: tuple[Control, ...] = ()
