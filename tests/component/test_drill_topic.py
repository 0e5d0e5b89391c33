"""An outage drill on a real broker: on every worker, also on one that starts meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiokafka
import pytest

from agents.customer_lookup.drills.drill import Drill, Fault, drill_record
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.drills.reader import DrillReader
from agents.customer_lookup.topics import OUTAGE_DRILLS
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.record import Record
from posstream.plugins.discovery import find_plugins
from tests.component.fakes import NOW_MS
from tests.integration.harness import free_port
from tests.lookup_metrics import RegisteredMetrics
from tests.manual_clock import ManualClock

#: What an operator may wait until every worker takes part.
LIVE_SECONDS = 2
DRILL = Drill(
    fault=Fault.ERRORS,
    percent=50,
    started_at_ms=NOW_MS,
    ends_at_ms=NOW_MS + 60_000,
    started_by="anna",
)


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[str]]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    await prepare_topics([broker.address], find_plugins().topics, partitions=1, replication=1)
    yield [broker.address]
    broker.stop()


class WatchedDrills(OutageDrills):
    """Tells what it took."""

    def __init__(self, **wiring: Any) -> None:
        super().__init__(**wiring)
        self.taken: asyncio.Queue[Drill | None] = asyncio.Queue()

    def take(self, value: bytes | None) -> None:
        super().take(value)
        self.taken.put_nowait(self.newest)


@dataclass
class Worker:
    """One worker's view of the drills."""

    drills: WatchedDrills
    reader: DrillReader
    metrics: RegisteredMetrics
    clock: ManualClock

    @property
    def gauge(self) -> float | None:
        return self.metrics.registry.get_sample_value("posstream_drill_active")

    async def next_taken(self) -> Drill | None:
        async with asyncio.timeout(LIVE_SECONDS):
            return await self.drills.taken.get()


async def a_worker(servers: list[str]) -> Worker:
    metrics, clock = RegisteredMetrics(), ManualClock()

    async def publish(record: Record) -> None:
        assert (record.topic, record.partition) == (OUTAGE_DRILLS, 0)
        await write(servers, record.value)

    drills = WatchedDrills(publish=publish, clock=clock, metrics=metrics)
    reader = DrillReader(servers, drills)
    await reader.open(fetch_wait_ms=20)
    return Worker(drills, reader, metrics, clock)


async def write(servers: list[str], value: bytes | None) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        await producer.send_and_wait(OUTAGE_DRILLS, value, key=b"outage-drill", partition=0)
    finally:
        await producer.stop()


@pytest.fixture
async def workers(servers: list[str]) -> AsyncIterator[list[Worker]]:
    workers = [await a_worker(servers), await a_worker(servers)]
    yield workers
    for worker in workers:
        await worker.reader.close()


async def test_a_drill_runs_and_stops_on_every_worker_within_2_seconds(
    workers: list[Worker],
) -> None:
    one, other = workers
    assert await one.drills.start(DRILL)
    assert await other.next_taken() == DRILL
    assert (one.gauge, other.gauge) == (1, 1)
    other.clock.advance(10)
    ended = await other.drills.stop("olga")
    assert await one.next_taken() == DRILL, "its own start"
    assert await one.next_taken() == ended
    one.clock.advance(10)
    assert (one.drills.running, other.drills.running) == (None, None)


async def test_a_worker_that_starts_in_a_drill_takes_part_and_ends_it_by_itself(
    workers: list[Worker], servers: list[str]
) -> None:
    await workers[0].drills.start(DRILL)
    late = await a_worker(servers)
    try:
        assert late.drills.running == DRILL
        late.clock.advance(60)
        assert (late.drills.running, late.drills.newest, late.gauge) == (None, DRILL, 0)
    finally:
        await late.reader.close()


async def test_a_record_that_is_none_ends_the_drill_and_the_reader_lives_on(
    workers: list[Worker], servers: list[str]
) -> None:
    one = workers[0]
    await write(servers, b"{")
    assert await one.next_taken() is None
    await write(servers, drill_record(DRILL).value)
    assert await one.next_taken() == DRILL
    await write(servers, None)
    assert await one.next_taken() is None
    assert one.gauge == 0
