"""The `posstream` command: the commands of the platform, and those of the plugins found.

A command's module is imported when the command is used or listed. It is the one place of the
command: options, help, exit codes and work.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import click

from posstream.commands.running import read_settings, run
from posstream.configuration.editing import Note
from posstream.domain.errors import DeadLetterReason
from posstream.domain.identifier import Identifier, normalise
from posstream.plugin import Plugin
from posstream.plugins.discovery import find_plugins
from posstream.resilience.clock import SystemClock
from posstream.startup.process import own_process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from posstream.dead_letters.letter import Address

#: Each is `command` in the module of its name in `posstream.commands`.
_COMMANDS: Final = ("check", "dev", "schema", "topics")
_REASON: Final = click.Choice([str(reason) for reason in DeadLetterReason], case_sensitive=False)
_EPILOG = """
Settings are environment variables that start with POSSTREAM_; docs/reference/settings.md lists
them. In production run workers with: faust -A posstream.app worker -l info
"""


class Commands(click.Group):
    """The group of commands: each one first sets up its process (`own_process`).

    Args:
        find: the plugins whose commands it has beside the platform's.
    """

    def __init__(self, *args: Any, find: Callable[[], Iterable[Plugin]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._find = find

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

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *_COMMANDS, *self._of_plugins})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; the platform's own need no plugin."""
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"posstream.commands.{cmd_name}")
            command: click.Command = module.command
            return command
        return super().get_command(ctx, cmd_name) or self._of_plugins.get(cmd_name)

    @cached_property
    def _of_plugins(self) -> "Mapping[str, click.Command]":
        """The plugins' commands by name. A plugin whose commands fail has a line on stderr."""
        found: dict[str, click.Command] = {}
        for plugin in self._find():
            try:
                commands = [] if plugin.commands is None else plugin.commands()
            except Exception as why:  # noqa: BLE001 - foreign code: the other commands stay
                print(f"warning: no commands of plugin {plugin.name}: {why!r}", file=sys.stderr)
                continue
            for command in commands:
                found.setdefault(str(command.name), command)
        return found


@click.group(cls=Commands, find=find_plugins, epilog=_EPILOG)
@click.version_option(package_name="posstream")
def main() -> None:
    """Customer lookup at the till, as a stream processor.

    posstream consumes the topic customer-identified, finds the customer (cache first, else the
    retailer's API) and publishes customer-data-fetched or customer-lookup-failed.
    """


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
    run(
        list_letters(
            read_settings(), reason=reason, since_ms=since_ms, limit=limit, as_json=as_json
        )
    )


@dlq.command("show")
@click.argument("address")
def dlq_show(address: str) -> None:
    """Show the dead letter at ADDRESS with its value, which may name a customer.

    Exits with 1 if there is none.
    """
    from posstream.commands.dlq import show_letter

    run(show_letter(read_settings(), _addresses([address])[0]))


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
        read_settings(),
        Selection(_addresses(addresses), reason),
        dry_run=dry_run,
        again=again,
        confirm=lambda question: yes or click.confirm(question),
    )
    run(outcome)


def _addresses(given: Sequence[str]) -> "list[Address]":
    from posstream.dead_letters.letter import Address

    read = []
    for text in given:
        address = Address.parse(text)
        if address is None:
            raise click.BadParameter("must be PARTITION/OFFSET, like 0/12", param_hint="ADDRESS")
        read.append(address)
    return read


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
    from posstream.commands.forget import forget as erase

    settings = read_settings()
    found = normalise(identifier, card_guard=settings.payment_card_guard)
    if not isinstance(found, Identifier):
        raise click.UsageError(f"{found.masked} is refused: {found.why}")
    run(erase(settings, found, wait))


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

    run(rebuild(read_settings(), drop=drop, yes=yes))


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

    run(show(read_settings()))


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
    run(change(read_settings(), values, enabled=enabled, note=note))


@config.command("history")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many."
)
def config_history(limit: int) -> None:
    """Show who changed what, newest first."""
    from posstream.commands.config import history

    run(history(read_settings(), limit))


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
    run(rollback(read_settings(), version, note=note))


if __name__ == "__main__":
    main()
