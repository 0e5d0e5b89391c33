"""The `posstream` command. Each subcommand is one module of `posstream.commands`."""

import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from posstream.commands.config import command as config
from posstream.domain.errors import DeadLetterReason, InvalidSettings, PosstreamError
from posstream.domain.identifier import Identifier, normalise
from posstream.resilience.clock import SystemClock
from posstream.settings import Settings, unknown_settings
from posstream.startup.process import own_process

if TYPE_CHECKING:
    from posstream.dead_letters.letter import Address

_REASON: Final = click.Choice([str(reason) for reason in DeadLetterReason], case_sensitive=False)
_EPILOG = """
Settings are environment variables that start with POSSTREAM_; docs/reference/settings.md lists
them. In production run workers with: faust -A posstream.app worker -l info
"""


class _Commands(click.Group):
    """The group of commands: each one first sets up its process (`own_process`)."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the arguments; what Python could not decode on this terminal is UTF-8."""
        own_process()
        given = [it.encode(errors="surrogateescape").decode(errors="replace") for it in args]
        return super().make_context(info_name, given, parent, **extra)


@click.group(cls=_Commands, epilog=_EPILOG)
@click.version_option(package_name="posstream")
def main() -> None:
    """Customer lookup at the till, as a stream processor.

    posstream consumes the topic customer-identified, finds the customer (cache first, else the
    retailer's API) and publishes customer-data-fetched or customer-lookup-failed.
    """


@main.command()
@click.option(
    "-l",
    "--loglevel",
    default="warning",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
)
def dev(loglevel: str) -> None:
    """Run everything in the foreground until Ctrl-C.

    Starts an embedded, memory-only broker (unless POSSTREAM_BROKER names yours), a worker and
    the web view, and prints their addresses. Made for first steps and tests, not for production:
    topics are forgotten at the end; the read model in POSSTREAM_DATADIR stays.
    """
    from posstream.commands.dev import run

    for warning in unknown_settings():
        print(f"warning: {warning}", file=sys.stderr)
    settings = _settings()
    try:
        run(settings, loglevel)
    except PosstreamError as why:
        _refuse(why)


@main.command()
def demo() -> None:
    """Show the quick test end to end, step by step, with timings.

    Starts a posstream of its own on free ports, starts a basket, scans a known phone twice and
    an unknown one, and shows each answer as it arrives on the topics, then the customer from
    GraphQL. Exits with 0 if everything was right.
    """
    from agents.customer_lookup.commands.demo import demo as run

    _exit(run())


@main.command()
@click.option(
    "--identifier",
    default="+1234567890",
    show_default=True,
    help="The customer to ask the directory for, once.",
)
def check(identifier: str) -> None:
    """Check settings, broker, read model and directory; change nothing.

    Exits with 1 if a worker could not start or not answer.
    """
    from posstream.commands.check import check as run

    _exit(run(_settings(), identifier))


@main.command()
@click.argument("basket_id")
@click.argument("identifier")
@click.option("--wait", default=15.0, show_default=True, help="Seconds to wait for the answer.")
def send(basket_id: str, identifier: str, wait: float) -> None:
    """Scan IDENTIFIER (phone, e-mail or card) into basket BASKET_ID and print the answer.

    Sends one customer-identified event as a till would. Exits with 0 if the customer was found,
    1 if not, 2 if no answer came in time.
    """
    from agents.customer_lookup.commands.send import send as run

    _exit(run(_settings(), basket_id, identifier, wait))


@main.command()
@click.argument("action", required=False, type=click.Choice(["open", "close", "reset"]))
def breaker(action: str | None) -> None:
    """Show the circuit breaker of the worker at this machine's web view, or work it by hand.

    open lets no call to the directory through, close lets all through whatever fails, and reset
    goes by the rules again. It is this worker's breaker only; each worker has its own.
    """
    from agents.customer_lookup.commands.breaker import breaker as run

    _exit(run(_settings(), action))


@main.command()
@click.argument("basket_id")
def explain(basket_id: str) -> None:
    """Say why the till of basket BASKET_ID got its answers, step by step.

    Reads the database alone. Exits with 1 if nothing of the basket was seen, or without a
    database.
    """
    from agents.customer_lookup.commands.explain import explain as run

    _exit(run(_settings(), basket_id))


@main.command()
def schema() -> None:
    """Print the GraphQL schema in SDL, the schema definition language."""
    from posstream.commands.schema import sdl

    print(sdl(), end="")


@main.group()
def dlq() -> None:
    """List, show and replay dead letters: the messages that could not be read.

    A dead letter's ADDRESS is its place on the topic customer-identified.dlq, PARTITION/OFFSET.
    """


