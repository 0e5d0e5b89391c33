"""Says in words what an edit of a live configuration changed. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from posstream.configuration.version import ConfigurationChange


def differences(change: ConfigurationChange, defaults: Mapping[str, Any]) -> Iterator[str]:
    """What was changed, key by key; for a list of objects, only the changed ones, by their `id`.

    Args:
        change: the edit.
        defaults: the default of each key, in the order in which keys are told.
    """
    old, new = change.old_config, change.version.config
    if change.old_enabled != change.version.enabled:
        yield f"{switch(change.old_enabled)} -> {switch(change.version.enabled)}"
    for key, default in defaults.items():
        if old.get(key) == new.get(key):
            continue
        before, after = old.get(key, default), new.get(key, default)
        if _are_objects(before) and _are_objects(after):
            told = ", ".join(_of_objects(before, after)) or "same content, maybe in another order"
            yield f"{key}: {told}"
        else:
            yield f"{key}: {_value(old, key)} -> {_value(new, key)}"


def switch(enabled: bool) -> str:  # noqa: FBT001 - it is what is named
    """The switch of a plugin in a word."""
    return "enabled" if enabled else "disabled"


def _value(config: Mapping[str, Any], key: str) -> str:
    return json.dumps(config[key]) if key in config else "default"


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(it, Mapping) for it in value)


def _of_objects(before: Sequence[Any], after: Sequence[Any]) -> Iterator[str]:
    old = {it.get("id", json.dumps(it)): it for it in before}
    new = {it.get("id", json.dumps(it)): it for it in after}
    yield from (f"added {name}" for name in new if name not in old)
    yield from (f"removed {name}" for name in old if name not in new)
    for name, it in new.items():
        was = old.get(name, it)
        changed = [
            f"{field} {_value(was, field)} -> {_value(it, field)}"
            for field in {**was, **it}
            if was.get(field) != it.get(field)
        ]
        if changed:
            yield f"{name} ({', '.join(changed)})"
