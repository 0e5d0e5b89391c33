"""Handles the messages of a rare topic one after the other, each acknowledged when it is done."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final

from posstream.dead_letters.setting_aside import DeadLetters
from posstream.domain.errors import UnreadableEvent
from posstream.streaming.failures import Fails, Failures

#: Dead letters that one agent writes at once: readable messages need not wait for each.
_MOST_ASIDE: Final = 200


def is_current(app: Any, message: Any) -> bool:
    """Whether a message is still ours; after a rebalance it comes again, maybe elsewhere."""
    return bool(message.generation_id == app.consumer_generation_id)


class OneByOne:
    """Handles the messages of one agent in their order; unreadable ones become dead letters.

    Args:
        app: whose messages they are.
        dead_letters: takes the unreadable ones.
        fails: see `Failures`.
    """

    def __init__(self, app: Any, dead_letters: DeadLetters, fails: Fails | None = None) -> None:
        self._app = app
        self._dead_letters = dead_letters
        self._failures = Failures(app, fails)
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
                raise UnreadableEvent; for any other error see `Failures`.
        """
        async for event in arriving:
            if not await self._do(event, handle):
                return  # nothing behind it may be acknowledged
        if self._aside:
            await asyncio.wait(self._aside)

    async def _do(self, event: Any, handle: Callable[[Any], Awaitable[None]]) -> bool:
        """Handle a message; False if nothing behind it may be acknowledged."""
        try:
            await handle(event.message)
        except UnreadableEvent as why:
            while len(self._aside) >= _MOST_ASIDE:
                await asyncio.wait(self._aside, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.ensure_future(self._set_aside(event, why))
            self._aside.add(task)
            task.add_done_callback(self._aside.discard)
        except Exception as why:  # noqa: BLE001 - one that escaped would ack the event
            if not await self._failures.take(event.message, why):
                return False
            self._finish(event)
        else:
            self._finish(event)
        return True

    async def _set_aside(self, event: Any, why: UnreadableEvent) -> None:
        try:
            await self._dead_letters.set_aside(event.message, why)
        except Exception as unforeseen:  # noqa: BLE001 - nobody awaits this task
            await self._failures.take(event.message, unforeseen)
        else:
            self._finish(event)

    def _finish(self, event: Any) -> None:
        if self.is_current(event.message):
            event.ack()
