"""Topics whose records are handed over in lists, as they were fetched, with no event for each.

For what is written in bulk, off the lookup path: on its way to an agent a record costs Faust
more than the database takes for its row.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from faust.types import TP

from posstream.streaming.progress import Progress

log = logging.getLogger(__name__)

#: Records at which a list is handed over at once, and nothing more is fetched until it is.
LIST: Final = 500
#: How long the first record of a shorter list waits for others.
LINGER_SECONDS: Final = 0.1

#: Takes a list, and returns when it is done for good; what it raises ends the worker.
TakesList = Callable[[Sequence[tuple[TP, Any]]], Awaitable[None]]


class ListPath:
    """The lists of one consumer. For one event loop.

    Args:
        app: whose `takes_list` takes the records of its `listed` topics.
        progress: counts what is finished.
    """

    def __init__(self, app: Any, progress: Progress) -> None:
        self._app = app
        self._progress = progress
        self._waiting: list[tuple[TP, Any]] = []
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def parked(self, tps: Iterable[TP]) -> set[TP]:
        """Those partitions of which nothing more should be fetched now."""
        if not self._full.is_set():
            return set()
        return {tp for tp in tps if tp.topic in self._app.listed}

    def take(
        self, fetched: Mapping[TP, Sequence[Any]], generation: int | None
    ) -> dict[TP, Sequence[Any]]:
        """Take what is for the lists.

        Args:
            fetched: records by partition.
            generation: see `BatchPath.take`.

        Returns:
            what is to go on to the agents.
        """
        is_live = generation == self._app.consumer_generation_id
        left: dict[TP, Sequence[Any]] = {}
        for tp, records in fetched.items():
            if tp.topic not in self._app.listed:
                left[tp] = records
            elif is_live:
                self._waiting += [(tp, record) for record in records]
        if self._waiting:
            self._some.set()
            if len(self._waiting) >= LIST:
                self._full.set()
            if self._writer is None:
                self._writer = asyncio.ensure_future(self._write())
        return left

    def clear(self) -> None:
        """Forget what waits: it is not committed, and comes again, maybe to another worker."""
        self._waiting = []
        self._some.clear()
        self._full.clear()

    async def stop(self) -> None:
        """Take no more, and wait until what is being taken has been given up."""
        self.clear()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        try:
            while True:
                await self._some.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LINGER_SECONDS):
                        await self._full.wait()
                waiting = self._waiting
                self.clear()
                generation = self._app.consumer_generation_id
                await self._app.takes_list(waiting)
                if generation == self._app.consumer_generation_id:
                    for tp, record in waiting:
                        self._progress.finish(tp, record.offset)
        except Exception as why:  # nothing watches this task but us
            log.critical("a list could not be taken: %r", why, exc_info=why)
            await self._app.crash(why)
