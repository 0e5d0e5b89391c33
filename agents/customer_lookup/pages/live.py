"""Parts of a page, sent again whenever they have changed (HTML standard, 9.2: event streams).

The server renders them, as it did when the page was opened; the script puts them in their place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import orjson
from aiohttp import hdrs, web

from web.access import other_origin, session_seconds_left
from web.graphql.streams import SEND_SECONDS, OpenStreams
from web.headers import MEDIA_STREAM
from web.json_answer import error_answer

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

    def __init__(self, streams: OpenStreams) -> None:
        self._streams = streams
        self._open = 0

    async def stream(
        self, request: web.Request, parts: Parts, changed: Callable[[], Awaitable[None]]
    ) -> web.StreamResponse:
        """Send events `part` with `{"id", "html"}` until the page is closed.

        Or the session is over, or the worker stops.

        Args:
            request: what is answered.
            parts: what the page consists of.
            changed: waits until it is worth while to look again.
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
                self._send(request, response, parts, changed),
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

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        parts: Parts,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        sent: dict[str, str] = {}
        try:
            await response.prepare(request)
            while True:
                for name, render in parts.items():
                    html = await render()
                    if sent.get(name) != html:
                        sent[name] = html
                        # JSON has no line breaks, so one `data` holds it.
                        data = orjson.dumps({"id": name, "html": html})
                        async with asyncio.timeout(SEND_SECONDS):
                            await response.write(b"event: part\ndata: " + data + b"\n\n")
                await changed()
        except TimeoutError:
            self._streams.dropped()
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the page was closed
