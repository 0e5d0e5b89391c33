"""Dead letters, written to a broker that refuses some of them or is away."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from agents.customer_lookup import topics
from posstream.dead_letters.record import dead_letter
from posstream.dead_letters.writer import DeadLetterWriter
from posstream.domain.errors import DeadLetterReason, PublishFailed, UnreadableEvent
from posstream.kafka import connection
from posstream.kafka import writer as topic_writer
from posstream.kafka.record import Record


def letter(value: bytes | None, key: bytes | None = b"k") -> Record:
    return dead_letter(
        topics.DEAD_LETTERS,
        SimpleNamespace(
            topic=topics.CUSTOMER_IDENTIFIED, partition=0, offset=7, key=key, value=value
        ),
        timestamp_ms=1,
        error=UnreadableEvent(DeadLetterReason.NOT_JSON, "the message is not JSON"),
    )


class Producer:
    """Refuses batches by a limit, as a broker does."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.taken: list[tuple[bytes | None, bytes | None, dict[str, bytes]]] = []
        self.errors: list[Exception] = []
        self.is_stopped = False

    def __call__(self, **_: Any) -> "Producer":
        return self

    async def start(self) -> None:
        if self.errors:
            raise self.errors.pop()

    async def stop(self) -> None:
        self.is_stopped = True

    async def partitions_for(self, _: str) -> set[int]:
        return {0, 1}

    async def send_and_wait(self, _: str, value: Any, *, key: Any, headers: Any, **__: Any) -> Any:
        return await self._take(key, value, headers)

    def create_batch(self) -> "Batch":
        return Batch()

    async def send_batch(self, batch: "Batch", *_: Any, **__: Any) -> Any:
        assert batch.is_closed
        return asyncio.ensure_future(self._take(*batch.content))

    async def _take(self, key: Any, value: Any, headers: Any) -> Any:
        if len(key or b"") + len(value or b"") > self.most:
            raise MessageSizeTooLargeError
        self.taken.append((key, value, dict(headers)))
        return SimpleNamespace(partition=0, offset=len(self.taken) - 1)


class Batch:
    is_closed = False

    def append(self, *, key: Any, value: Any, headers: Any, **_: Any) -> None:
        self.content = key, value, headers

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
async def producer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Producer]:
    made = Producer()
    monkeypatch.setattr(connection.aiokafka, "AIOKafkaProducer", made)
    return made


async def test_a_letter_is_written_as_it_is(producer: Producer) -> None:
    await DeadLetterWriter(["b:1"]).write(letter(b"x" * 500))
    ((key, value, headers),) = producer.taken
    assert (key, value, headers["posstream.dlq.offset"]) == (b"k", b"x" * 500, b"7")
    assert "posstream.dlq.truncated" not in headers


async def test_one_that_the_broker_finds_too_large_is_written_cut_and_says_so(
    producer: Producer,
) -> None:
    await DeadLetterWriter(["b:1"]).write(letter(b"x" * 5000, b"k" * 5000))
    ((key, value, headers),) = producer.taken
    assert (key, value) == (b"k" * 256, b"x" * 256)
    assert headers["posstream.dlq.truncated"] == b"5000"


async def test_one_that_is_refused_in_every_form_is_told(producer: Producer) -> None:
    producer.most = 10
    with pytest.raises(PublishFailed, match=topics.DEAD_LETTERS):
        await DeadLetterWriter(["b:1"]).write(letter(b"x" * 5000))


async def test_a_broker_that_is_away_is_waited_for(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_writer, "growing_pauses", lambda: iter([0] * 9))
    producer.errors = [KafkaConnectionError(), OSError()]
    writer = DeadLetterWriter(["b:1"])
    await writer.write(letter(None, None))
    assert [(key, value) for key, value, _ in producer.taken] == [(None, b"")]
    await writer.close()
    await writer.close()
    assert producer.is_stopped
