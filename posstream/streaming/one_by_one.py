"""How the agents of rare events work: one message after the other, acknowledged when done."""

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final

from posstream.dead_letters.setting_aside import DeadLetters, place
from posstream.domain.errors import UnreadableEvent

log = logging.getLogger(__name__)

#: Dead letters that one agent writes at once: readable messages need not wait for each.
_MOST_ASIDE: Final = 200


def is_current(app: Any, message: Any) -> bool:
    """Whether a message is still ours; after a rebalance it comes again, maybe elsewhere."""
    return bool(message.generation_id == app.consumer_generation_id)


class OneByOne:
    """Takes the messages of one agent in turn; what cannot be read becomes a dead letter."""

    def __init__(self, app: Any, dead_letters: DeadLetters) -> None:
        self._app = app
        self._dead_letters = dead_letters
        self._aside: set[asyncio.Task[None]] = set()

    def is_current(self, message: Any) -> bool:
        """Whether a message is still ours (see the function)."""
        return is_current(self._app, message)

    async def consume(
        self, arriving: AsyncIterable[Any], handle: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Handle each message and acknowledge it; unreadable ones do not hold up the others.

        Args:
            arriving: events without acknowledgement.
            handle: returns when its message needs nothing more, or is not ours any more. It may
                raise UnreadableEvent; whatever else it raises crashes the worker, the message
                unacknowledged.
        """
        async for event in arriving:
            if not await self._do(event, handle):
                return  # nothing behind it may be acknowledged
        if self._aside:
            await asyncio.wait(self._aside)

    async def _do(self, event: Any, handle: Callable[[Any], Awaitable[None]]) -> bool:
        """Handle a message; False if the worker cannot go on."""
        try:
            await handle(event.message)
        except UnreadableEvent as why:
            while len(self._aside) >= _MOST_ASIDE:
                await asyncio.wait(self._aside, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.ensure_future(self._set_aside(event, why))
            self._aside.add(task)
            task.add_done_callback(self._aside.discard)
        except Exception as why:  # noqa: BLE001 - one that escaped would ack the event
            await self._crash(event.message, why)
            return False
        else:
            self._finish(event)
        return True

    async def _set_aside(self, event: Any, why: UnreadableEvent) -> None:
        try:
            await self._dead_letters.set_aside(event.message, why)
        except Exception as unforeseen:  # noqa: BLE001 - nobody awaits this task
            await self._crash(event.message, unforeseen)
        else:
            self._finish(event)

    def _finish(self, event: Any) -> None:
        if self.is_current(event.message):
            event.ack()

    async def _crash(self, message: Any, why: Exception) -> None:
        log.critical("cannot go on at %s: %r", place(message), why, exc_info=why)
        await self._app.crash(why)
