"""Writes the worker's heartbeat, and follows those of all and what operators say to them."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from posstream.domain.errors import PosstreamError
from posstream.fleet.controls import Controls
from posstream.fleet.fleet import Fleet
from posstream.fleet.heartbeat import BEAT_SECONDS, Heartbeat, farewell, heartbeat_record
from posstream.kafka.reader import GrouplessReader
from posstream.kafka.record import Record
from posstream.kafka.security import Brokers
from posstream.kafka.topics import CONTROLS, WORKERS
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

#: How long a stop waits for the broker to take the farewell.
_FAREWELL_SECONDS: Final = 3.0


class Heart:
    """Beats for one worker from `open` to `close`.

    Args:
        servers: host:port of the brokers.
        fleet: gets the heartbeats of all workers.
        controls: gets what operators say.
        tell: says how this worker is.
        write: writes a record and waits for the broker; raises PosstreamError.
        beat_seconds: between two heartbeats.
    """

    def __init__(  # noqa: PLR0913 - the wiring names everything it gives
        self,
        servers: Brokers,
        fleet: Fleet,
        controls: Controls,
        *,
        tell: Callable[[], Heartbeat],
        write: Callable[[Record], Awaitable[object]],
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._reader = GrouplessReader(servers, WORKERS, CONTROLS)
        self._fleet = fleet
        self._controls = controls
        self._tell = tell
        self._write = write
        self._beat_seconds = beat_seconds
        self._fetch_wait_ms = 0
        self._beating: asyncio.Task[None] | None = None

    async def open(self, worker: str, *, fetch_wait_ms: int) -> None:
        """Beat and follow from now on; a broker that is away is waited for.

        Args:
            worker: the name of this worker.
            fetch_wait_ms: how long the broker may hold a fetch back.
        """
        self._fleet.here = self._controls.here = worker
        self._fetch_wait_ms = fetch_wait_ms
        self._reader.follow(self._follow, name=WORKERS)
        self._beating = asyncio.create_task(self._beat(), name="heartbeat")

    async def close(self, *, says_farewell: bool) -> None:
        """Stop beating. Idempotent.

        Args:
            says_farewell: whether the worker stops in order, so that nobody takes it for lost.
        """
        beating, self._beating = self._beating, None
        await stop_task(beating)
        await self._reader.close()
        if beating is not None and says_farewell:
            with contextlib.suppress(PosstreamError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._write(farewell(self._fleet.here))

    async def _beat(self) -> None:
        while True:
            try:
                await self._write(heartbeat_record(self._tell()))
            except PosstreamError as why:  # the watch of the brokers reports it
                log.debug("no heartbeat was written: %s", why)
            except Exception:  # nobody watches this task
                log.exception("no heartbeat could be made")
            await asyncio.sleep(self._beat_seconds)

    async def _follow(self) -> None:
        if not self._reader.is_connected:
            await self._reader.connect(fetch_wait_ms=self._fetch_wait_ms)
        for record in await self._reader.fetch():
            if record.topic == CONTROLS:
                self._controls.take(record.value)
            else:
                self._fleet.take(record.key, record.value, record.timestamp)
        self._fleet.look()
        self._controls.look()
