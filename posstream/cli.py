"""The `posstream` command: the commands of the platform, and those of the plugins found.

A command's module is imported when the command is used or listed. It is the one place of the
command: options, help, exit codes and work.
"""

import importlib
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import click

from posstream.plugins.discovery import find_plugins
from posstream.plugins.found import Plugins
from posstream.startup.process import own_process

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Each is `command` in the module of its name in `posstream.commands`.
_COMMANDS: Final = (
    "check",
    "config",
    "dev",
    "dlq",
    "export",
    "forget",
    "project",
    "projection",
    "schema",
    "topics",
)
_EPILOG = """
Settings are environment variables that start with POSSTREAM_; docs/reference/settings.md lists
them. In production run workers with: faust -A posstream.app worker -l info
"""


class Commands(click.Group):
    """The group of commands: each one first sets up its process (`own_process`).

    Args:
        find: the plugins whose commands it has beside the platform's.
    """

    def __init__(self, *args: Any, find: Callable[[], Plugins], **options: Any) -> None:
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
        """The plugins' commands by name. A plugin that fails has a line on stderr."""
        plugins = self._find()
        failed = dict(plugins.failed)
        found: dict[str, click.Command] = {}
        for plugin in plugins:
            try:
                commands = [] if plugin.commands is None else plugin.commands()
            except (Exception, SystemExit) as why:  # noqa: BLE001 - foreign code: the other commands stay
                failed[plugin.name] = why
                continue
            for command in commands:
                found.setdefault(str(command.name), command)
        for name, reason in failed.items():
            print(f"warning: no commands of plugin {name}: {reason!r}", file=sys.stderr)
        return found


@click.group(cls=Commands, find=find_plugins, epilog=_EPILOG)
@click.version_option(package_name="posstream")
def main() -> None:
    """Customer lookup at the till, as a stream processor.

    posstream consumes the topic customer-identified, finds the customer (cache first, else the
    retailer's API) and publishes customer-data-fetched or customer-lookup-failed.
    """


if __name__ == "__main__":
    main()
