"""The plugins of a process, and the lists of the platform that are folded from them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from posstream.domain.errors import StartRefused
from posstream.kafka.topics import APP_ID, FORGETTING, PLATFORM_TOPICS, TopicSpec
from posstream.plugin import Plugin

if TYPE_CHECKING:
    from posstream.streaming.table_spec import TableSpec

#: The owner of what belongs to no plugin, in the sentence about a double claim.
PLATFORM: Final = "posstream itself"


@dataclass(frozen=True, slots=True)
class Plugins(Sequence[Plugin]):
    """The plugins of a process, in the order of their names.

    Raises:
        StartRefused: if two of them claim one name, topic, table, consumer group, setting or
            metric.
    """

    loaded: tuple[Plugin, ...]
    #: The name of a plugin that could not be loaded -> what it raised.
    failed: Mapping[str, BaseException] = field(default_factory=dict)

    def __post_init__(self) -> None:
        claims = ((it.name, what, name) for it in self for what, name in _claims(it))
        ours = ((PLATFORM, "topic", topic.name) for topic in PLATFORM_TOPICS)
        group = f"{APP_ID}-{FORGETTING}-projection"
        refuse_double([*ours, (PLATFORM, "consumer group", group), *claims])

    def __getitem__(self, at: Any) -> Any:
        return self.loaded[at]

    def __len__(self) -> int:
        return len(self.loaded)

    @property
    def default(self) -> Plugin | None:
        """The plugin of a command or query that names no plugin."""
        return next((plugin for plugin in self if plugin.is_default), None)

    def find(self, name: str) -> Plugin | None:
        """The plugin of a name."""
        return next((plugin for plugin in self if plugin.name == name), None)

    @property
    def beside(self) -> "Plugins":
        """Those that run in processes of their own, beside the default plugin: tills never wait."""
        default = self.default
        return Plugins(
            tuple(
                it
                for it in self
                if default is not None and it is not default and it.ports is not None
            )
        )

    @property
    def here(self) -> "Plugins":
        """Those that run in the worker's own process, and those that could not be loaded."""
        beside = self.beside
        return Plugins(tuple(it for it in self if it not in beside), self.failed)

    @property
    def topics(self) -> tuple[TopicSpec, ...]:
        """Every topic that is created: of the plugins, of their tables, and of the platform."""
        owned = [topic for plugin in self for topic in plugin.topics]
        changelogs = [table.changelog for table in self.tables]
        return (*owned, *changelogs, *PLATFORM_TOPICS)

    @property
    def tables(self) -> "tuple[TableSpec, ...]":
        """Every Faust table."""
        return tuple(table for plugin in self for table in plugin.tables)


def _claims(plugin: Plugin) -> Iterator[tuple[str, str]]:
    """The kind and the name of each thing that a plugin claims for itself."""
    yield "name", plugin.name
    yield "consumer group", plugin.consumer_group
    yield "consumer group", plugin.projection_group
    for topic in plugin.topics:
        yield "topic", topic.name
    for table in plugin.tables:
        yield "table", table.name
        yield "topic", table.changelog.name
    for setting in plugin.settings.readers if plugin.settings is not None else ():
        yield "setting", setting
    for metric in plugin.metrics:
        yield "metric", metric.name


def refuse_double(claims: Iterable[tuple[str, str, str]]) -> None:
    """Refuse what two owners claim.

    Args:
        claims: owner, kind and name of each.

    Raises:
        StartRefused: with the names of both owners.
    """
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for owner, what, name in claims:
        owners[what, name].append(owner)
    for (what, name), claimed_by in owners.items():
        if len(claimed_by) > 1:
            raise StartRefused(
                f"the {what} {name} is claimed by {' and by '.join(claimed_by)}: "
                "leave one of them out with POSSTREAM_PLUGINS"
            )
