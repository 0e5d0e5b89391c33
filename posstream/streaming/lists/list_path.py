"""Topics whose records are handed over in lists, as they were fetched, with no event for each.

For what is written in bulk, off the lookup path: on its way to an agent a record costs Faust
more than the database takes for its row.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from faust.types import TP

from posstream.streaming.lists.progress import Progress

log = logging.getLogger(__name__)

#: Records that make a full list.
LIST: Final = 500
#: How long the first record of a shorter list waits for others.
LINGER_SECONDS: Final = 0.1
#: Records of a list while there are lookups: they wait for as long as it takes to write one.
SHORT_LIST: Final = 100
#: While lookups are behind, one such list is taken in so many seconds.
SHARE_SECONDS: Final = 0.5
#: Lookups are behind if one fetch brings this many, or if this many wait for a call.
BEHIND: Final = 250

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
        self._taken_at = 0.0
        self._stops = False
        #: How many lookups the last fetch brought, and how many wait: they come first.
        self._lookups = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be fetched now."""
        return self._full.is_set()

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
        self._lookups = max((it.queued for it in self._app.answering.values()), default=0)
        for tp, records in fetched.items():
            if tp.topic in self._app.answering:
                self._lookups += len(records)
            if tp.topic not in self._app.listed:
                left[tp] = records
            elif is_live:
                self._keep([*self._waiting, *((tp, record) for record in records)])
        if self._waiting and self._writer is None:
            self._writer = asyncio.ensure_future(self._write())
        return left

    def clear(self) -> None:
        """Forget what waits: it is not committed, and comes again, maybe to another worker."""
        self._keep([])

    def _keep(self, waiting: list[tuple[TP, Any]]) -> None:
        self._waiting = waiting
        for event, least in ((self._some, 1), (self._full, LIST)):
            if len(waiting) >= least:
                event.set()
            else:
                event.clear()

    async def stop(self) -> None:
        """Take no more, and wait until what is being taken has been given up."""
        self._stops = True
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
                if self._lookups >= BEHIND:
                    await asyncio.sleep(self._taken_at + SHARE_SECONDS - time.monotonic())
                most = SHORT_LIST if self._lookups else LIST
                taken = self._waiting[:most]
                self._keep(self._waiting[most:])
                if not taken:  # forgotten meanwhile
                    continue
                generation = self._app.consumer_generation_id
                self._taken_at = time.monotonic()
                await self._app.takes_list(taken)
                if generation == self._app.consumer_generation_id:
                    for tp, record in taken:
                        self._progress.finish(tp, record.offset)
        except BaseException as why:  # nothing watches this task but us
            if self._stops:
                raise
            # Even a cancellation, that a database's driver let through: nothing would be taken.
            log.critical("a list could not be taken: %r", why, exc_info=why)
            await self._app.crash(why)
