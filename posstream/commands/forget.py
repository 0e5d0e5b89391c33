"""`posstream forget`: forget one customer, and say what was removed where and what is left."""

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from posstream.commands.running import (
    JSON_OPTION,
    confirmed,
    print_json,
    print_table,
    read_settings,
    run,
)
from posstream.domain.identifier import Identifier, normalise
from posstream.domain.masking import mask_identifier
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
@click.option("--dry-run", is_flag=True, help="Say what would go, and forget nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON_OPTION
def command(identifier: str, wait: float, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Forget the customer behind IDENTIFIER (phone, e-mail or card), with all their identifiers.

    Cached entries and rows of the read model go, and neither a call under way nor a rebuild
    brings them back; the next scan is a new customer's. Says what would go, and asks. Prints what
    was removed where, and which topics hold events until when. Exits with 0 when all is done; a
    second run finds nothing.
    """
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json cannot ask: give --yes or --dry-run")
    settings = read_settings()
    who = given_identifier(settings, identifier)
    run(
        preview(settings, who, as_json=as_json)
        if dry_run
        else forget(settings, who, wait, yes=yes, as_json=as_json)
    )


def given_identifier(settings: Settings, text: str) -> Identifier:
    """An identifier of the command line, normalised.

    Raises:
        UsageError: if it is refused.
    """
    found = normalise(text, card_guard=settings.payment_card_guard)
    if not isinstance(found, Identifier):
        raise click.UsageError(f"{found.masked} is refused: {found.why}")
    return found


async def preview(settings: Settings, identifier: Identifier, *, as_json: bool = False) -> int:
    """Print what the read model has of the customer of an identifier; forget nothing.

    Returns:
        0, or 1 if a plugin failed: there may be more.

    Raises:
        DatabaseUnusable: without a database.
    """
    from posstream.commands.database import opened
    from posstream.forgetting.asking import AskedPlugins

    async with opened(settings) as engine:
        asked = AskedPlugins(find_plugins(), engine)
        trail = await asked.trail(identifier.value)
        rows = {str(table): count for table, count in (await asked.rows(trail)).items()}
    names = [mask_identifier(it) for it in trail.identifiers]
    if as_json:
        topics = [{"topic": it.name, "retention_ms": it.retention_ms} for it in asked.holding]
        print_json({"identifiers": names, "rows": rows, "topics": topics, "failed": asked.failed})
    else:
        print(f"would be forgotten: {', '.join(names)}")
        print_table(("TABLE", "ROWS"), [(table, str(count)) for table, count in rows.items()])
        print("and every cache entry of these identifiers, which only workers can count")
        days = max((it.retention_ms for it in asked.holding), default=0) // _DAY_MS
        print(f"{len(asked.holding)} topics would hold events of the customer, up to {days} days")
    for name, why in asked.failed.items():
        print(f"error: the plugin {name} failed ({why}); its rows are not counted", file=sys.stderr)
    return 1 if asked.failed else 0


async def forget(
    settings: Settings,
    identifier: Identifier,
    wait_seconds: float,
    *,
    yes: bool,
    as_json: bool = False,
) -> int:
    """Forget the customer of an identifier and print the report.

    Unless `yes`, print what would go and ask first.

    Returns:
        0 when all is done, 1 if it was not confirmed by the user, or by no worker in time, if none
        ever ran on this broker or a plugin failed.

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
    if not yes:
        await preview(settings, identifier)
        if not confirmed("Forget this customer? This cannot be undone"):
            return 1
    async with TopicWriter(brokers) as writer, opened(settings, to_write=True) as engine:
        forgetting = CustomerForgetting(plugins=find_plugins(), engine=engine, publish=writer.write)
        outcome = await forgetting.forget(identifier.value, patience_seconds=wait_seconds)
    if isinstance(outcome, Unconfirmed):
        print(f"error: {outcome.why}", file=sys.stderr)
        return 1
    if as_json:
        print_json(_document(outcome))
    else:
        _print(identifier, outcome)
    if outcome.trouble:
        print(f"error: {outcome.trouble}", file=sys.stderr)
    return 1 if outcome.trouble else 0


def _document(report: "ForgetReport") -> dict[str, Any]:
    return {
        "forgotten_at": iso_utc_ms(report.forgotten_at_ms),
        "identifiers": report.identifiers,
        "cache_entries": report.cache_entries,
        "rows": {str(table): count for table, count in report.rows.items()},
        "newer_rows": report.newer_rows,
        "topics": [
            {"topic": it.topic, "retention_ms": it.retention_ms, "until": iso_utc_ms(it.until_ms)}
            for it in report.topics
        ],
        "failed": report.failed,
    }


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
