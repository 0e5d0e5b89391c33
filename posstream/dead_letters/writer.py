"""Writes dead letters through a producer of their own.

The worker's own producer is idempotent: it numbers its records, so that the broker writes each of
them once. A record that the broker refuses leaves a gap in these numbers, and the worker must
restart. Other systems choose what a dead letter holds: a refused one must not restart the worker.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final

import aiokafka
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from posstream.dead_letters.record import cut_short
from posstream.domain.errors import PublishFailed
from posstream.kafka.record import Record
from posstream.kafka.topics import DEAD_LETTER_MAX_BYTES
from posstream.resilience.retry import growing_pauses

log = logging.getLogger(__name__)

#: How long a letter waits for others to share its batch.
_LINGER_MS: Final = 5
_BATCH_BYTES: Final = 262_144
_REQUEST_MS: Final = 10_000
#: How long a stop waits for letters on their way; their messages are read again after the start.
_STOP_SECONDS: Final = 5


class DeadLetterWriter:
    """Writes dead letters; connects to the broker with the first one."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = list(servers)
        self._producer: Any = None
        self._connecting = asyncio.Lock()

    async def write(self, letter: Record) -> None:
        """Write a letter and wait for the broker's acknowledgement, for as long as that takes.

        A letter that is refused is written once more without its neighbours in the batch, because
        the broker may have refused one of those, and then once more, cut short.

        Raises:
            PublishFailed: if the broker refuses it for good.
        """
        refusal = await self._refusal(letter, is_alone=False)
        if refusal is not None:
            refusal = await self._refusal(letter, is_alone=True)
        if refusal is not None:
            refusal = await self._refusal(cut_short(letter), is_alone=True)
        if refusal is not None:
            raise PublishFailed(f"{letter.topic}: {refusal!r}") from refusal

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await producer.stop()

    async def _refusal(self, letter: Record, *, is_alone: bool) -> KafkaError | None:
        """Write a letter. Returns the broker's refusal, or None once the letter is written."""
        for pause in growing_pauses():
            try:
                producer = await self._connected()
                await (_send_alone if is_alone else _send)(producer, letter)
            except (KafkaError, OSError) as why:
                if isinstance(why, KafkaError) and not (
                    why.retriable or isinstance(why, KafkaTimeoutError)
                ):
                    return why
                log.debug("a dead letter is not written yet (%r)", why)
                await asyncio.sleep(pause)
            else:
                break
        return None

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._producer is None:
                producer = aiokafka.AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    acks="all",
                    linger_ms=_LINGER_MS,
                    max_batch_size=_BATCH_BYTES,
                    max_request_size=DEAD_LETTER_MAX_BYTES,
                    request_timeout_ms=_REQUEST_MS,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer


async def _send(producer: Any, letter: Record) -> None:
    await producer.send_and_wait(
        letter.topic, letter.value, key=letter.key, headers=list(letter.headers)
    )


async def _send_alone(producer: Any, letter: Record) -> None:
    partitions = sorted(await producer.partitions_for(letter.topic))
    batch = producer.create_batch()
    batch.append(key=letter.key, value=letter.value, timestamp=None, headers=list(letter.headers))
    batch.close()  # no other letter may join it
    partition = DefaultPartitioner()(letter.key, partitions, partitions)
    await (await producer.send_batch(batch, letter.topic, partition=partition))
