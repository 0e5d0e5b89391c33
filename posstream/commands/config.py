"""`posstream config`: show, set, history and rollback of a plugin's live configuration.

Works without a worker: on the database and the topic, as a worker's web view does.
"""

import getpass
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import click

from posstream.commands.group import CommandGroup
from posstream.commands.running import JSON_OPTION, print_json, print_table, read_settings, runs
from posstream.configuration.differences import differences, switch
from posstream.configuration.editing import Changed, LiveConfiguration, Note, Refused
from posstream.configuration.model import PluginConfiguration, values_of
from posstream.configuration.version import ConfigurationVersion
from posstream.domain.errors import StartRefused
from posstream.domain.near_names import did_you_mean
from posstream.domain.times import iso_utc
from posstream.json.schema import schema_of
from posstream.kafka.topics import PLATFORM_TOPICS, PLUGIN_CONFIGURATION
from posstream.resilience.clock import Clock

_FETCH_WAIT_MS: Final = 20


class _PluginFirst(CommandGroup):
    """A group whose commands may come after the name of a plugin, which becomes `ctx.obj`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the name of the plugin off the arguments."""
        first = args[0] if args else "-"
        is_typo = len(args) == 1 and did_you_mean(first, self.commands)
        if not (first.startswith("-") or first in self.commands or is_typo):
            ctx.obj = args.pop(0)
        return super().parse_args(ctx, args)

    def hint(self, ctx: click.Context, given: str) -> str:
        """What may have been meant; what was taken for a plugin may be a command, too."""
        near = did_you_mean(given, self.commands)
        return near or did_you_mean(ctx.obj or "", self.commands) or "."


@click.group("config", cls=_PluginFirst, subcommand_metavar="[PLUGIN] COMMAND [ARGS]...")
def command() -> None:
    """Show and change the live configuration of PLUGIN.

    Without PLUGIN, that of the default plugin. A change is in force on every worker within 2
    seconds and survives restarts.
    """


_BY: Final = click.option("--by", help="Who changes it; default: the user of this machine.")
_DESCRIPTION: Final = click.option("--description", default="", help="Why, for the history.")
_EXPECTED: Final = click.option(
    "--expect-version", type=int, help="Change nothing if the version is another one by now."
)


@command.command("show")
@JSON_OPTION
@click.pass_obj
@runs
async def show(plugin: str | None, *, as_json: bool) -> int:
    """Show every key with its value and its default. Reads only the database."""
    async with _opened(plugin) as live:
        version = await live.latest()
    if as_json:
        keys = [
            {
                "key": key,
                "value": version.config.get(key, default),
                "default": default,
                "is_set": key in version.config,
            }
            for key, default in values_of(live.current.defaults).items()
        ]
        print_json({"plugin": live.plugin, **_document(version), "keys": keys})
        return 0
    print_table(
        ("KEY", "VALUE", "DEFAULT", ""),
        [
            (
                key,
                json.dumps(version.config.get(key, default)),
                json.dumps(default),
                "set" if key in version.config else "",
            )
            for key, default in values_of(live.current.defaults).items()
        ],
    )
    print(f"\n{live.plugin} is {switch(version.enabled)}; {_signed(version)}")
    return 0


@command.command("set")
@click.argument("assignments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--enabled/--disabled", default=None, help="The switch of the whole plugin.")
@_EXPECTED
@_BY
@_DESCRIPTION
@click.pass_obj
@runs
async def change(  # noqa: PLR0913 - one for each option
    plugin: str | None,
    assignments: tuple[str, ...],
    *,
    enabled: bool | None,
    expect_version: int | None,
    by: str | None,
    description: str,
) -> int:
    """Change keys, the switch, or both; KEY=null goes back to the default.

    Exits with 1 if the change is refused: the old version stays in force.
    """
    if not assignments and enabled is None:
        raise click.UsageError("give KEY=VALUE, --enabled or --disabled")
    try:
        texts = read_assignments(assignments)
    except ValueError as why:
        raise click.BadParameter(str(why), param_hint="KEY=VALUE") from why
    note = Note(by=by or _editor(), description=description, expected_version=expect_version)
    async with _opened(plugin, to_write=True) as live:
        values = read_values(texts, type(live.current.defaults))
        return _told(await live.edit(values, enabled=enabled, note=note))


