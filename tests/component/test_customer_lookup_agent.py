"""The agent without a broker: events in, records out, acks in order."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from agents.customer_lookup import CustomerLookupAgent
from agents.dead_letters import DeadLetters
from posstream import events, topics
from posstream.configuration import CurrentConfiguration, PluginConfiguration
from posstream.directory_call import DirectoryCall
from posstream.domain.lookup import Reason
from posstream.lookup import CustomerLookup
from posstream.metrics import Metrics
from posstream.resilience.clock import Clock, SystemClock
from tests.component.fakes import FakeCache, FakeDirectory, FakePublisher

ANSWERS = {topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED}


@dataclass
class Message:
    value: bytes | None
    offset: int
    topic: str = topics.CUSTOMER_IDENTIFIED
    partition: int = 0
    key: bytes | None = None
    timestamp: float = 1.0
    headers: tuple[tuple[str, bytes], ...] = ()
    generation_id: int = 1
    arrived_at: float | None = None

    @property
    def tp(self) -> tuple[str, int]:
        return (self.topic, self.partition)


@dataclass
class Event:
    message: Message
    acked: list[int]

    def ack(self) -> None:
        self.acked.append(self.message.offset)


@dataclass
class FakeApp:
    committed_at: float = 0.0
    crashed: list[BaseException] = field(default_factory=list)
    answering: dict[str, Any] = field(default_factory=dict)

    def raw_topic(self, *_: str) -> None: ...

    def agent(self, *_: object, **__: object) -> Any:
        return lambda consume: consume

    def pause(self, tp: object) -> None: ...

    def resume(self, tp: object) -> None: ...

    async def crash(self, why: BaseException) -> None:
        self.crashed.append(why)


class Bench:
    """One agent with its surroundings in memory, and one partition."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        dead_letters_per_minute: int = 100,
        **configuration: Any,
    ) -> None:
        self.app = FakeApp()
        self.metrics = Metrics()
        self.cache = FakeCache()
        self.clock = clock or SystemClock()
        self.directory = FakeDirectory(clock=self.clock)
        self.publisher = FakePublisher()
        self.acked: list[int] = []
        plan = PluginConfiguration(api_endpoint="http://directory/", **configuration)
        self.lookup = CustomerLookup(
            call=DirectoryCall(self.directory, clock=self.clock, metrics=self.metrics),
            configuration=CurrentConfiguration(plan),
            publisher=self.publisher,
            clock=self.clock,
            metrics=self.metrics,
        )
        self.dead_letters = DeadLetters(
            publisher=self.publisher,
            clock=self.clock,
            metrics=self.metrics,
            per_minute=dead_letters_per_minute,
        )
        self.agent = CustomerLookupAgent(
            self.app,
            lookup=self.lookup,
            cache=self.cache,
            publisher=self.publisher,
            clock=self.clock,
            metrics=self.metrics,
            partitions=1,
            card_guard=True,
            dead_letters=self.dead_letters,
        )
        self._offset = 0

    async def send(self, *values: bytes | None, arrived_at: float | None = None) -> None:
        """Let the agent take messages."""
        await self.agent.consume(self._arriving(values, arrived_at))

    async def _arriving(
        self, values: tuple[bytes | None, ...], arrived_at: float | None
    ) -> AsyncIterator[Event]:
        for value in values:
            yield Event(Message(value, self._offset, arrived_at=arrived_at), self.acked)
            self._offset += 1

    def answers(self) -> list[dict[str, Any]]:
        return [orjson.loads(r.value or b"") for r in self.publisher.records if r.topic in ANSWERS]

    async def until(self, done: Any) -> None:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110 - it waits for anything
                await asyncio.sleep(0.001)


def scan(identifier: str, basket: str = "b", **more: object) -> bytes:
    return orjson.dumps({"basket_id": basket, "customer_identifier": identifier, **more})


async def test_an_event_does_not_wait_for_its_turn_past_its_own_deadline() -> None:
    bench = Bench()
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1", "patient"), scan("+1", "hasty", deadline_ms=30))
    await bench.until(lambda: len(bench.answers()) == 1)
    (hasty,) = bench.answers()
    assert (hasty["basket_id"], hasty["reason"]) == ("hasty", Reason.DEADLINE)
    bench.directory.gate.set()
    await bench.until(lambda: bench.acked == [0, 1])
    assert bench.answers()[1]["basket_id"] == "patient"
    assert bench.directory.calls == ["+1"]


