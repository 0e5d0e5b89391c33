"""The `posstream` command. Each subcommand is one module of `posstream.commands`."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import click

from posstream import __version__
from posstream.domain.errors import InvalidSettings, PosstreamError
from posstream.settings import Settings, unknown_settings

_EPILOG = """
Settings are environment variables that start with POSSTREAM_; docs/reference/settings.md lists
them. In production run workers with: faust -A posstream.app worker -l info
"""


@click.group(epilog=_EPILOG)
@click.version_option(__version__)
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
        click.echo(f"warning: {warning}", err=True)
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
    from posstream.commands.demo import demo as run

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
    from posstream.commands.send import send as run

    _exit(run(_settings(), basket_id, identifier, wait))


def _settings() -> Settings:
    try:
        return Settings.from_environment()
    except InvalidSettings as why:
        for line in why.errors:
            click.echo(f"error: {line}", err=True)
        sys.exit(2)


def _refuse(why: Exception) -> None:
    click.echo(f"error: {why}", err=True)
    sys.exit(1)


def _exit(outcome: Coroutine[Any, Any, int]) -> None:
    try:
        sys.exit(asyncio.run(outcome))
    except PosstreamError as why:
        _refuse(why)


if __name__ == "__main__":
    main()
