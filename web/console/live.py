"""Sends the parts of open pages again when they change (event streams: HTML standard, 9.2).

The server renders the parts, as it did when the page was opened; the script puts them in place.
Every two seconds the figures are sampled, and then the parts are rendered and compared.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from aiohttp import web

from posstream.resilience.tasks import stop_task
from web.http.answers import error_answer
from web.http.streams import EventStream, OpenStreams

logger = logging.getLogger(__name__)

#: Seconds between two samples.
BEAT_SECONDS: Final = 2.0
#: Pages of one worker that are kept up to date; the others show what was when they were opened.
MAX_LIVE_PAGES: Final = 50
#: A part's id -> what makes its HTML.
Parts = Mapping[str, Callable[[], Awaitable[str]]]


class LivePages:
    """The open pages of one worker: a bounded number, all ended at once when the worker stops."""

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
                except (Exception, SystemExit):  # one plugin's figures must not stop another's
                    logger.exception("figures of the overview cannot be sampled")
            async with self._beaten:
                self._beaten.notify_all()

    async def stream(self, request: web.Request, parts: Parts) -> web.StreamResponse:
        """Send events `part` with `{"id", "html"}`.

        The stream ends when the page is closed, the session is over, or the worker stops.

        Args:
            request: what is answered.
            parts: what the page consists of; an empty one is not sent before it has a text.
        """
        if self._open >= MAX_LIVE_PAGES:
            return error_answer(503, "TOO_MANY_STREAMS", "try again later")
        self._open += 1
        try:
            return await self._streams.answer(request, partial(self._send, parts))
        finally:
            self._open -= 1

    async def _send(self, parts: Parts, events: EventStream) -> None:
        sent: dict[str, str] = {}
        await events.begin()
        while True:
            for name, render in parts.items():
                html = await render()
                if sent.get(name, "") != html:
                    sent[name] = html
                    await events.send("part", {"id": name, "html": html})
            async with self._beaten:
                await self._beaten.wait()