async def test_the_time_before_the_agent_took_an_event_counts() -> None:
    bench = Bench(deadline_seconds=5)
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1"), arrived_at=time.monotonic() - 6)
    await bench.until(lambda: len(bench.answers()) == 1)
    assert bench.answers()[0]["reason"] == Reason.DEADLINE
    assert bench.answers()[0]["duration_ms"] >= 6000
    bench.directory.gate.set()
    await bench.lookup.drain()
    assert "+1" in bench.cache.entries, "the call goes on and fills the cache"


@pytest.mark.parametrize(("used_ms", "reason"), [(4_990, Reason.DEADLINE), (60_000, None)])
async def test_a_rekeyed_event_keeps_the_time_that_it_used_unless_it_used_it_all(
    used_ms: int, reason: Reason | None
) -> None:
    bench = Bench(deadline_seconds=5)
    bench.directory.gate = asyncio.Event()
    asked = events.read_identification(scan("+1"), topic="t", partition=0, offset=0, timestamp_ms=1)
    asked = type(asked)(
        **{
            **{name: getattr(asked, name) for name in asked.__slots__},
            "taken_at_ms": bench.clock.now_ms() - used_ms,
        }
    )
    record = events.rekeyed(asked, 0)
    event = Event(Message(record.value, 0, topic=topics.REKEYED), bench.acked)

    async def arriving() -> AsyncIterator[Event]:
        yield event

    await bench.agent.consume(arriving())
    await asyncio.sleep(0.05)
    assert [answer["reason"] for answer in bench.answers()] == ([reason] if reason else [])
    bench.directory.gate.set()
    await bench.until(lambda: bench.acked == [0])


async def test_a_large_dead_letter_holds_nobody_up() -> None:
    bench = Bench()
    await bench.send(scan("+1"))
    await bench.until(lambda: bench.acked == [0])
    await bench.send(b"4 " * 40_000, scan("+1"))
    await bench.until(lambda: bench.acked == [0, 1, 2])
    order = [record.topic for record in bench.publisher.records]
    assert order[-2:] == [topics.CUSTOMER_DATA_FETCHED, topics.DEAD_LETTERS]


async def test_what_nobody_foresaw_crashes_the_worker_with_the_offset_not_advanced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.publisher.fail()
    await bench.send(scan("+1"))
    await bench.until(lambda: bool(bench.app.crashed))
    assert bench.acked == []
    assert "cannot go on at customer-identified/0/0: PublishFailed" in caplog.text


async def test_too_many_dead_letters_in_a_minute_stop_the_stream_and_nothing_is_set_aside() -> None:
    bench = Bench(dead_letters_per_minute=3)
    taking = asyncio.ensure_future(bench.send(*[b"broken"] * 5, scan("+1")))
    await bench.until(lambda: bool(bench.dead_letters.stopped))
    await bench.until(lambda: bench.acked == [0, 1, 2])
    letters = [r for r in bench.publisher.records if r.topic == topics.DEAD_LETTERS]
    assert len(letters) == 3
    assert "POSSTREAM_DEAD_LETTERS_PER_MINUTE" in str(bench.dead_letters.stopped)
    assert not bench.app.crashed
    taking.cancel()


async def test_the_age_of_a_commit_grows_only_while_an_event_waits() -> None:
    bench = Bench()
    assert bench.agent.commit_age_seconds() == 0
    bench.directory.gate = asyncio.Event()
    await bench.send(scan("+1"), arrived_at=time.monotonic() - 5)
    assert bench.agent.commit_age_seconds() >= 5
    bench.app.committed_at = time.monotonic()
    assert bench.agent.commit_age_seconds() < 5
    bench.directory.gate.set()
    await bench.until(lambda: bench.acked == [0])
    assert bench.agent.commit_age_seconds() == 0


@pytest.mark.parametrize("kind", [tuple, dict])
async def test_a_replay_without_occurred_at_happened_when_it_was_first_written(kind: Any) -> None:
    bench = Bench()
    headers = kind([("posstream.dlq.timestamp", b"1700000000000")])
    message = Message(scan("1"), 0, headers=headers)

    async def arriving() -> AsyncIterator[Event]:
        yield Event(message, bench.acked)

    await bench.agent.consume(arriving())
    await bench.until(bench.answers)
    assert bench.answers()[0]["identified_at"] == "2023-11-14T22:13:20.000Z"
