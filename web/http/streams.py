"""Open streams of one worker: a bounded number, and all of them ended when the worker stops.

At a stop, aiohttp waits for requests that are still being answered, and a stream never ends itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from posstream.metrics import Metrics
from web.access.guard import other_origin, session_seconds_left
from web.http.answers import error_answer, new_reference
from web.http.reading import MEDIA_STREAM

logger = logging.getLogger(__name__)

#: WebSockets and event streams of one worker together.
MAX_STREAMS: Final = 1000
#: How long a client may take to read one message; the network's buffers give it more time.
SEND_SECONDS: Final = 10.0
#: How long streams may take to say goodbye at a stop.
_GOODBYE_SECONDS: Final = 2.0
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: f"{MEDIA_STREAM}; charset=utf-8",
    # Nginx would keep the events until it has some kilobytes.
    "X-Accel-Buffering": "no",
}


class EventStream:
    """The answer of one request as server-sent events (HTML standard, 9.2)."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(headers=_HEADERS)

    async def begin(self) -> None:
        """Send the headers."""
        await self.response.prepare(self._request)

    async def send(self, name: str, document: Any) -> None:
        """Send one event with a JSON document as its data.

        Raises:
            TimeoutError: if the client does not read.
        """
        # JSON has no line breaks, so one `data` holds it.
        await self.write(f"event: {name}\ndata: ".encode() + orjson.dumps(document) + b"\n\n")

    async def write(self, data: bytes) -> None:
        """Send a line of the stream as it is.

        Raises:
            TimeoutError: if the client does not read.
        """
        async with asyncio.timeout(SEND_SECONDS):
            await self.response.write(data)

    def cut(self) -> None:
        """End the stream without a proper end, even if the client does not read."""
        if self._request.transport is not None:
            self._request.transport.abort()


class OpenStreams:
    """Runs each stream in a task of its own: a stop of the web server can end it at any time."""

    def __init__(self, metrics: Metrics, *, most: int = MAX_STREAMS) -> None:
        self._metrics = metrics
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()

    def refusal(self, request: web.Request) -> web.Response | None:
        """The answer to a request that may not open a stream; None if it may."""
        # A browser lets any page open a stream with our cookies. The page of another origin cannot
        # read an event stream, but could hold it open; it could read a WebSocket.
        refused = other_origin(request)
        if refused is None and len(self._tasks) >= self._most:
            return error_answer(503, "TOO_MANY_STREAMS", "try again later")
        return refused

    async def answer(
        self, request: web.Request, send: Callable[[EventStream], Awaitable[None]]
    ) -> web.StreamResponse:
        """Answer a request with an event stream.

        Args:
            request: what is answered.
            send: writes the events, and returns when no more will come.
        """
        refused = self.refusal(request)
        if refused is not None:
            return refused
        events = EventStream(request)
        ended = await self.run(self._send(events, send), seconds=session_seconds_left(request))
        if not events.response.prepared:
            return error_answer(503, "STOPPING", "the worker stops")
        if not ended:
            # Without a proper end, so that the client connects again.
            events.cut()
        return events.response

    async def _send(
        self, events: EventStream, send: Callable[[EventStream], Awaitable[None]]
    ) -> None:
        try:
            await send(events)
        except* TimeoutError:
            self.dropped()
            events.cut()
        except* ConnectionError:
            pass  # the client has gone
        except* Exception as group:
            if not events.response.prepared:
                raise
            reference = new_reference()
            logger.exception("an event stream failed, reference %s", reference, exc_info=group)
            events.cut()

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
