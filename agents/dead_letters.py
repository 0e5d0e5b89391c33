"""Where messages go that cannot be read, and when there are too many of them."""

import asyncio
import logging
import time
from typing import Any

from posstream import events
from posstream.domain.errors import UnreadableEvent
from posstream.metrics import Metrics
from posstream.ports import EventPublisher
from posstream.resilience.clock import Clock
from posstream.resilience.rate_limit import RateLimit

log = logging.getLogger(__name__)


class DeadLetters:
    """Sets messages aside, for all agents of a worker together."""

    def __init__(
        self, *, publisher: EventPublisher, clock: Clock, metrics: Metrics, per_minute: int
    ) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._limit = RateLimit(clock, per_minute, per_seconds=60)
        #: Why the agents take no more events, if so.
        self.stopped: str | None = None

    async def hold_if_stopped(self) -> None:
        """Wait until the worker ends, if there were too many; what was not taken stays unacked."""
        if self.stopped:
            await asyncio.Event().wait()

    async def set_aside(self, message: Any, why: UnreadableEvent) -> bool:
        """Write a dead letter and wait for the broker's acknowledgement.

        Returns:
            False if there were too many; then nothing was written, and `stopped` says so.
        """
        if not self._limit.allows():
            self._stop(message.topic)
            return False
        self._metrics.dead_letters.labels(why.reason).inc()
        log.warning("dead letter: %s: %s: %s", place(message), why.reason, why)
        # In a thread: the search for card numbers in a large message takes its time.
        letter = await asyncio.to_thread(
            events.dead_letter,
            message.key,
            message.value,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=timestamp_ms(message),
            error=why,
        )
        await (await self._publisher.send(letter))
        return True

    def _stop(self, topic: str) -> None:
        if self.stopped is None:
            self.stopped = (
                f"more than {self._limit.limit} dead letters in a minute: whatever writes {topic} "
                "is broken, and no more events are taken. Mend it, or raise "
                "POSSTREAM_DEAD_LETTERS_PER_MINUTE, and start the worker again"
            )
            log.critical("%s", self.stopped)


def place(message: Any) -> str:
    """Where a message lies: topic/partition/offset."""
    return f"{message.topic}/{message.partition}/{message.offset}"


def headers(message: Any) -> list[tuple[str, bytes]]:
    """The headers of a message; Faust has them as pairs, as a mapping or not at all."""
    found = message.headers or ()
    return list(found.items() if isinstance(found, dict) else found)


def timestamp_ms(message: Any) -> int:
    """When a message of Faust's was written; see `events.written_ms`."""
    return events.written_ms(round((message.timestamp or time.time()) * 1000), headers(message))
