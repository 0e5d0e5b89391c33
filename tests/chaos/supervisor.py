"""A supervisor as compose is one: it starts a worker again whenever that ends."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp

from tests.integration.harness import Worker

_LOOK_SECONDS = 0.5


class Supervisor:
    """Keeps one worker running, and listens to what it says of itself."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        #: How often the worker ended by itself and was started again.
        self.restarts = 0
        #: Why `/health/live` said no, and how often.
        self.not_live = Counter[str]()

    def __str__(self) -> str:
        restarts = f"{self.restarts} restart{'s' * (self.restarts != 1)}"
        said = (
            f'"{why}" for {times * _LOOK_SECONDS:.0f} s' for why, times in self.not_live.items()
        )
        return "; ".join((restarts, *said))

    async def watch(self) -> None:
        """Look after the worker until cancelled."""
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while True:
                if not self.worker.running:
                    self.restarts += 1
                    self.worker.start()
                await self._listen(http)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _listen(self, http: aiohttp.ClientSession) -> None:
        with contextlib.suppress(aiohttp.ClientConnectorError):  # it is not up yet, or no more
            try:
                async with http.get(f"{self.worker.url}/health/live") as response:
                    self.not_live.update((await response.json())["reasons"])
            except (TimeoutError, aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
                self.not_live["no answer"] += 1


@contextlib.asynccontextmanager
async def supervised(worker: Worker) -> AsyncIterator[Supervisor]:
    """Keep a worker, which was started, running while the block runs."""
    supervisor = Supervisor(worker)
    task = asyncio.ensure_future(supervisor.watch())
    try:
        yield supervisor
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
