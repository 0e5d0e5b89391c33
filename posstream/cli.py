"""The group `posstream`: the commands of the platform and of the plugins.

A command's module is imported when the command is used or listed. The module has all of the
command: options, help, exit codes and work.
"""

import importlib
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import click

from posstream.commands.group import CommandGroup
from posstream.domain.errors import PosstreamError
from posstream.plugins.discovery import find_plugins
from posstream.plugins.found import PLATFORM, Plugins, refuse_double
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
    "status",
    "topics",
)
_EPILOG = """
Settings are environment variables that start with POSSTREAM_; docs/reference/settings.md lists
them. In production run workers with: faust -A posstream.app worker -l info
"""


class Commands(CommandGroup):
    """The group of commands; it sets up the process (`own_process`) before any of them.

    Args:
        find: finds the plugins whose commands are in the group.
    """

    def __init__(self, *args: Any, find: Callable[[], Plugins], **options: Any) -> None:
        # The settings of a context are those of all below it.
        help_options = {"help_option_names": ["-h", "--help"]}
        super().__init__(*args, context_settings=help_options, **options)
        self._find = find

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the arguments; bytes that Python could not decode are replaced."""
        own_process()
        given = [it.encode(errors="surrogateescape").decode(errors="replace") for it in args]
        return super().make_context(info_name, given, parent, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """The names of all commands, sorted."""
        return sorted({*_COMMANDS, *self._of_plugins})

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        cmd_name: str,
    ) -> click.Command | None:
        """Find a command by name; only commands of plugins need the plugins to be loaded."""
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"posstream.commands.{cmd_name}")
            command: click.Command = module.command
            return command
        return self._of_plugins.get(cmd_name)

    @cached_property
    def _of_plugins(self) -> "Mapping[str, click.Command]":
        """The plugins' commands by name."""
        try:
            return _commands_of(self._find())
        except PosstreamError as why:
            sys.exit(f"error: {why}")


def _commands_of(plugins: Plugins) -> "Mapping[str, click.Command]":
    """The plugins' commands by name. A plugin that fails has a line on stderr."""
    failed = dict(plugins.failed)
    claims = [(PLATFORM, "command", name) for name in _COMMANDS]
    found: dict[str, click.Command] = {}
    for plugin in plugins:
        try:
            commands = {str(it.name): it for it in plugin.commands()} if plugin.commands else {}
        except (Exception, SystemExit) as why:  # noqa: BLE001 - foreign code: the others stay
            failed[plugin.name] = why
            continue
        claims += [(plugin.name, "command", name) for name in commands]
        found |= commands
    refuse_double(claims)
    for name, reason in failed.items():
        print(f"warning: no commands of plugin {name}: {reason!r}", file=sys.stderr)
    return found


@click.group(
    cls=Commands,
    find=find_plugins,
    epilog=_EPILOG,
)
@click.version_option(package_name="posstream")
def main() -> None:
    """Run the stream processor behind a retailer's tills, and look after it.

    Tills and services write events to Kafka topics; the plugins of posstream read the events and
    write their answers to topics of their own.
    """


if __name__ == "__main__":
    main()
