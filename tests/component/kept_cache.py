"""The customer cache on Faust's own RocksDB store, without a broker; and messages for agents."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faust.types import TP

from agents.customer_lookup.topics import CACHE
from posstream.streaming.app import StreamingApp
from posstream.streaming.co_partitioning import CoPartitioning
from posstream.streaming.one_by_one import OneByOne
from posstream.streaming.patches.store import NO_ENTRIES
from tables.cache_spec import CACHE_CHANGELOG
from tables.customer_cache import CustomerCacheTable
from tables.freshness import CacheEntry
from tables.partitioned import home

PARTITIONS = 3


class KeptCache:
    """A worker's cache that has its partitions, and what it would write to the changelog."""

    def __init__(self, datadir: Path, *, hot_bytes: int = 1024 * 1024) -> None:
        self.app: Any = StreamingApp(
            "kept", broker="kafka://127.0.0.1:1", datadir=datadir, partitions=PARTITIONS
        )
        Path(self.app.conf.tabledir).mkdir(parents=True, exist_ok=True)
        self.table = CustomerCacheTable(self.app, CACHE, partitions=PARTITIONS, hot_bytes=hot_bytes)
        #: Told at each flush how many changes were not with the broker before it.
        self.flushed: list[int] = []
        self.table.flush = self._flush  # type: ignore[method-assign]
        self.assign(range(PARTITIONS))
        self.app.tables.actives_ready = True
        self.app.consumer._thread.thread_loop.close()  # of a thread that is not started here

    def assign(self, numbers: Sequence[int]) -> None:
        self.app.assignor._assignment.actives = {CACHE_CHANGELOG: list(numbers)}

    def grow(self, topic: str, partitions: int) -> None:
        """Let the consumer know of so many partitions of a topic."""
        self.app.consumer.topic_partitions = {topic: partitions}.get

    def thaw(self) -> None:
        """Start the worker again, as far as the partitions of topics go."""
        self.grow(CACHE_CHANGELOG, PARTITIONS)
        self.table.co_partitioning = CoPartitioning(self.app, CACHE, partitions=PARTITIONS)

    async def _flush(self) -> None:
        self.flushed.append(self.app.producer.buffer.size)

    def put(self, identifier: str, entry: CacheEntry) -> None:
        self.table.partition(home(identifier, PARTITIONS)).put(identifier, entry)

    def put_raw(self, identifier: str, value: bytes) -> None:
        self._store._db_for_partition(home(identifier, PARTITIONS)).put(identifier.encode(), value)

    def persist_offset(self, number: int, offset: int) -> None:
        self._store._db_for_partition(number)
        self._store.set_persisted_offset(TP(CACHE_CHANGELOG, number), offset)

    def persisted_offset(self, number: int) -> int | None:
        offset: int | None = self._store.persisted_offset(TP(CACHE_CHANGELOG, number))
        return offset

    @property
    def identifiers(self) -> set[str]:
        stores = [self._store._db_for_partition(number) for number in range(PARTITIONS)]
        keys = {key for store in stores for key in store.keys()}  # noqa: SIM118 - not a dict
        return {key.decode() for key in keys - NO_ENTRIES}

    @property
    def tombstones(self) -> set[tuple[int, str]]:
        """Partition and identifier of each tombstone that waits for the producer."""
        waiting = [fut.message for fut in self.app.producer.buffer.pending._queue]
        assert {message.channel.topics[0] for message in waiting} <= {
            "kept-customer-cache-changelog"
        }
        return {(m.partition, m.key.decode()) for m in waiting if m.value is None}

    @property
    def _store(self) -> Any:
        return self.table.table.data


@dataclass
class Message:
    value: bytes | None
    offset: int = 0
    topic: str = ""
    partition: int = 0
    key: bytes | None = None
    timestamp: float = 1.0
    headers: tuple[tuple[str, bytes], ...] = ()
    generation_id: int = 1


@dataclass
class Event:
    message: Message
    acked: bool = False

    def ack(self) -> None:
        self.acked = True


@dataclass
class FakeApp:
    """What an agent of rare events needs of an app."""

    consumer_generation_id: int = 1
    not_waited_for: frozenset[str] = frozenset()
    crashed: list[BaseException] = field(default_factory=list)

    #: By topic, what handles its messages.
    handlers: dict[str, Any] = field(default_factory=dict)
    failures: Any = None

    def consume(self, topic: str, handle: Any, *, waited_for: bool = True) -> None:
        assert not waited_for
        self.handlers[topic] = handle

    async def give(self, topic: str, *events: Event) -> None:
        """Let the agent of a topic handle events."""
        await OneByOne(self, self.failures).consume(arriving(*events), self.handlers[topic])

    async def crash(self, why: BaseException) -> None:
        self.crashed.append(why)


async def arriving(*events: Event) -> AsyncIterator[Event]:
    for event in events:
        yield event
