"""The version of a configuration that is in force on this worker."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from posstream.configuration.version import UNEDITED, ConfigurationVersion
from posstream.domain.errors import InvalidConfiguration


class CurrentConfiguration:
    """The version in force on this worker.

    Args:
        defaults: this worker's own; they hold for whatever a version does not set.
    """

    def __init__(self, defaults: Any) -> None:
        self.defaults = defaults
        #: What lookups go by; replaced as a whole.
        self.value = defaults
        #: What was set, by whom and when.
        self.in_force = UNEDITED
        self._watchers: list[Callable[[Any], None]] = []

    def effective(self, version: ConfigurationVersion) -> Any:
        """What a version would mean on this worker.

        Raises:
            InvalidConfiguration: naming the first key that is not usable.
        """
        return dataclasses.replace(
            self.defaults.edited(version.config), enabled=version.enabled, version=version.version
        )

    def put_in_force(self, version: ConfigurationVersion) -> None:
        """Go by a version from now on, older or newer.

        Raises:
            InvalidConfiguration: as `effective`; the old version stays in force.
        """
        self.value, self.in_force = self.effective(version), version
        for watcher in self._watchers:
            watcher(self.value)

    def watch(self, watcher: Callable[[Any], None]) -> None:
        """Call `watcher` with what is in force, now and whenever that changes."""
        self._watchers.append(watcher)
        watcher(self.value)

    def unwatch(self, watcher: Callable[[Any], None]) -> None:
        """Call `watcher` no more."""
        self._watchers.remove(watcher)


def merged(config: Mapping[str, Any], changes: object, defaults: Any) -> dict[str, Any]:
    """What is set after an edit.

    Args:
        config: what is set.
        changes: key -> value, or None for its default; keys that are not named stay.
        defaults: this worker's own configuration, which checks them.

    Raises:
        InvalidConfiguration: naming the first key that is unknown, mistyped or out of range.
    """
    if not isinstance(changes, Mapping):
        raise InvalidConfiguration("config", "must be an object")
    keys = {field.name for field in dataclasses.fields(defaults)} - {"enabled", "version"}
    for key, value in changes.items():
        if value is not None or key not in keys:
            defaults.edited({key: value})
    return {key: value for key, value in {**config, **changes}.items() if value is not None}
