"""`posstream forget`: forget one customer, and say what was removed where and what is left."""

import sys
from typing import TYPE_CHECKING, Final

import click

from posstream.commands.running import print_table, read_settings, run
from posstream.domain.identifier import Identifier, normalise
from posstream.domain.times import iso_utc_ms
from posstream.plugins.discovery import find_plugins
from posstream.settings import Settings

if TYPE_CHECKING:
    from posstream.forgetting.forgetting import ForgetReport

_DAY_MS: Final = 86_400_000


@click.command("forget")
@click.argument("identifier")
@click.option(
    "--wait", default=60.0, show_default=True, help="Seconds to wait for workers to confirm."
)
def command(identifier: str, wait: float) -> None:
    """Erase the customer behind IDENTIFIER (phone, e-mail or card), with all their identifiers.

    Cached entries and rows of the read model go, and neither a call under way nor a rebuild
    brings them back; the next scan is a new customer's. Prints what was removed where, and which
    topics hold events until when. Exits with 0 when all is done; once more finds nothing.
    """
    settings = read_settings()
    run(forget(settings, given_identifier(settings, identifier), wait))


def given_identifier(settings: Settings, text: str) -> Identifier:
    """An identifier of the command line, normalised.

    Raises:
        UsageError: if it is refused.
    """
    found = normalise(text, card_guard=settings.payment_card_guard)
    if not isinstance(found, Identifier):
        raise click.UsageError(f"{found.masked} is refused: {found.why}")
    return found


async def forget(settings: Settings, identifier: Identifier, wait_seconds: float) -> int:
    """Forget the customer of an identifier and print the report.

    Returns:
        0 when all is done, 1 if no worker confirmed it in time, none ever ran on this broker or a
        plugin failed.

    Raises:
        BrokerUnreachable, PublishFailed: if no broker answers, or it does not acknowledge; do it
            again.
        DatabaseUnusable: likewise.
    """
    from posstream.commands.database import opened
    from posstream.forgetting.forgetting import CustomerForgetting, Unconfirmed
    from posstream.kafka.counts import partitions_of
    from posstream.kafka.topics import CUSTOMER_FORGOTTEN
    from posstream.kafka.writer import TopicWriter

    brokers = settings.bootstrap_servers
    if not await partitions_of(brokers, [CUSTOMER_FORGOTTEN]):
        print("nothing to forget: no worker of this version ever ran on this broker")
        return 1
    async with TopicWriter(brokers) as writer, opened(settings) as engine:
        forgetting = CustomerForgetting(plugins=find_plugins(), engine=engine, publish=writer.write)
        outcome = await forgetting.forget(identifier.value, patience_seconds=wait_seconds)
    if isinstance(outcome, Unconfirmed):
        print(f"error: {outcome.why}", file=sys.stderr)
        return 1
    _print(identifier, outcome)
    if outcome.trouble:
        print(f"error: {outcome.trouble}", file=sys.stderr)
    return 1 if outcome.trouble else 0


def _print(identifier: Identifier, report: "ForgetReport") -> None:
    print(f"forgotten at {iso_utc_ms(report.forgotten_at_ms)}: {identifier.masked}")
    print(f"identifiers: {report.identifiers}")
    print(f"cache entries removed: {report.cache_entries}")
    print_table(
        ("TABLE", "ROWS REMOVED"), [(table, str(count)) for table, count in report.rows.items()]
    )
    if report.newer_rows:
        print(f"rows of scans since then: {report.newer_rows}")
    print("\nNobody can remove single events from a topic. These still hold the customer's, until:")
    print_table(
        ("TOPIC", "RETENTION", "UNTIL"),
        [
            (it.topic, f"{it.retention_ms // _DAY_MS} days", iso_utc_ms(it.until_ms))
            for it in report.topics
        ],
    )
    print(
        "These dates hold for topics as posstream makes them; yours may keep the events longer."
        " They are not\nreplayed into the read model. You must take care of: the customer directory"
        " (the next scan asks it\nagain), every other program that reads these topics, backups of"
        " the database, and data directories\nof workers that are switched off."
    )