@dlq.command("list")
@click.option("--reason", type=_REASON, help="Only those with this reason.")
@click.option("--since", help="Only of messages since then: 2h, 30m, 7d, or an ISO-8601 time.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many to show."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def dlq_list(reason: str | None, since: str | None, limit: int, *, as_json: bool) -> None:
    """List the newest dead letters, the newest last, and count them by reason."""
    from posstream.commands.dlq import list_letters
    from posstream.dead_letters.since import parse_since

    since_ms = None if since is None else parse_since(since, SystemClock().now_ms())
    if since is not None and since_ms is None:
        raise click.BadParameter(
            "must be like 2h, 30m or 7d, or an ISO-8601 time", param_hint="--since"
        )
    _exit(list_letters(_settings(), reason=reason, since_ms=since_ms, limit=limit, as_json=as_json))


@dlq.command("show")
@click.argument("address")
def dlq_show(address: str) -> None:
    """Show the dead letter at ADDRESS with its value, which may name a customer.

    Exits with 1 if there is none.
    """
    from posstream.commands.dlq import show_letter

    _exit(show_letter(_settings(), _addresses([address])[0]))


@dlq.command("replay")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--reason", type=_REASON, help="All with this reason.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--dry-run", is_flag=True, help="Say what would be replayed, and replay nothing.")
@click.option("--again", is_flag=True, help="Also those that were replayed before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def dlq_replay(  # noqa: PLR0913 - one for each option
    addresses: tuple[str, ...],
    reason: str | None,
    *,
    everything: bool,
    dry_run: bool,
    again: bool,
    yes: bool,
) -> None:
    """Write dead letters once more to the topics that they came from.

    Helps after a fix of settings or code; the same message that still cannot be read becomes a
    dead letter again. Exits with 0 if each was replayed, now or before, 1 if one was not.
    """
    from posstream.commands.dlq import replay
    from posstream.dead_letters.box import Selection

    if [bool(addresses), reason is not None, everything].count(True) != 1:
        raise click.UsageError("give addresses, or --reason, or --all")
    outcome = replay(
        _settings(),
        Selection(_addresses(addresses), reason),
        dry_run=dry_run,
        again=again,
        confirm=lambda question: yes or click.confirm(question),
    )
    _exit(outcome)


def _addresses(given: Sequence[str]) -> "list[Address]":
    from posstream.dead_letters.letter import Address

    read = []
    for text in given:
        address = Address.parse(text)
        if address is None:
            raise click.BadParameter("must be PARTITION/OFFSET, like 0/12", param_hint="ADDRESS")
        read.append(address)
    return read


@main.group()
def cache() -> None:
    """Forget cached customers."""


@cache.command("evict")
@click.argument("identifier", required=False)
@click.option("--prefix", help="All whose normalised identifiers start so, like +4930.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def cache_evict(identifier: str | None, prefix: str | None, *, everything: bool, yes: bool) -> None:
    """Forget the cached customer of IDENTIFIER (phone, e-mail or card), of all workers.

    The next scan asks the directory again. Exits with 0 once the broker has the command.
    """
    from agents.customer_lookup.cache_commands import InvalidEviction, eviction
    from agents.customer_lookup.commands.cache import evict

    settings = _settings()
    command = eviction(
        identifier=identifier,
        prefix=prefix,
        everything=everything,
        card_guard=settings.payment_card_guard,
    )
    if isinstance(command, InvalidEviction):
        raise click.UsageError(command.why)
    if everything and not yes:
        click.confirm("Forget all cached customers? Each next scan is a call", abort=True)
    _exit(evict(settings, command))


@main.command()
@click.argument("identifier")
@click.option(
    "--wait", default=60.0, show_default=True, help="Seconds to wait for workers to confirm."
)
def forget(identifier: str, wait: float) -> None:
    """Erase the customer behind IDENTIFIER (phone, e-mail or card), with all their identifiers.

    Cached entries and rows of the read model go, and neither a call under way nor a rebuild
    brings them back; the next scan is a new customer's. Prints what was removed where, and which
    topics hold events until when. Exits with 0 when all is done; once more finds nothing.
    """
    from posstream.commands.forget import forget as run

    settings = _settings()
    found = normalise(identifier, card_guard=settings.payment_card_guard)
    if not isinstance(found, Identifier):
        raise click.UsageError(f"{found.masked} is refused: {found.why}")
    _exit(run(settings, found, wait))


@main.group()
def topics() -> None:
    """Work on the topics that posstream makes."""


@topics.command("grow")
@click.argument("partitions", type=click.IntRange(1, 1000))
def topics_grow(partitions: int) -> None:
    """Give the co-partitioned topics PARTITIONS partitions, and move the cache's entries.

    These are the topics whose partition tells where a customer's cache entry is. Workers may go on
    meanwhile: they answer, and keep no new customers until they are started again with
    POSSTREAM_TOPIC_PARTITIONS=PARTITIONS. If the command is interrupted, run it again. Exits with 1
    if it is refused, or without a broker.
    """
    from posstream.commands.topics import grow

    _exit(grow(_settings(), partitions))


@main.group()
def projection() -> None:
    """Work on the read model: the tables in SQL that GraphQL reads."""


@projection.command("rebuild")
@click.option("--drop", is_flag=True, help="Start from empty tables, to make every row anew.")
@click.option(
    "--yes", is_flag=True, help="Drop rows although the topics cannot bring all of them back."
)
def projection_rebuild(*, drop: bool, yes: bool) -> None:
    """Replay the topics into the read model: rows that are missing come back.

    Without --drop no row is lost, and one that is as new as its events stays as it is. Workers may
    go on meanwhile. If it was ended before its time, run it again. The live configuration is left
    alone. Exits with 1 if it is refused, or without a broker or database.
    """
    from posstream.commands.projection import rebuild

    _exit(rebuild(_settings(), drop=drop, yes=yes))


main.add_command(config)


def _settings() -> Settings:
    try:
        return Settings.from_environment()
    except InvalidSettings as why:
        for line in why.errors:
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _refuse(why: Exception) -> None:
    print(f"error: {why}", file=sys.stderr)
    sys.exit(1)


def _exit(outcome: Coroutine[Any, Any, int]) -> None:
    # Its lines about a broker that is down would stand beside our one.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        sys.exit(asyncio.run(outcome))
    except PosstreamError as why:
        _refuse(why)


if __name__ == "__main__":
    main()
