"""The plugins that were found, and what is folded from them: every list of the platform."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from posstream.domain.errors import StartRefused
from posstream.kafka.topics import APP_ID, FORGETTING, PLATFORM_TOPICS, TopicSpec
from posstream.plugin import Plugin

if TYPE_CHECKING:
    import click

    from posstream.metrics import Metric
    from posstream.streaming.table_spec import TableSpec

#: Who owns what is no plugin's, in the sentence about a double claim.
_PLATFORM = "posstream itself"


@dataclass(frozen=True, slots=True)
class Plugins(Sequence[Plugin]):
    """The plugins of a process, in the order of their names.

    Raises:
        StartRefused: if two of them claim one name, topic, table, consumer group, setting or
            metric.
    """

    loaded: tuple[Plugin, ...]
    #: Plugin that could not be loaded -> why.
    failed: Mapping[str, BaseException] = field(default_factory=dict)

    def __post_init__(self) -> None:
        claims = ((it.name, what, name) for it in self for what, name in _claims(it))
        ours = ((_PLATFORM, "topic", topic.name) for topic in PLATFORM_TOPICS)
        group = f"{APP_ID}-{FORGETTING}-projection"
        _refuse_double([*ours, (_PLATFORM, "consumer group", group), *claims])

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self.loaded)

    def __getitem__(self, at: Any) -> Any:
        return self.loaded[at]

    def __len__(self) -> int:
        return len(self.loaded)

    @property
    def default(self) -> Plugin | None:
        """The plugin that is meant where a command or a query names none."""
        return next((plugin for plugin in self if plugin.is_default), None)

    def find(self, name: str) -> Plugin | None:
        """The plugin of a name."""
        return next((plugin for plugin in self if plugin.name == name), None)

    @property
    def topics(self) -> tuple[TopicSpec, ...]:
        """Every topic that is created: those of the plugins, their changelogs, the platform's."""
        owned = [topic for plugin in self for topic in plugin.topics]
        changelogs = [table.changelog for table in self.tables]
        return (*owned, *changelogs, *PLATFORM_TOPICS)

    @property
    def dead_letters(self) -> tuple[str, ...]:
        """Every topic of dead letters."""
        return tuple(plugin.dead_letters for plugin in self if plugin.dead_letters is not None)

    @property
    def tables(self) -> "tuple[TableSpec, ...]":
        """Every Faust table."""
        return tuple(table for plugin in self for table in plugin.tables)

    @property
    def metrics(self) -> "tuple[Metric, ...]":
        """Every metric of the plugins."""
        return tuple(metric for plugin in self for metric in plugin.metrics)

    def commands(self) -> "Sequence[click.Command]":
        """Every command of the plugins.

        Raises:
            StartRefused: if two plugins claim one command.
        """
        found = [
            (plugin.name, command)
            for plugin in self
            if plugin.commands is not None
            for command in plugin.commands()
        ]
        _refuse_double([(owner, "command", command.name or "") for owner, command in found])
        return [command for _, command in found]


def _claims(plugin: Plugin) -> Iterator[tuple[str, str]]:
    """What one plugin claims for itself: kind and name of each."""
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


def _refuse_double(claims: Iterable[tuple[str, str, str]]) -> None:
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for owner, what, name in claims:
        owners[what, name].append(owner)
    for (what, name), claimed_by in owners.items():
        if len(claimed_by) > 1:
            raise StartRefused(
                f"the {what} {name} is claimed by {' and by '.join(claimed_by)}: "
                "leave one of them out with POSSTREAM_PLUGINS"
            )
