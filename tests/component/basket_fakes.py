"""The agent of the baskets with its surroundings in memory: messages in, records out."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
from faust.types import TP
from prometheus_client import CollectorRegistry

from agents.baskets import topics
from agents.baskets.agent import BasketAgent
from agents.baskets.configuration import BasketConfiguration
from agents.baskets.metrics import METRICS
from posstream.configuration.current import CurrentConfiguration
from posstream.kafka.record import Record
from posstream.metrics import register
from tables.partitioned import home
from tests.manual_clock import ManualClock

PARTITIONS = 3


class KeptBaskets:
    """What `TablePartition` needs of a table: its entries, and whose partitions they are."""

    def __init__(self) -> None:
        self.partitions = PARTITIONS
        self.source = topics.POS_EVENTS
        self.co_partitioning = SimpleNamespace(is_frozen=False)
        self.recovered = True
        self.owned = set(range(PARTITIONS))
        self.stores: list[dict[bytes, bytes]] = [{} for _ in range(PARTITIONS)]
        #: Partition and key of each tombstone.
        self.tombstones: list[tuple[int, bytes]] = []
        self.table = self.data = self
        self.flushes = 0
        #: The key of each write.
        self.puts: list[bytes] = []

    def owns(self, number: int) -> bool:
        return number in self.owned

    async def flush(self) -> None:
        self.flushes += 1

    def read(self, number: int, key: bytes) -> bytes | None:
        return self.stores[number].get(key)

    def put_at(self, tp: TP, key: bytes, value: bytes) -> None:
        assert tp.topic == self.source
        self.stores[tp.partition][key] = value
        self.puts.append(key)

    def put_all_at(self, tp: TP, values: Mapping[bytes, bytes]) -> dict[bytes, Exception]:
        refused: dict[bytes, Exception] = {}
        for key, value in values.items():
            try:
                self.put_at(tp, key, value)
            except Exception as why:  # noqa: BLE001 - as the table does
                refused[key] = why
        return refused

    def remove_at(self, tp: TP, key: bytes) -> bool:
        self.tombstones.append((tp.partition, key))
        return self.stores[tp.partition].pop(key, None) is not None

    def entries(self, number: int, start: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        store = self.stores[number]
        return [(key, store[key]) for key in sorted(store) if key >= start][:limit]

    def estimated(self, number: int) -> int:
        return len(self.stores[number])

    @property
    def kept(self) -> dict[str, bytes]:
        """Every value by the id of its basket."""
        return {key.decode(): value for part in self.stores for key, value in part.items()}


class Counter:
    """An agent on a table, without lanes: what it adds is in `records`."""

    def __init__(self, table: KeptBaskets, clock: ManualClock, **configuration: Any) -> None:
        self.table = table
        self.registry = CollectorRegistry()
        self.metrics = register(METRICS, self.registry)
        self.records: list[Record] = []
        self.configuration = CurrentConfiguration(BasketConfiguration(**configuration))
        self.lanes = SimpleNamespace(cleared=0)
        self.agent = BasketAgent(
            app=SimpleNamespace(answer_lists=lambda *_, **__: None, lanes=self.lanes),
            table=table,  # type: ignore[arg-type]
            configuration=self.configuration,
            clock=clock,  # type: ignore[arg-type]
            metrics=self.metrics,
            card_guard=True,
        )

    def give(self, topic: str, partition: int, *messages: Any) -> list[Exception]:
        """Let the agent count messages; why some could not be counted."""
        left = self.agent.answer(TP(topic, partition), messages, self)  # type: ignore[arg-type]
        return [why for _, why in left]

    def add(self, record: Record) -> None:
        """What the outbox does."""
        self.records.append(record)

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"posstream_{name}", labels) or 0.0


def of_topic(records: Sequence[Record], topic: str) -> list[dict[str, Any]]:
    """The events among records that went to a topic."""
    return [orjson.loads(it.value or b"") for it in records if it.topic == topic]


def at_home(basket_id: str) -> int:
    """The partition of a basket."""
    return home(basket_id, PARTITIONS)
