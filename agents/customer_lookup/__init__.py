"""The plugin that answers who a scanned customer is."""

from typing import TYPE_CHECKING, Any, Final

from agents.customer_lookup import topics
from posstream.plugin import Built, CheckLine, Kit, Plugin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click

    from posstream.settings import Settings


def _build(kit: Kit) -> Built:
    raise NotImplementedError(kit.plugin.name)


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
    consumes=(
        topics.CUSTOMER_IDENTIFIED,
        topics.REKEYED,
        topics.CUSTOMER_UPDATED,
        topics.CACHE_COMMANDS,
    ),
    dead_letters=topics.DEAD_LETTERS,
    replayable=(topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_UPDATED),
    commands=_commands,
    check=_check,
    addresses=_addresses,
)
