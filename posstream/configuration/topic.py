"""The topic `plugin-configuration` on Kafka: written with acks=all, read without a group.

Without Faust: a table would be recovered from it on every rebalance, and every worker needs
every record, from before its first event on.
"""

from collections.abc import Mapping
from typing import Any, Final

from posstream.configuration.follower import ConfigurationFollower
from posstream.configuration.record import write_record
from posstream.configuration.version import ConfigurationVersion
from posstream.domain.errors import BrokerUnreachable, PublishFailed
from posstream.kafka.reader import GrouplessReader
from posstream.kafka.record import Record
from posstream.kafka.security import Brokers
from posstream.kafka.topics import PLUGIN_CONFIGURATION
from posstream.kafka.writer import TopicWriter

#: How long a broker may take to acknowledge an edit.
_PATIENCE_SECONDS: Final = 10


class KafkaConfigurationTopic:
    """Writes the records of one plugin. Edits are rare: each one has a producer of its own."""

    def __init__(self, servers: Brokers, plugin: str) -> None:
        self._servers = servers
        self._key = plugin.encode()

    async def publish(self, version: ConfigurationVersion) -> None:
        """Write a version and wait for the acknowledgement of all in-sync replicas.

        Raises:
            PublishFailed: if the broker did not take it in time.
        """
        record = Record(PLUGIN_CONFIGURATION, self._key, write_record(version), partition=0)
        try:
            async with TopicWriter(self._servers, within_seconds=_PATIENCE_SECONDS) as writer:
                await writer.write(record)
        except BrokerUnreachable as why:
            raise PublishFailed(str(why)) from why


class ConfigurationReader:
    """Reads the topic: to its end at the start, and then for as long as the worker runs."""

    def __init__(self, servers: Brokers, followers: Mapping[str, ConfigurationFollower]) -> None:
        """Read nothing yet.

        Args:
            servers: host:port of the brokers.
            followers: by the name of their plugin, which is the key of its records. Records of
                other plugins, which other workers may have, are left alone.
        """
        self._reader = GrouplessReader(servers, PLUGIN_CONFIGURATION)
        self._followers = {plugin.encode(): it for plugin, it in followers.items()}

    async def open(self, *, fetch_wait_ms: int) -> None:
        """Put the topic's versions in force, and follow the topic from there; then call `settle`.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back.

        Raises:
            BrokerUnreachable: if the topic cannot be read.
        """
        await self._reader.catch_up(self._take, fetch_wait_ms=fetch_wait_ms)
        self._reader.follow(self._follow, name="plugin-configuration")

    async def settle(self) -> None:
        """Reconcile the topic with the store, which may be away for a while after `open`.

        Raises:
            Exception: from the database; call `settle` again.
        """
        for follower in self._followers.values():
            await follower.settle()

    async def catch_up(self, *, fetch_wait_ms: int) -> None:
        """Read the topic to its end and reconcile it with the store; follow nothing."""
        await self._reader.catch_up(self._take, fetch_wait_ms=fetch_wait_ms)
        try:
            await self.settle()
        finally:
            await self._reader.disconnect()

    async def close(self) -> None:
        """Stop following. Idempotent."""
        await self._reader.close()

    def _take(self, record: Any) -> None:
        if record.key in self._followers:
            self._followers[record.key].take(record.value)

    async def _follow(self) -> None:
        for record in await self._reader.fetch():
            if record.key in self._followers:
                await self._followers[record.key].follow(record.value)
