"""Puts a plugin's records of `plugin-configuration` in force on one worker, and stores them.

The topic says what is in force, in its own order, so all workers agree. A record that is not
usable changes nothing. While the store is down only its copies are missing.
"""

import logging
from typing import Any, Final

from posstream.configuration.editing import LiveConfiguration, Note
from posstream.configuration.record import read_record
from posstream.configuration.version import UNEDITED, ConfigurationChange, ConfigurationVersion
from posstream.domain.errors import PublishFailed
from posstream.metrics import Metrics

log = logging.getLogger(__name__)

#: The editor of the version that a tombstone on the topic makes.
TOMBSTONE: Final = "tombstone"
_LONGEST_REASON: Final = 200


class ConfigurationFollower:
    """Follows one plugin's records: `take` the records at the start, `settle`, then `follow`.

    Args:
        live: what the records change.
        metrics: counts those that are refused.
        stores: whether to keep what is in force in the store, too.
    """

    def __init__(
        self, live: LiveConfiguration[Any], metrics: Metrics, *, stores: bool = True
    ) -> None:
        self._live = live
        self._stores = stores
        self._current = live.current
        self._metrics = metrics
        self._reset = False

    def take(self, value: bytes | None) -> bool:
        """Put a record in force, unless it is older, the same or unusable.

        If two records have the same version number, the later one counts, on every worker.

        Returns:
            whether it changed what is in force.
        """
        before = self._current.in_force
        if value is None:
            self._reset = True
            self._current.put_in_force(UNEDITED)
            return before.version != 0
        try:
            version = read_record(value)
            if version.version < before.version or version == before:
                return False
            self._current.put_in_force(version)
        except Exception as why:  # noqa: BLE001 - the old version stays in force
            self._refuse(why)
            return False
        self._reset = False
        return True

    async def settle(self) -> None:
        """Reconcile the topic, read to its end, with the store: the newer one counts.

        The embedded broker loses the topic when it stops. A store may have been lost, or each
        worker may have a store of its own.

        Raises:
            Exception: whatever the database raises.
        """
        stored = await self._live.store.latest()
        in_force = self._current.in_force
        if self._reset:
            if stored.version:
                await self._record_reset(None)
        elif stored.version > in_force.version:
            await self._restore(stored)
        elif in_force.version:
            await self._mirror(in_force, stored)

    async def follow(self, value: bytes | None) -> None:
        """Put a new record in force and keep it in the store."""
        before = self._current.in_force
        if not self.take(value) or not self._stores:
            return
        version = self._current.in_force
        try:
            if version.version == 0:
                await self._record_reset(before.version)
            else:
                await self._mirror(version, before)
        except Exception as why:  # noqa: BLE001 - the copy can wait for the next start
            log.warning(
                "configuration version %d of %s is in force, but the database has no copy (%s)",
                version.version,
                self._live.plugin,
                type(why).__name__,
            )

    async def _mirror(self, version: ConfigurationVersion, before: ConfigurationVersion) -> None:
        await self._live.store.mirror(ConfigurationChange(version, before.enabled, before.config))

    async def _restore(self, stored: ConfigurationVersion) -> None:
        try:
            self._current.put_in_force(stored)
        except Exception as why:  # noqa: BLE001 - the old version stays in force
            self._refuse(why)
            return
        number, plugin = stored.version, self._live.plugin
        log.info("configuration version %d of %s comes from the database", number, plugin)
        try:
            await self._live.topic.publish(stored)
        except PublishFailed as why:
            log.warning(
                "configuration version %d of %s is not on the topic: %s", number, plugin, why
            )

    async def _record_reset(self, seen: int | None) -> None:
        """Store a tombstone as the next version; one of several workers succeeds."""
        note = Note(by=TOMBSTONE, description="reset by a tombstone", expected_version=seen)
        # Written even if the newest version has the same content: the topic has lost that version.
        await self._live.rollback(0, note=note, always=True)

    def _refuse(self, why: Exception) -> None:
        self._metrics.configuration_refused.inc()
        # A foreign record's key may hold anything: as a literal it stays on one line of the log.
        log.warning(
            "configuration version %d of %s stays in force; refused: %r",
            self._current.in_force.version,
            self._live.plugin,
            str(why)[:_LONGEST_REASON],
        )
