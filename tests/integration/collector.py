"""A collector of traces in the hands of a test: OTLP over HTTP, as protobuf."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.integration.harness import free_port


@dataclass
class Collector:
    """Keeps every span that it gets, with the process that sent it."""

    port: int = field(default_factory=free_port)
    spans: list[tuple[str, Span]] = field(default_factory=list)
    #: All that was sent, as it came.
    sent: bytes = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, trace_id: str) -> list[tuple[str, Span]]:
        return [(process, it) for process, it in self.spans if it.trace_id.hex() == trace_id]

    def names(self, trace_id: str) -> set[str]:
        return {span.name for _, span in self.of(trace_id)}

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not done():  # noqa: ASYNC110 - spans come over HTTP
                await asyncio.sleep(0.1)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.sent += body
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {it.key: it.value.string_value for it in of_resource.resource.attributes}
            assert about["service.name"] == "posstream"
            self.spans += [
                (about["posstream.process"], span)
                for scope in of_resource.scope_spans
                for span in scope.spans
            ]
        return web.Response()


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    collector = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", collector._take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", collector.port).start()
    try:
        yield collector
    finally:
        await runner.cleanup()
