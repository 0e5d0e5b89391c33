"""Edits a live configuration: checks a change, stores the next version, publishes that version.

The store takes each version number once, so the second of two editors is refused. Workers learn of
a version from the topic. A refused edit leaves the old version in force.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Generic

from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.model import C, merged
from posstream.configuration.record import check_note
from posstream.configuration.version import (
    UNEDITED,
    ConfigurationChange,
    ConfigurationVersion,
)
from posstream.domain.errors import InvalidConfiguration, PublishFailed
from posstream.domain.times import from_ms
from posstream.resilience.clock import Clock

if TYPE_CHECKING:
    from posstream.configuration.store import SqlConfigurationStore
    from posstream.configuration.topic import KafkaConfigurationTopic

#: Most versions in an answer about the history.
MAX_HISTORY: Final = 1000


class RefusalCode(StrEnum):
    """Why an edit did not happen."""

    CONFLICT = "CONFLICT"
    INVALID_CONFIGURATION = "INVALID_CONFIGURATION"
    UNKNOWN_VERSION = "UNKNOWN_VERSION"
    BROKER_UNAVAILABLE = "BROKER_UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Changed:
    """The new version, which the broker has; or the newest one, if the edit changed nothing."""

    version: ConfigurationVersion
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed. `version` is the newest one at that moment."""

    code: RefusalCode
    message: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Who edits and why; `expected_version` is the version that they have seen (None: any)."""

    by: str
    description: str = ""
    expected_version: int | None = None


@dataclass(eq=False)
class LiveConfiguration(Generic[C]):
    """The live configuration of one plugin: the version in force, the history, and edits.

    Every method may raise the database's errors; nothing was changed then.
    """

    plugin: str
    current: CurrentConfiguration[C]
    store: "SqlConfigurationStore"
    topic: "KafkaConfigurationTopic"
    clock: Clock

    async def edit(
        self, config: object = None, *, enabled: bool | None = None, note: Note
    ) -> Changed | Refused:
        """Change some keys, the switch, or both.

        Args:
            config: key -> value, or None for its default; keys that are not named stay.
            enabled: the switch; None: as it is.
            note: who and why.
        """
        latest = await self.latest()
        try:
            changed = merged(
                latest.config, {} if config is None else config, type(self.current.defaults)
            )
        except InvalidConfiguration as why:
            return _invalid(why, latest)
        switched = latest.enabled if enabled is None else enabled
        return await self._write(latest, ConfigurationVersion(0, switched, changed), note)

    async def rollback(
        self, version: int | None = None, *, note: Note, always: bool = False
    ) -> Changed | Refused:
        """Write a new version that says what an old one said.

        Args:
            version: 0 for the defaults; None: the one before the newest.
            note: who and why.
            always: write a version even if the newest one has the same content.
        """
        latest = await self.latest()
        if version is None:
            version = await self._before(latest)
        found = UNEDITED if version == 0 else await self.store.find(version)
        if latest.version == 0 or found is None:
            message = f"there is no version {version} to roll back to"
            return Refused(RefusalCode.UNKNOWN_VERSION, message, latest.version)
        if not note.description:
            note = dataclasses.replace(note, description=f"rollback to version {version}")
        return await self._write(latest, found, note, always=always)

    async def history(self, limit: int = 20) -> Sequence[ConfigurationChange]:
        """The newest versions, newest first; at most `limit`, from 1 to 1,000."""
        return await self.store.history(max(1, min(limit, MAX_HISTORY)))

    async def latest(self) -> ConfigurationVersion:
        """The newest version: the store's, unless the store lost what is in force here."""
        stored = await self.store.latest()
        in_force = self.current.in_force
        return in_force if in_force.version > stored.version else stored

    async def _before(self, latest: ConfigurationVersion) -> int:
        # The numbers may have gaps where a store saw only some of the versions.
        recent = [change.version.version for change in await self.store.history(2)]
        return max((version for version in recent if version < latest.version), default=0)

    async def _write(
        self,
        latest: ConfigurationVersion,
        content: ConfigurationVersion,
        note: Note,
        *,
        always: bool = False,
    ) -> Changed | Refused:
        if note.expected_version not in (None, latest.version):
            return _conflict(latest)
        new = ConfigurationVersion(
            version=latest.version + 1,
            enabled=content.enabled,
            config=content.config,
            description=note.description,
            updated_at=from_ms(self.clock.now_ms()),
            updated_by=note.by,
        )
        try:
            check_note(note.by, note.description)
            self.current.effective(new)
        except InvalidConfiguration as why:
            return _invalid(why, latest)
        is_new = (content.enabled, content.config) != (latest.enabled, latest.config)
        if not is_new and not always:
            return Changed(latest, is_new=False)
        if not await self.store.add(ConfigurationChange(new, latest.enabled, latest.config)):
            return _conflict(await self.latest())
        try:
            await self.topic.publish(new)
        except PublishFailed:
            await self.store.remove(new.version)
            return Refused(
                RefusalCode.BROKER_UNAVAILABLE,
                "the broker did not acknowledge the change; try again",
                latest.version,
            )
        # The topic's reader will do this a moment later, but the caller may rely on it now.
        if new.version > self.current.in_force.version:
            self.current.put_in_force(new)
        return Changed(new)


def _conflict(latest: ConfigurationVersion) -> Refused:
    message = f"somebody else was faster: the version is {latest.version}"
    return Refused(RefusalCode.CONFLICT, message, latest.version)


def _invalid(why: InvalidConfiguration, latest: ConfigurationVersion) -> Refused:
    return Refused(RefusalCode.INVALID_CONFIGURATION, str(why), latest.version)
