"""What the live configuration needs of the outside world, as Protocols."""

from collections.abc import Sequence
from typing import Protocol

from posstream.configuration.version import ConfigurationChange, ConfigurationVersion


class ConfigurationStore(Protocol):
    """The versions of one plugin's live configuration, kept: who, when, old and new.

    Every method may raise the database's errors.
    """

    async def latest(self) -> ConfigurationVersion:
        """The newest version; `UNEDITED` if there is none."""
        ...

    async def find(self, version: int) -> ConfigurationVersion | None:
        """One version."""
        ...

    async def history(self, limit: int) -> Sequence[ConfigurationChange]:
        """The newest versions, newest first."""
        ...

    async def add(self, change: ConfigurationChange) -> bool:
        """Keep a new version; False if its number is taken."""
        ...

    async def mirror(self, change: ConfigurationChange) -> None:
        """Keep a version as the topic has it, whether its number is taken or not."""
        ...

    async def remove(self, version: int) -> None:
        """Forget a version that no worker was told of."""
        ...


class ConfigurationPublisher(Protocol):
    """The topic `plugin-configuration`, written."""

    async def publish(self, version: ConfigurationVersion) -> None:
        """Write a version and wait for the broker's acknowledgement.

        Raises:
            PublishFailed: if the broker did not take it.
        """
        ...
