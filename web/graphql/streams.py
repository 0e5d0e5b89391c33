"""The open streams of one worker: so many at most, and all of them ended when it stops.

aiohttp waits at a stop for whoever is still being answered, and a stream is answered for ever.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from aiohttp import web

from posstream.metrics import Metrics

#: WebSockets and event streams of one worker together.
MAX_STREAMS: Final = 1000
#: How long a client may take to read one message. It has the network's buffers, too.
SEND_SECONDS: Final = 10.0
#: How long streams may take to say goodbye at a stop.
_GOODBYE_SECONDS: Final = 2.0


class OpenStreams:
    """Runs each stream in a task of its own, so that a stop can end it whatever it waits for."""

    def __init__(self, metrics: Metrics, *, most: int = MAX_STREAMS) -> None:
        self._metrics = metrics
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def are_enough(self) -> bool:
        """Whether no more may begin."""
        return len(self._tasks) >= self._most

    async def run(self, stream: Coroutine[Any, Any, None], *, seconds: float | None = None) -> bool:
        """Run a stream to its end; False if the worker stops before, or the seconds are over."""
        task = asyncio.create_task(stream)
        self._tasks.add(task)
        self._metrics.streams.set(len(self._tasks))
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            task.cancel()
            self._tasks.discard(task)
            self._metrics.streams.set(len(self._tasks))
        if not task.done() or task.cancelled():
            return False
        task.result()
        return True

    def dropped(self) -> None:
        """Count a client that was cut off because it does not read."""
        self._metrics.streams_dropped.inc()

    async def end(self, _: web.Application) -> None:
        """Signal `on_shutdown`: end all streams at once."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GOODBYE_SECONDS)
