"""Sets events aside that an agent of lists could not take."""

import asyncio
from typing import Any

from posstream.domain.errors import TakesNothingNow
from posstream.streaming.lists.lanes import Event


class RefusedEvents:
    """What becomes of them. One per agent.

    Args:
        app: the plugin's.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, event: Event, why: Exception) -> None:
        """Set an event aside, and finish it then; one that waits for its table stays unfinished."""
        if isinstance(why, TakesNothingNow):
            return
        task = asyncio.get_running_loop().create_task(self._set_aside(event, why))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _set_aside(self, event: Event, why: Exception) -> None:
        if await self._app.failures.is_set_aside(event, why):
            event.finish()
