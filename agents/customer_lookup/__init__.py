"""The plugin that answers who a scanned customer is."""

from typing import TYPE_CHECKING, Final

from agents.customer_lookup import topics
from agents.customer_lookup.configuration import CONFIGURATION
from agents.customer_lookup.events.declared import EVENTS
from agents.customer_lookup.forgetting import FORGETTING
from agents.customer_lookup.metrics import METRICS
from agents.customer_lookup.settings import SETTINGS
from posstream.plugin import Built, Kit, Plugin

if TYPE_CHECKING:
    from web.console.part import ConsolePart
    from web.graphql.part import GraphQLPart


def _build(kit: Kit) -> Built:
    from agents.customer_lookup.build import build

    return build(kit)


def _graphql() -> "GraphQLPart":
    from agents.customer_lookup.graphql.part import graphql_part

    return graphql_part()


def _pages() -> "ConsolePart":
    from agents.customer_lookup.pages.part import console_part

    return console_part()


PLUGIN: Final = Plugin(
    name="customer_lookup",
    description="Answers who a scanned customer is: from the cache, else from the directory.",
    build=_build,
    is_default=True,
    group="posstream",
    topics=topics.TOPICS,
    consumes=topics.CONSUMED,
    dead_letters=topics.DEAD_LETTERS,
    replayable=(topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_UPDATED),
    graphql=_graphql,
    pages=_pages,
    events=EVENTS,
    settings=SETTINGS,
    configuration=CONFIGURATION,
    tables=(topics.CACHE,),
    forgetting=FORGETTING,
    metrics=METRICS,
)
