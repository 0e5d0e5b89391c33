"""A plugin for tests: counts the answers of each basket, and tells about each tenth one.

It has one of everything that a plugin can have, and imports nothing of another plugin. Its own
modules are imported relatively, so the folder works as `agents/toy` and as an installed package.
"""

from typing import TYPE_CHECKING, Any, Final

from posstream.plugin import Built, Kit, Plugin

from .configuration import CONFIGURATION
from .events import EVENTS
from .forgetting import FORGETTING
from .metrics import METRICS
from .read_model import READ_MODEL
from .topics import ANSWERS, DEAD_LETTERS, TABLE, TOPICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click


def _build(kit: Kit) -> Built:
    from .agent import VisitsAgent
    from .visits import Visits

    VisitsAgent(kit)
    return Built(ports=Visits(kit.readers))


def _graphql() -> Any:
    from .graphql import graphql_part

    return graphql_part()


def _pages() -> Any:
    from .pages import console_part

    return console_part()


def _commands() -> "Sequence[click.Command]":
    from .commands import visits

    return [visits]


PLUGIN: Final = Plugin(
    name="toy",
    description="Counts the answers of each basket.",
    build=_build,
    topics=TOPICS,
    consumes=(ANSWERS,),
    dead_letters=DEAD_LETTERS,
    events=EVENTS,
    configuration=CONFIGURATION,
    tables=(TABLE,),
    read_model=READ_MODEL,
    forgetting=FORGETTING,
    metrics=METRICS,
    graphql=_graphql,
    pages=_pages,
    commands=_commands,
)
