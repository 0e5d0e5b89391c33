"""How the agents of rare events work: one message after the other, acknowledged when done."""

import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

from agents.dead_letters import DeadLetters, place
from posstream.domain.errors import UnreadableEvent

log = logging.getLogger(__name__)


def is_current(app: Any, message: Any) -> bool:
    """Whether a message is still ours; after a rebalance it comes again, maybe elsewhere."""
    return bool(message.generation_id == app.consumer_generation_id)


class OneByOne:
    """Takes the messages of one agent in turn; what cannot be read becomes a dead letter."""

    def __init__(self, app: Any, dead_letters: DeadLetters) -> None:
        self._app = app
        self._dead_letters = dead_letters

    def is_current(self, message: Any) -> bool:
        """Whether a message is still ours (see the function)."""
        return is_current(self._app, message)

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
            await self._dead_letters.hold_if_stopped()
            message = event.message
            try:
                try:
                    await handle(message)
                except UnreadableEvent as why:
                    if not await self._dead_letters.set_aside(message, why):
                        await self._dead_letters.hold_if_stopped()
            except Exception as why:  # one that escaped would ack the event
                log.critical("cannot go on at %s: %r", place(message), why, exc_info=why)
                await self._app.crash(why)
                return  # nothing behind it may be acknowledged
            if self.is_current(message):
                event.ack()
