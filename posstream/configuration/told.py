"""Tells in the log which configuration is in force: who made it, and what changed."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.model import PluginConfiguration, values_of

log = logging.getLogger(__name__)

#: The longest value that is shown whole: one may be a list of hundreds of rules.
_MOST_CHARACTERS: Final = 100
_MOST_NAMED: Final = 10
#: Keys whose values nobody may read in a log.
_SECRET: Final = re.compile(r"secret|password|token|api_key|credential", re.IGNORECASE)


def told(plugin: str, current: CurrentConfiguration[Any]) -> Callable[[PluginConfiguration], None]:
    """A watcher of `current` that tells each change of what is in force.

    Args:
        plugin: its name.
        current: whose version is told.
    """
    before = current.value

    def tell(value: PluginConfiguration) -> None:
        nonlocal before
        changes = "; ".join(changed(before, value))
        if value.version or changes:
            log.info(
                "configuration version %d of %s is in force%s: %s",
                value.version,
                plugin,
                f", by {by}" if (by := current.in_force.updated_by) else "",
                changes or "as before",
                extra={"plugin": plugin},
            )
        before = value

    return tell


def changed(before: PluginConfiguration, after: PluginConfiguration) -> Sequence[str]:
    """What is different, a few words for each key; secrets are not shown."""
    words = []
    if before.enabled != after.enabled:
        words.append("switched on" if after.enabled else "switched off")
    old, new = values_of(before), values_of(after)
    words += [_change(key, old.get(key), new[key]) for key in new if old.get(key) != new[key]]
    return words


def _change(key: str, old: Any, new: Any) -> str:
    if _SECRET.search(key):
        return f"{key} changed"
    if (was := _named(old)) is not None and (now := _named(new)) is not None:
        parts = {
            "added": now.keys() - was.keys(),
            "removed": was.keys() - now.keys(),
            "changed": {it for it in now.keys() & was.keys() if now[it] != was[it]},
        }
        told = ", ".join(f"{what} {_listed(names)}" for what, names in parts.items() if names)
        return f"{key} {told or 'in another order'}"
    return f"{key} {_shown(old)} -> {_shown(new)}"


def _named(value: Any) -> Mapping[str, Any] | None:
    """The items of a list by their `id`; None if it is no list of such items."""
    if not isinstance(value, list | tuple):
        return None
    if not all(isinstance(it, dict) and "id" in it for it in value):
        return None
    return {str(it["id"]): it for it in value}


def _listed(names: set[str]) -> str:
    first, more = sorted(names)[:_MOST_NAMED], len(names) - _MOST_NAMED
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def _shown(value: Any) -> str:
    if isinstance(value, str) and "://" in value and (parts := urlsplit(value)).query:
        value = parts._replace(query="…").geturl()  # it may carry a key
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"
