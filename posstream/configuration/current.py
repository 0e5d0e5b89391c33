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
        defaults: this worker's own; they hold for whatever a version does not set.
    """

    def __init__(self, defaults: C) -> None:
        self.defaults = defaults
        #: What the plugin goes by; replaced as a whole.
        self.value = defaults
        #: What was set, by whom and when.
        self.in_force = UNEDITED
        self._watchers: list[Callable[[C], None]] = []

    def effective(self, version: ConfigurationVersion) -> C:
        """What a version would mean on this worker.

        Raises:
            InvalidConfiguration: naming the first key that is not usable.
        """
        return msgspec.structs.replace(
            edited(self.defaults, version.config), enabled=version.enabled, version=version.version
        )

    def put_in_force(self, version: ConfigurationVersion) -> None:
        """Go by a version from now on, older or newer.

        Raises:
            InvalidConfiguration: as `effective`; the old version stays in force.
        """
        self.value, self.in_force = self.effective(version), version
        for watcher in [*self._watchers]:
            try:
                watcher(self.value)
            except Exception:
                # The version is in force. What one watcher cannot do with it stops no other one,
                # and not the reader that all plugins share.
                log.exception("configuration version %d: a watcher failed", version.version)

    def watch(self, watcher: Callable[[C], None]) -> None:
        """Call `watcher` with what is in force, now and whenever that changes."""
        self._watchers.append(watcher)
        watcher(self.value)

    def unwatch(self, watcher: Callable[[C], None]) -> None:
        """Call `watcher` no more."""
        self._watchers.remove(watcher)
