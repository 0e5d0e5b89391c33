"""The plugin's commands."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click


def commands() -> "Sequence[click.Command]":
    """What `posstream --help` lists of this plugin."""
    return [importlib.import_module(f"{__name__}.fraud").command]
