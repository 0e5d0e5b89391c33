"""How the agents of rare events work: one message after the other, acknowledged when done."""

import asyncio
import logging
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

from posstream import events
from posstream.domain.errors import UnreadableEvent
from posstream.metrics import Metrics
from posstream.ports import EventPublisher

log = logging.getLogger(__name__)


class OneByOne:
    """Takes the messages of one agent in turn; what cannot be read becomes a dead letter."""

    def __init__(self, app: Any, *, publisher: EventPublisher, metrics: Metrics) -> None:
        self._app = app
        self._publisher = publisher
        self._metrics = metrics

    def is_current(self, message: Any) -> bool:
        """Whether a message is still ours; after a rebalance it comes again, maybe elsewhere."""
        return bool(message.generation_id == self._app.consumer_generation_id)

    async def consume(
        self, arriving: AsyncIterable[Any], handle: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Handle each message and acknowledge it.

        Args:
            arriving: events without acknowledgement.
            handle: returns when its message needs nothing more, or is not ours any more. It may
                raise UnreadableEvent; whatever else it raises crashes the worker, the message
                unacknowledged.
        """
        async for event in arriving:
            message = event.message
            try:
                try:
                    await handle(message)
                except UnreadableEvent as why:
                    await self._set_aside(message, why)
            except Exception as why:  # one that escaped would ack the event
                log.critical("cannot go on at %s: %r", _place(message), why, exc_info=why)
                await self._app.crash(why)
                return  # nothing behind it may be acknowledged
            if self.is_current(message):
                event.ack()

    async def _set_aside(self, message: Any, why: UnreadableEvent) -> None:
        self._metrics.dead_letters.labels(why.reason).inc()
        log.warning("dead letter: %s: %s: %s", _place(message), why.reason, why)
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
        await self._publisher.publish(letter)


def timestamp_ms(message: Any) -> int:
    """The broker's timestamp of a message, in milliseconds since 1970."""
    return round((message.timestamp or time.time()) * 1000)


def _place(message: Any) -> str:
    return f"{message.topic}/{message.partition}/{message.offset}"
