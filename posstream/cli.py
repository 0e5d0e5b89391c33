"""The `posstream` command. Each subcommand is one module of `posstream.commands`."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any

import click

from agents.customer_lookup.commands import cache
from posstream.commands import dlq, export, forget, topics
from posstream.commands.config import command as config
from posstream.domain.errors import InvalidSettings, PosstreamError
from posstream.settings import Settings, unknown_settings
from posstream.startup.process import own_process

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


main.add_command(dlq.command)


main.add_command(cache.command)
main.add_command(forget.command)
main.add_command(export.command)
main.add_command(topics.command)


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