@command.command("history")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many."
)
@JSON_OPTION
@click.pass_obj
@runs
async def history(plugin: str | None, limit: int, *, as_json: bool) -> int:
    """Show who changed what, newest first. Reads only the database."""
    async with _opened(plugin) as live:
        changes = await live.history(limit)
    if as_json:
        defaults = values_of(live.current.defaults)
        versions = [
            {**_document(it.version), "changes": list(differences(it, defaults))} for it in changes
        ]
        print_json({"plugin": live.plugin, "versions": versions})
        return 0
    if not changes:
        print("never edited: everything is at its default")
        return 0
    defaults = values_of(live.current.defaults)
    print_table(
        ("VERSION", "WHEN", "WHO", "WHAT", "WHY"),
        [
            (
                str(change.version.version),
                iso_utc(change.version.updated_at) or "-",
                change.version.updated_by or "-",
                ", ".join(differences(change, defaults)) or "-",
                change.version.description,
            )
            for change in changes
        ],
    )
    return 0


@command.command("rollback")
@click.argument("version", required=False, type=click.IntRange(min=0))
@_EXPECTED
@_BY
@_DESCRIPTION
@click.pass_obj
@runs
async def rollback(
    plugin: str | None,
    version: int | None,
    *,
    expect_version: int | None,
    by: str | None,
    description: str,
) -> int:
    """Go back to what VERSION said (default: the one before the newest), as a new version.

    VERSION 0 is the defaults. Exits with 1 if it is refused.
    """
    note = Note(by=by or _editor(), description=description, expected_version=expect_version)
    async with _opened(plugin, to_write=True) as live:
        return _told(await live.rollback(version, note=note))


def read_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Split `KEY=VALUE` pairs.

    Raises:
        ValueError: for what is no such pair, or a key that comes twice.
    """
    texts: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not key or not equals:
            raise ValueError("must be KEY=VALUE")
        if key in texts:
            raise ValueError(f"{key} comes twice")
        texts[key] = value
    return texts


def read_values(texts: Mapping[str, str], model: type[PluginConfiguration]) -> dict[str, Any]:
    """Read the value of each key: JSON, else text; a key of text takes digits as text."""
    properties = schema_of(model)["properties"]
    values: dict[str, Any] = {}
    for key, text in texts.items():
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            read = text
        is_text = properties.get(key, {}).get("type") == "string"
        values[key] = text if is_text and isinstance(read, int) else read
    return values


def _editor() -> str:
    """The user of this machine who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        return "unknown"


@asynccontextmanager
async def _opened(
    plugin: str | None, *, to_write: bool = False
) -> AsyncIterator[LiveConfiguration[Any]]:
    """Open a plugin's live configuration on the migrated database; to write, on the topic too.

    Raises:
        DatabaseUnusable: with a sentence that names no address.
        StartRefused: if no plugin of this name has a configuration, or no broker answers.
    """
    from posstream.commands.database import opened
    from posstream.configuration.configurations import Configurations
    from posstream.configuration.topic import ConfigurationReader
    from posstream.kafka.preflight import prepare_topics
    from posstream.metrics import Metrics

    settings = read_settings()
    servers = settings.bootstrap_servers
    async with opened(settings, to_write=to_write) as engine:
        configurations = Configurations.of(settings, engine, Clock())
        name = configurations.default if plugin is None else plugin
        if name not in configurations:
            raise StartRefused(
                f"there is no plugin {name} with a configuration; "
                f"there are: {', '.join(configurations) or 'none'}"
                f"{did_you_mean(name, configurations)}"
            )
        if to_write:
            await prepare_topics(
                servers,
                [spec for spec in PLATFORM_TOPICS if spec.name == PLUGIN_CONFIGURATION],
                partitions=settings.topic_partitions,
                replication=settings.topic_replication,
                patience_seconds=0,
            )
            followers = configurations.followers(Metrics())
            reader = ConfigurationReader(servers, {name: followers[name]})
            await reader.catch_up(fetch_wait_ms=_FETCH_WAIT_MS)
        yield configurations[name]


def _told(outcome: Changed | Refused) -> int:
    if isinstance(outcome, Changed):
        version = outcome.version.version
        told = "is on its way to every worker" if outcome.is_new else "has these values already"
        print(f"version {version} {told}")
        return 0
    print(f"error: {outcome.message}", file=sys.stderr)
    return 1


def _document(version: ConfigurationVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "enabled": version.enabled,
        "updated_at": iso_utc(version.updated_at),
        "updated_by": version.updated_by,
        "description": version.description,
    }


def _signed(version: ConfigurationVersion) -> str:
    if version.version == 0:
        return "version 0, never edited"
    why = f" ({version.description})" if version.description else ""
    when = iso_utc(version.updated_at) or "at an unknown time"
    return f"version {version.version}, {when}, by {version.updated_by or 'unknown'}{why}"
