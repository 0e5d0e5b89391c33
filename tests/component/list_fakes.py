"""What the lanes of fetched lists need of an app, in memory; batches are aiokafka's own."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from posstream.kafka.record import Record
from posstream.kafka.tuning import Tuning
from posstream.streaming.lists.lanes import Lanes
from posstream.streaming.lists.progress import Progress


@dataclass
class Fetched:
    """A record as aiokafka read it."""

    offset: int
    value: bytes | None = b""
    key: bytes | None = b"k"
    timestamp: int = 1
    headers: Sequence[tuple[str, bytes]] = ()


def records_of(topic: str, partition: int, batch: Any) -> list[Record]:
    """What a batch would write, as a consumer would read it."""
    found = []
    read = MemoryRecords(bytes(batch._build()))
    while read.has_next():
        found += [
            Record(topic, it.key, it.value, list(it.headers), partition) for it in read.next_batch()
        ]
    return found


class FakeProducer:
    """Takes batches; can keep callers waiting, and hold confirmations back."""

    def __init__(self, *, partitions: int = 3, batch_size: int = 262_144) -> None:
        self.partitions = partitions
        self.batch_size = batch_size
        #: Topic, partition and records of each batch that was handed over.
        self.given: list[tuple[str, int, list[Record]]] = []
        #: The confirmation of each of them.
        self.written: list[asyncio.Future[None]] = []
        self.confirms = True
        #: Awaited before a batch for a partition is taken.
        self.takes_in: Callable[[int], Any] | None = None
        #: Awaited before the partitions are told.
        self.tells: Callable[[], Any] | None = None
        #: Gets a copy of each record that was handed over.
        self.also: list[Record] = []

    @property
    def records(self) -> list[Record]:
        return [record for _, _, records in self.given for record in records]

    async def partitions_of(self, _: str) -> int:
        if self.tells is not None:
            await self.tells()
        return self.partitions

    def new_batch(self) -> BatchBuilder:
        return BatchBuilder(self.batch_size, 0)

    async def send_batch(self, topic: str, partition: int, batch: Any) -> "asyncio.Future[None]":
        if self.takes_in is not None:
            await self.takes_in(partition)
        assert batch.closed(), "or others could write into it"
        records = records_of(topic, partition, batch)
        self.given.append((topic, partition, records))
        self.also += records
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.written.append(written)
        if self.confirms:
            written.set_result(None)
        return written


@dataclass
class ListApp:
    """An app in its first generation, whose events flow."""

    producer: FakeProducer = field(default_factory=FakeProducer)
    plugin: str = "toy"
    consumer_generation_id: int = 1
    answering: dict[str, Any] = field(default_factory=dict)
    committed_at: float = 0.0
    tuning: Tuning = field(default_factory=Tuning)
    consumer: Any = field(default_factory=lambda: SimpleNamespace(flow_active=True))
    crashed: list[BaseException] = field(default_factory=list)
    failures: Any = None
    #: How many batches had been handed over at each look whether the process was frozen.
    pulses: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.progress = Progress()
        self.lanes = Lanes(self, self.progress)

    @property
    def pulse(self) -> Any:
        return SimpleNamespace(check=lambda: self.pulses.append(len(self.producer.given)))

    def patience(self, seconds: float) -> None:
        """Wait so long for a confirmation."""
        self.tuning = dataclasses.replace(self.tuning, delivery_seconds=seconds)

    def answer_lists(
        self,
        topics: Sequence[str],
        answering: Any,
        *,
        at_once: int = 1000,
        steps: int = 1,
        first: Sequence[str] = (),
        gathers_from: float | None = None,
        is_on: Callable[[], bool] | None = None,
    ) -> None:
        if is_on is not None:
            self.lanes.answer_while(topics, is_on)
        self.answering |= dict.fromkeys(topics, answering)
        self.most_at_once = at_once
        self.most_fetched = at_once * steps
        self.answered_first = set(first)
        self.gathers_from = gathers_from

    async def crash(self, why: BaseException) -> None:
        self.crashed.append(why)


async def soon(done: Callable[[], object]) -> None:
    """Wait for what must happen, and at once."""
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - it waits for anything
            await asyncio.sleep(0)


async def a_while() -> None:
    """Let everything happen that can happen now."""
    for _ in range(20):
        await asyncio.sleep(0)
