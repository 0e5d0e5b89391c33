"""`posstream cache`: remove customers from the cache, through the topic that every worker reads."""

import sys

import click

from agents.customer_lookup.cache_commands import Evict, EvictPrefix, InvalidEviction, eviction
from agents.customer_lookup.events.commands import commanded
from agents.customer_lookup.topics import CACHE_COMMANDS
from posstream.commands.group import CommandGroup
from posstream.commands.running import confirmed, read_settings, run
from posstream.domain.payment_card import mask
from posstream.settings import Settings


@click.group("cache", cls=CommandGroup)
def command() -> None:
    """Remove customers from the cache."""


@command.command("evict")
@click.argument("identifier", required=False)
@click.option("--prefix", help="All whose normalised identifiers start with this text, like +4930.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def _evict(identifier: str | None, prefix: str | None, *, everything: bool, yes: bool) -> None:
    """Remove the customer of IDENTIFIER (phone, e-mail or card) from the cache, on every worker.

    The next scan asks the directory again. Exits with 0 once the broker has the command.
    """
    settings = read_settings()
    asked = eviction(
        identifier=identifier,
        prefix=prefix,
        everything=everything,
        card_guard=settings.payment_card_guard,
    )
    if isinstance(asked, InvalidEviction):
        raise click.UsageError(asked.why)
    question = "Remove all customers from the cache? Each one's next scan calls the directory"
    if everything and not yes and not confirmed(question):
        sys.exit(1)
    run(evict(settings, asked))


async def evict(settings: Settings, command: Evict | EvictPrefix) -> int:
    """Publish an eviction and say when the broker has it; the workers do it at once after that.

    Returns:
        0 when it is acknowledged, 1 if no worker has ever run on this broker.

    Raises:
        BrokerUnreachable: if no broker answers, or it does not acknowledge.
        PublishFailed: if it refuses the command.
    """
    from posstream.kafka.counts import partitions_of
    from posstream.kafka.writer import TopicWriter

    servers = settings.bootstrap_servers
    partitions = (await partitions_of(servers, [CACHE_COMMANDS])).get(CACHE_COMMANDS, 0)
    if not partitions:
        print(f"nothing to evict: no worker ever ran on this broker ({CACHE_COMMANDS})")
        return 1
    async with TopicWriter(servers) as writer:
        for record in commanded(command, partitions):
            await writer.write(record)
    print(f"the broker has the command: every worker evicts {_what(command)}")
    return 0


def _what(command: Evict | EvictPrefix) -> str:
    if isinstance(command, Evict):
        return f"the customer of {mask(command.identifier)}"
    if command.prefix:
        return f"each customer whose identifier starts with {mask(command.prefix)}"
    return "all customers"
