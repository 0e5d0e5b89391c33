"""Parts of a page, sent again whenever they have changed (HTML standard, 9.2: event streams).

The server renders them, as it did when the page was opened; the script puts them in their place.
They are looked at every two seconds, with the figures that are sampled for them just before.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

import orjson
from aiohttp import hdrs, web

from posstream.resilience.tasks import stop_task
from web.access.guard import other_origin, session_seconds_left
from web.graphql.streams import SEND_SECONDS, OpenStreams
from web.http.headers import MEDIA_STREAM
from web.http.json_answer import error_answer

logger = logging.getLogger(__name__)

#: Between two looks.
BEAT_SECONDS: Final = 2.0
#: Pages of one worker that are kept up to date; the others show what was when they were opened.
MAX_LIVE_PAGES: Final = 50
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: f"{MEDIA_STREAM}; charset=utf-8",
    # Nginx would keep the events until it has some kilobytes.
    "X-Accel-Buffering": "no",
}

#: A part's id -> what makes its HTML.
Parts = Mapping[str, Callable[[], Awaitable[str]]]


class LivePages:
    """The open pages of one worker: so many at most, and ended at once when it stops."""

    def __init__(self, streams: OpenStreams, *, beat_seconds: float = BEAT_SECONDS) -> None:
        self._streams = streams
        self._open = 0
        self._beat_seconds = beat_seconds
        self._samplers: list[Callable[[], None]] = []
        self._beaten = asyncio.Condition()

    def each_beat(self, sample: Callable[[], None]) -> None:
        """Call `sample` before each look, for as long as the view is served."""
        self._samplers.append(sample)

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Signal `cleanup_ctx`: sample and look for as long as the view is served."""
        task = asyncio.create_task(self._beat())
        yield
        await stop_task(task)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds)
            for sample in self._samplers:
                try:
                    sample()
                except Exception:  # one plugin's figures must not stop another's
                    logger.exception("figures of the overview cannot be sampled")
            async with self._beaten:
                self._beaten.notify_all()

    async def stream(self, request: web.Request, parts: Parts) -> web.StreamResponse:
        """Send events `part` with `{"id", "html"}` until the page is closed.

        Or the session is over, or the worker stops.

        Args:
            request: what is answered.
            parts: what the page consists of; an empty one is not sent before it has a text.
        """
        # A GET with our cookies may come from any page; it cannot read it, but hold it open.
        refused = other_origin(request)
        if refused is not None:
            return refused
        if self._open >= MAX_LIVE_PAGES or self._streams.are_enough:
            return error_answer(503, "TOO_MANY_STREAMS", "try again later")
        response = web.StreamResponse(headers=_HEADERS)
        self._open += 1
        try:
            ended = await self._streams.run(
                self._send(request, response, parts),
                seconds=session_seconds_left(request),
            )
        finally:
            self._open -= 1
        if not response.prepared:
            return error_answer(503, "STOPPING", "the worker stops")
        if not ended and request.transport is not None:
            # Without a proper end: the browser is to come back.
            request.transport.abort()
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, parts: Parts) -> None:
        sent: dict[str, str] = {}
        try:
            await response.prepare(request)
            while True:
                for name, render in parts.items():
                    html = await render()
                    if sent.get(name, "") != html:
                        sent[name] = html
                        # JSON has no line breaks, so one `data` holds it.
                        data = orjson.dumps({"id": name, "html": html})
                        async with asyncio.timeout(SEND_SECONDS):
                            await response.write(b"event: part\ndata: " + data + b"\n\n")
                async with self._beaten:
                    await self._beaten.wait()
        except TimeoutError:
            self._streams.dropped()
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the page was closed
