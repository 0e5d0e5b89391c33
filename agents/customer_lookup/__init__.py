"""The plugin that answers who a scanned customer is."""

from typing import TYPE_CHECKING, Any, Final

from agents.customer_lookup import topics
from agents.customer_lookup.configuration import CONFIGURATION
from agents.customer_lookup.events.declared import EVENTS
from agents.customer_lookup.forgetting import FORGETTING
from agents.customer_lookup.metrics import METRICS
from agents.customer_lookup.read_model.part import READ_MODEL
from agents.customer_lookup.settings import SETTINGS
from posstream.plugin import Built, CheckLine, Kit, Plugin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click

    from posstream.settings import Settings
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


def _commands() -> "Sequence[click.Command]":
    from agents.customer_lookup.commands import commands

    return commands()


async def _check(
    settings: "Settings", identifier: str, config: "Mapping[str, Any]"
) -> "Sequence[CheckLine]":
    from agents.customer_lookup.commands.check_directory import check_directory

    return await check_directory(settings, identifier, config)


def _addresses(settings: "Settings") -> "Sequence[tuple[str, str]]":
    from agents.customer_lookup.directory.mock import shown_address

    return [shown_address(settings)]


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
    events=EVENTS,
    settings=SETTINGS,
    configuration=CONFIGURATION,
    tables=(topics.CACHE,),
    metrics=METRICS,
    graphql=_graphql,
    pages=_pages,
    read_model=READ_MODEL,
    forgetting=FORGETTING,
    commands=_commands,
    check=_check,
    addresses=_addresses,
)
