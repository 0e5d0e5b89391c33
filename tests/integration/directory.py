"""A customer directory in the hands of a test: it counts, it can be slow, broken or silent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.integration.harness import free_port


@dataclass
class Directory:
    """Knows everyone but those with `unknown` in their identifier."""

    port: int = field(default_factory=free_port)
    #: HTTP status for known ones; 200 is a customer.
    status: int = 200
    delay_seconds: float = 0.0
    #: Answers wait for it; None: they do not.
    gate: asyncio.Event | None = None
    #: Customer ids of identifiers that are somebody's second one.
    owners: dict[str, str] = field(default_factory=dict)
    #: More of each customer's JSON, as in `,"points":10.10`.
    more: str = ""
    calls: list[str] = field(default_factory=list)
    traceparents: list[str | None] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    _runner: web.AppRunner | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/customers/"

    async def listen(self) -> None:
        """Take calls, at the same port every time."""
        application = web.Application()
        application.router.add_get("/customers/{identifier}/", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def die(self) -> None:
        """Refuse connections, until it listens again."""
        assert self._runner is not None
        if self.gate is not None:
            self.gate.set()
        await self._runner.cleanup()

    async def holds(self, count: int) -> None:
        """Wait until so many calls are in it at once."""
        async with asyncio.timeout(60):
            while True:
                if self.at_once >= count:
                    return
                await asyncio.sleep(0.05)

    async def was_called(self, identifier: str, *, times: int) -> None:
        """Wait until it was asked for an identifier so often."""
        async with asyncio.timeout(60):
            while True:
                if self.calls_of(identifier) >= times:
                    return
                await asyncio.sleep(0.05)

    def calls_of(self, identifier: str) -> int:
        return self.calls.count(identifier)

    async def _answer(self, request: web.Request) -> web.Response:
        identifier = request.match_info["identifier"]
        self.calls.append(identifier)
        self.traceparents.append(request.headers.get("traceparent"))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
        finally:
            self.at_once -= 1
        if "unknown" in identifier.lower():
            return web.json_response({"error": "not found"}, status=404)
        if self.status != 200:
            return web.json_response({"error": "out of order"}, status=self.status)
        owner = self.owners.get(identifier, f"C-{identifier}")
        text = json.dumps({"customer_id": owner, "tier": "GOLD"})[:-1] + self.more + "}"
        return web.json_response(text=text)


@asynccontextmanager
async def running_directory() -> AsyncIterator[Directory]:
    directory = Directory()
    await directory.listen()
    try:
        yield directory
    finally:
        await directory.die()
