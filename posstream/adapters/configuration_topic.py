"""The topic `plugin-configuration` on Kafka: written with acks=all, read without a group.

Without Faust: a table would be recovered from it on every rebalance, and every worker needs
every record, from before its first event on.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final

import aiokafka
from aiokafka.errors import KafkaError

from posstream.configuration import PLUGIN
from posstream.configuration_follower import ConfigurationFollower
from posstream.configuration_record import write_record
from posstream.domain.configuration_version import ConfigurationVersion
from posstream.domain.errors import BrokerUnreachable, PublishFailed
from posstream.ports import ConfigurationPublisher
from posstream.topics import PLUGIN_CONFIGURATION

log = logging.getLogger(__name__)

_KEY: Final = PLUGIN.encode()
_PARTITION: Final = aiokafka.TopicPartition(PLUGIN_CONFIGURATION, 0)
#: How long a broker may take to acknowledge an edit, or to let the topic be read to its end.
_PATIENCE_SECONDS: Final = 10
_PAUSE_SECONDS: Final = 0.5
_POLL_MS: Final = 1000


class KafkaConfigurationTopic(ConfigurationPublisher):
    """The topic, written. Edits are rare: each one has a producer of its own."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = list(servers)

    async def publish(self, version: ConfigurationVersion) -> None:
        """Write a version and wait for the acknowledgement of all in-sync replicas.

        Raises:
            PublishFailed: if the broker did not take it in time.
        """
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",
            request_timeout_ms=_PATIENCE_SECONDS * 1000,
        )
        try:
            await producer.start()
            await producer.send_and_wait(
                PLUGIN_CONFIGURATION, write_record(version), key=_KEY, partition=0
            )
        except (KafkaError, OSError) as why:
            raise PublishFailed(f"{PLUGIN_CONFIGURATION}: {why!r}") from why
        finally:
            await producer.stop()


class ConfigurationReader:
    """The topic, read: to its end at the start, and then for as long as the worker runs."""

    def __init__(self, servers: Sequence[str], follower: ConfigurationFollower) -> None:
        self._servers = list(servers)
        self._follower = follower
        self._fetch_wait_ms = 0
        self._position: int | None = None
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, *, fetch_wait_ms: int) -> None:
        """Have the right version in force, and follow the topic from there.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back.

        Raises:
            BrokerUnreachable: if the topic cannot be read.
            Exception: whatever the database raises.
        """
        await self.catch_up(fetch_wait_ms=fetch_wait_ms)
        self._task = asyncio.create_task(self._follow(), name="plugin-configuration")

    async def catch_up(self, *, fetch_wait_ms: int) -> None:
        """Read the topic to its end and reconcile it with the store; see `open`."""
        self._fetch_wait_ms = fetch_wait_ms
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._connect()
                await self._read_to_the_end()
        except (KafkaError, OSError) as why:
            await self._disconnect()
            raise BrokerUnreachable(
                f"topic {PLUGIN_CONFIGURATION} cannot be read ({type(why).__name__}): "
                "see POSSTREAM_BROKER"
            ) from why
        try:
            await self._follower.settle()
        except BaseException:
            await self._disconnect()
            raise

    async def close(self) -> None:
        """Stop following. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._disconnect()

    async def _connect(self) -> None:
        self._consumer = consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._fetch_wait_ms,
        )
        await consumer.start()
        consumer.assign([_PARTITION])
        if self._position is None:
            await consumer.seek_to_beginning(_PARTITION)
        else:
            consumer.seek(_PARTITION, self._position)

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _read_to_the_end(self) -> None:
        # The embedded broker answers ListOffsets(latest) with the base of the last batch + 1:
        # enough to know whether there is anything; where it ends, a fetch tells.
        ends = await self._consumer.end_offsets([_PARTITION])
        end = ends[_PARTITION]
        while await self._consumer.position(_PARTITION) < end:
            for message in await self._fetched():
                self._follower.take(message.value)
            end = max(end, self._consumer.highwater(_PARTITION) or 0)

    async def _fetched(self) -> list[Any]:
        fetched = await self._consumer.getmany(_PARTITION, timeout_ms=_POLL_MS)
        messages = fetched.get(_PARTITION, [])
        if messages:
            self._position = messages[-1].offset + 1
        return [message for message in messages if message.key == _KEY]

    async def _follow(self) -> None:
        troubled = False
        while True:
            try:
                if self._consumer is None:
                    await self._connect()
                for message in await self._fetched():
                    await self._follower.follow(message.value)
                troubled = False
            except Exception as why:  # noqa: BLE001 - nothing watches this task but us
                if not troubled:
                    log.warning("cannot read %s (%r); trying on", PLUGIN_CONFIGURATION, why)
                troubled = True
                await self._disconnect()
                await asyncio.sleep(_PAUSE_SECONDS)
