"""The agent that carries outgoing events into the read model, in batches.

Off the lookup path: a slow database delays the view, never a till. A batch that fails is tried
again for as long as it takes; Faust stops fetching these topics meanwhile. What the database would
refuse for ever is no such failure: the projection itself skips it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, Sequence
from typing import Any, Final

import orjson

from agents.dead_letters import place
from agents.one_by_one import is_current
from posstream.ports import ProjectedEvent, Projection
from posstream.resilience.retry import growing_pauses
from posstream.topics import PROJECTED

log = logging.getLogger(__name__)

#: Rows of one transaction, and how long the first one waits for the others.
BATCH: Final = 500
LINGER_SECONDS: Final = 0.1


class ProjectionAgent:
    """Consumes `topics.PROJECTED`. One per app."""

    def __init__(self, app: Any, *, projection: Projection) -> None:
        self._app = app
        self._projection = projection
        source = app.raw_topic(*PROJECTED)
        self.actor = app.agent(source, name="agents.projection")(self._consume)

    async def _consume(self, stream: Any) -> None:
        await self.consume(stream.noack().events())

    async def consume(self, arriving: AsyncIterable[Any]) -> None:
        """Read ahead by one batch at most while the one before it is written."""
        waiting: asyncio.Queue[Any] = asyncio.Queue(maxsize=BATCH)
        writer = asyncio.ensure_future(self._write(waiting))
        try:
            async for event in arriving:
                await waiting.put(event)
        finally:
            writer.cancel()
            # Until its transaction is rolled back: the database is closed next.
            await asyncio.wait([writer])

    async def _write(self, waiting: "asyncio.Queue[Any]") -> None:
        try:
            while True:
                await self.project(await _batch(waiting))
        except Exception as why:  # noqa: BLE001 - nothing watches this task but us
            await self._app.crash(why)

    async def project(self, batch: list[Any]) -> None:
        """Write a batch and acknowledge it; returns only when it is written."""
        read = [projected(event.message) for event in batch]
        await self._apply([event for event in read if event is not None])
        for event in batch:
            # An event of an older generation comes again, and is projected to the same rows.
            if is_current(self._app, event.message):
                event.ack()

    async def _apply(self, events: Sequence[ProjectedEvent]) -> None:
        for pause in growing_pauses():
            try:
                await self._projection.apply(events)
            except Exception as why:
                log.warning(
                    "the read model did not take %d events (%s); again in %g s",
                    len(events),
                    type(why).__name__,
                    pause,
                    exc_info=log.isEnabledFor(logging.DEBUG),
                )
                await asyncio.sleep(pause)
            else:
                return


async def _batch(waiting: "asyncio.Queue[Any]") -> list[Any]:
    """At least one event, and those that follow within `LINGER_SECONDS`."""
    batch = [await waiting.get()]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while len(batch) < BATCH:
                batch.append(await waiting.get())
    return batch


def projected(message: Any) -> ProjectedEvent | None:
    """What the projection needs of a record; None, and a line in the log, if it is no object."""
    try:
        value = orjson.loads(message.value or b"")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        log.warning("not projected: %s is no JSON object", place(message))
        return None
    return ProjectedEvent(message.topic, value, place(message))
