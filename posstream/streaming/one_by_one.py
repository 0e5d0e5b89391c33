"""Handles the messages of a rare topic one after the other, each acknowledged when it is done."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final

from posstream.domain.errors import UnreadableEvent
from posstream.plugins.event_failures import EventFailures

#: Dead letters that one agent writes at once: readable messages need not wait for each.
_MOST_ASIDE: Final = 200


def is_current(app: Any, message: Any) -> bool:
    """Whether a message is still this worker's; after a rebalance it comes again."""
    return bool(message.generation_id == app.consumer_generation_id)


class OneByOne:
    """Takes an agent's messages one after the other; those that fail become dead letters."""

    def __init__(self, app: Any, failures: EventFailures) -> None:
        self._app = app
        self._failures = failures
        self._aside: set[asyncio.Task[bool]] = set()

    async def consume(
        self, arriving: AsyncIterable[Any], handle: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Handle each message and acknowledge it; unreadable ones do not hold up the others.

        Args:
            arriving: events without acknowledgement.
            handle: returns when its message needs nothing more, or is not ours any more. It may
                raise UnreadableEvent; see `EventFailures` for every other exception.
        """
        async for event in arriving:
            if not await self._do(event, handle):
                return  # nothing behind it may be acknowledged
        if self._aside:
            await asyncio.wait(self._aside)

    async def _do(self, event: Any, handle: Callable[[Any], Awaitable[None]]) -> bool:
        """Handle a message; False if the plugin cannot go on."""
        try:
            await handle(event.message)
        except UnreadableEvent as why:
            while len(self._aside) >= _MOST_ASIDE:
                await asyncio.wait(self._aside, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.ensure_future(self._set_aside(event, why))
            self._aside.add(task)
            task.add_done_callback(self._aside.discard)
        except asyncio.CancelledError as why:
            agent = asyncio.current_task()
            if agent is None or agent.cancelling():
                raise  # the agent is stopped
            return await self._set_aside(event, why)
        except (Exception, SystemExit) as why:  # noqa: BLE001 - an escaped one acks the event
            return await self._set_aside(event, why)
        else:
            self._finish(event)
        return True

    async def _set_aside(self, event: Any, why: BaseException) -> bool:
        is_set_aside = await self._failures.is_set_aside(event.message, why)
        if is_set_aside:
            self._finish(event)
        return is_set_aside

    def _finish(self, event: Any) -> None:
        if is_current(self._app, event.message):
            event.ack()
