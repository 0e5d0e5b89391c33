"""The plugin's commands: one file each, whose `command` is what `posstream` runs."""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

_COMMANDS: Final = (
    "breaker",
    "cache",
    "customer",
    "demo",
    "explain",
    "lookups",
    "send",
    "stats",
)


def commands() -> "Sequence[click.Command]":
    """What `posstream --help` lists of this plugin."""
    return [importlib.import_module(f"{__name__}.{name}").command for name in _COMMANDS]
