"""The version of a plugin's configuration that is in force on this worker."""

import logging
from collections.abc import Callable
from typing import Generic

import msgspec

from posstream.configuration.model import C, edited
from posstream.configuration.version import UNEDITED, ConfigurationVersion

log = logging.getLogger(__name__)


class CurrentConfiguration(Generic[C]):
    """The version in force on this worker.

    Args:
        defaults: this worker's own; they hold for the keys that a version does not set.
    """

    def __init__(self, defaults: C) -> None:
        self.defaults = defaults
        #: The values that the plugin uses; replaced as a whole.
        self.value = defaults
        #: What was set, by whom and when.
        self.in_force = UNEDITED
        self._watchers: list[Callable[[C], None]] = []

    def effective(self, version: ConfigurationVersion) -> C:
        """The values that a version would have on this worker.

        Raises:
            InvalidConfiguration: naming the first key that is not usable.
        """
        return msgspec.structs.replace(
            edited(self.defaults, version.config), enabled=version.enabled, version=version.version
        )

    def put_in_force(self, version: ConfigurationVersion) -> None:
        """Put a version in force, older or newer.

        Raises:
            InvalidConfiguration: as `effective`; the old version stays in force.
        """
        self.value, self.in_force = self.effective(version), version
        for watcher in [*self._watchers]:
            try:
                watcher(self.value)
            except Exception:
                # The version is in force. A watcher that fails stops no other one, nor the reader
                # that all plugins share.
                log.exception("configuration version %d: a watcher failed", version.version)

    def watch(self, watcher: Callable[[C], None]) -> None:
        """Call `watcher` with the values in force, now and after each change."""
        self._watchers.append(watcher)
        watcher(self.value)

    def unwatch(self, watcher: Callable[[C], None]) -> None:
        """Call `watcher` no more."""
        self._watchers.remove(watcher)
