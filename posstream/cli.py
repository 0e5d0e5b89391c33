"""The `posstream` command. Each subcommand is one module of `posstream.commands`."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any, Final

import click

from agents.customer_lookup.commands import cache
from posstream.commands import dlq, export, forget, topics
from posstream.configuration.editing import Note
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


@main.group()
def config() -> None:
    """Show and change the live configuration of the plugin customer_lookup.

    A change is in force on every worker within 2 seconds and survives restarts.
    """


_BY: Final = click.option("--by", help="Who changes it; default: the user of this machine.")
_DESCRIPTION: Final = click.option("--description", default="", help="Why, for the history.")
_EXPECTED: Final = click.option(
    "--expect-version", type=int, help="Change nothing if the version is another one by now."
)


@config.command("show")
def config_show() -> None:
    """Show every key with its value and its default."""
    from posstream.commands.config import show

    _exit(show(_settings()))


@config.command("set")
@click.argument("assignments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--enabled/--disabled", default=None, help="The switch of the whole plugin.")
@_EXPECTED
@_BY
@_DESCRIPTION
def config_set(
    assignments: tuple[str, ...],
    *,
    enabled: bool | None,
    expect_version: int | None,
    by: str | None,
    description: str,
) -> None:
    """Change keys, the switch, or both; KEY=null goes back to the default.

    Exits with 1 if the change is refused: the old version stays in force.
    """
    from posstream.commands.config import change, editor, parse_values

    if not assignments and enabled is None:
        raise click.UsageError("give KEY=VALUE, --enabled or --disabled")
    try:
        values = parse_values(assignments)
    except ValueError as why:
        raise click.BadParameter(str(why), param_hint="KEY=VALUE") from why
    note = Note(by=by or editor(), description=description, expected_version=expect_version)
    _exit(change(_settings(), values, enabled=enabled, note=note))


@config.command("history")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many."
)
def config_history(limit: int) -> None:
    """Show who changed what, newest first."""
    from posstream.commands.config import history

    _exit(history(_settings(), limit))


@config.command("rollback")
@click.argument("version", required=False, type=click.IntRange(min=0))
@_EXPECTED
@_BY
@_DESCRIPTION
def config_rollback(
    version: int | None, *, expect_version: int | None, by: str | None, description: str
) -> None:
    """Go back to what VERSION said (default: the one before the newest), as a new version.

    VERSION 0 is the defaults. Exits with 1 if it is refused.
    """
    from posstream.commands.config import editor, rollback

    note = Note(by=by or editor(), description=description, expected_version=expect_version)
    _exit(rollback(_settings(), version, note=note))


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
