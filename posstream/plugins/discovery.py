"""Finds plugins: the folders in `agents/`, and the entry points of other people's packages."""

import importlib
import pkgutil
from collections.abc import Sequence

from posstream.plugin import Plugin


def find_plugins() -> Sequence[Plugin]:
    """Every plugin, in the order of their names."""
    agents = importlib.import_module("agents")
    found = []
    for module in pkgutil.iter_modules(agents.__path__, "agents."):
        plugin = getattr(importlib.import_module(module.name), "PLUGIN", None)
        if isinstance(plugin, Plugin):
            found.append(plugin)
    return sorted(found, key=lambda plugin: plugin.name)
