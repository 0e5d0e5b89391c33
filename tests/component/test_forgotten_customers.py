"""Observations are told of every customer who was forgotten, on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.fraud_detection.forgotten_customers import ForgottenCustomers
from posstream.domain.times import from_ms
from posstream.forgetting.marks import Forgotten, Marks
from posstream.forgetting.record import forgotten
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.record import Record
from posstream.kafka.topics import CUSTOMER_FORGOTTEN, DAY_MS, PLATFORM_TOPICS
from posstream.kafka.writer import TopicWriter
from tests.integration.harness import free_port
from tests.manual_clock import ManualClock

OLD, FIRST, SECOND = "0" * 64, "1" * 64, "2" * 64


class Told:
    """Observations that note what they are told, and can fail."""

    def __init__(self) -> None:
        self.marks: asyncio.Queue[Marks] = asyncio.Queue()
        self.failures = 0

    async def forget(self, marks: Marks) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        self.marks.put_nowait(marks)

    async def next(self) -> dict[str, int]:
        async with asyncio.timeout(10):
            marks = await self.marks.get()
        return {subject: round(at.timestamp() * 1000) for subject, at in marks.forgotten_at.items()}


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[str]]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    await prepare_topics([broker.address], PLATFORM_TOPICS, partitions=2, replication=1)
    yield [broker.address]
    broker.stop()


async def mark(servers: list[str], subject: str, at_ms: int) -> None:
    async with TopicWriter(servers) as writer:
        await writer.write(forgotten(Forgotten(subject, at_ms)))


async def test_observations_are_told_of_old_and_new_marks_until_they_took_them(
    servers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    clock, told = ManualClock(), Told()
    now_ms = clock.now_ms()
    await mark(servers, OLD, now_ms - 16 * DAY_MS)
    await mark(servers, FIRST, now_ms - DAY_MS)
    async with TopicWriter(servers) as writer:
        await writer.write(Record(CUSTOMER_FORGOTTEN, b"x", b"no mark"))
    following = ForgottenCustomers(servers, told, clock=clock)
    await following.open(fetch_wait_ms=20)
    assert await told.next() == {FIRST: now_ms - DAY_MS}
    told.failures = 1
    await mark(servers, SECOND, now_ms)
    assert await told.next() == {SECOND: now_ms}
    # Once more, later.
    await mark(servers, FIRST, now_ms + 5)
    assert await told.next() == {FIRST: now_ms + 5}
    assert following.marks == Marks({FIRST: from_ms(now_ms + 5), SECOND: from_ms(now_ms)})
    # Its observations are gone by now.
    clock.advance(15 * DAY_MS / 1000 + 0.002)
    assert following.marks == Marks({FIRST: from_ms(now_ms + 5)})
    await following.close()
    assert "it is no mark" in caplog.text
