"""Finds plugins: the folders in `agents/`, and the entry points of other people's packages."""

import functools
import importlib
import logging
import os
import pkgutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from posstream.domain.errors import InvalidSettings, StartRefused
from posstream.domain.near_names import did_you_mean
from posstream.plugin import Plugin
from posstream.plugins.found import Plugins

log = logging.getLogger(__name__)

SETTING: Final = "POSSTREAM_PLUGINS"
ENTRY_POINTS: Final = "posstream.plugins"
_FOLDER: Final = "agents"
#: How long the import of a plugin may take before the log names the plugin: nothing can end it.
_SLOW_SECONDS: Final = 5
_SLOW: Final = "the plugin %s is still being imported"

#: Field of a plugin -> the class of its value or of each of its values, by name: no command has to
#: import them all.
_PARTS: Final = {
    "topics": "TopicSpec",
    "consumes": "str",
    "replay": "ReplayPart",
    "events": "EventModel",
    "settings": "SettingsPart",
    "configuration": "ConfigurationPart",
    "tables": "TableSpec",
    "read_model": "ReadModelPart",
    "forgetting": "ForgettingPart",
    "metrics": "Metric",
}

#: Name of a plugin -> what imports it.
Loaders = Mapping[str, Callable[[], Any]]


def find_plugins(chosen: str | None = None, loaders: Loaders | None = None) -> Plugins:
    """The plugins that are found and chosen; the others are not imported.

    A plugin that cannot be imported is among `Plugins.failed`, with its reason.

    Args:
        chosen: names by comma, empty = all; None = what POSSTREAM_PLUGINS says.
        loaders: what can be loaded, by name; None = what is in `agents/` and installed.

    Raises:
        InvalidSettings: if a name is not known.
        StartRefused: if none can be loaded, or two claim the same thing.
    """
    loaders = _loaders() if loaders is None else loaders
    chosen = os.environ.get(SETTING, "") if chosen is None else chosen
    names = _chosen(chosen, loaders)
    loaded: list[Plugin] = []
    failed: dict[str, BaseException] = {}
    for name in sorted(names):
        slow = threading.Timer(_SLOW_SECONDS, log.warning, (_SLOW, name))
        slow.daemon = True
        slow.start()
        try:
            loaded.append(_plugin(name, loaders[name]()))
        except KeyboardInterrupt:
            raise
        except BaseException as why:  # noqa: BLE001 - a plugin may raise anything
            failed[name] = why
        finally:
            slow.cancel()
    if not loaded:
        told = "; ".join(f"{name}: {why!r}" for name, why in failed.items())
        raise StartRefused(f"no plugin can be loaded ({told or 'none is installed'})")
    return Plugins(tuple(loaded), failed)


def _loaders() -> Loaders:
    folder = importlib.import_module(_FOLDER)
    found = [
        *(
            (it.name, f"the folder {_FOLDER}/{it.name}", _importing(f"{_FOLDER}.{it.name}"))
            for it in pkgutil.iter_modules(folder.__path__)
        ),
        *((it.name, f"the entry point {it.value}", it.load) for it in _installed()),
    ]
    loaders: dict[str, Callable[[], Any]] = {}
    for name, _, load in found:
        if name in loaders:
            places = " and ".join(place for its, place, _ in found if its == name)
            raise StartRefused(f"two plugins have the name {name}: {places}; remove one of them")
        loaders[name] = load
    return loaders


@functools.cache  # it reads a file of each installed package
def _installed() -> Sequence[EntryPoint]:
    return tuple(entry_points(group=ENTRY_POINTS))


def _importing(module: str) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(module), "PLUGIN", None)


def _chosen(chosen: str, known: Iterable[str]) -> set[str]:
    names = {name.strip() for name in chosen.split(",")} - {""}
    unknown = names.difference(known)
    if unknown:
        raise InvalidSettings(
            [
                f"{SETTING} names {', '.join(sorted(unknown))}, which is not found: choose from "
                + ", ".join(sorted(known))
                + did_you_mean(min(unknown), known)
            ]
        )
    return names or set(known)


def _plugin(name: str, found: Any) -> Plugin:
    if not isinstance(found, Plugin):
        raise TypeError("it has no PLUGIN that is a posstream.plugin.Plugin")
    if found.name != name:
        raise ValueError(f"its PLUGIN has the name {found.name}, but it is found as {name}")
    for part, kind in _PARTS.items():
        value = getattr(found, part)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and kind not in {it.__name__ for it in type(one).__mro__}:
                raise TypeError(f"its {part} must be {kind}, and not {type(one).__name__}")
    return found
