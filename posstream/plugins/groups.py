"""The consumer groups of posstream, folded from the plugins. No I/O."""

from collections.abc import Sequence

from posstream.kafka.survey import Group
from posstream.plugin import Plugin
from posstream.read_model.projections import projections


def groups_of(plugins: Sequence[Plugin]) -> Sequence[Group]:
    """The group of each plugin's agents, and the group of each projection."""
    agents = [
        Group(name=it.consumer_group, what=f"the plugin {it.name}", topics=it.consumes)
        for it in plugins
        if it.consumes
    ]
    rows = [
        Group(name=it.group, what=f"the rows of {it.name}", topics=it.topics)
        for it in projections(plugins)
    ]
    return [*agents, *rows]
