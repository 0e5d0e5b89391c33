"""The web port of a real worker, and hundreds of clients that misuse it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.harness import ForeignClient, Scan, Tally, Worker, foreign_client, produce
from tests.servers import ipv6
from tests.servers.needed import need

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENTS = 400
HUGE = b"GET /api/mock-customer-lookup/+1234567890/?body=huge HTTP/1.1\r\nHost: localhost\r\n\r\n"
MISUSES = {
    "nothing": b"",
    "half a header": b"GET / HTTP/1.1\r\nHost: local",
    "half a body": (
        b"POST /graphql/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\n\r\n{"
    ),
    "answers that are not read": HUGE * 10,
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small(servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    """A worker with room for 200 connections."""
    worker = Worker(
        servers,
        tmp_path_factory.mktemp("small"),
        api_query="?generate=1",
        web_connections=200,
        web_connections_by_address=200,
        projection="alone",
    )
    worker.start()
    await worker.ready()
    yield worker
    assert worker.stop() == 0, worker.log[-3000:]


@pytest_asyncio.fixture(loop_scope="session")
async def till(servers: str, small: Worker) -> AsyncIterator[ForeignClient]:
    async with foreign_client(servers) as client:
        yield client


async def answered(till: ForeignClient, count: int) -> set[str]:
    """The sources or reasons of so many new lookups."""
    tag = uuid.uuid4().hex[:6]
    scans = [Scan(str(uuid.uuid4()), f"b-{tag}-{n}", f"CARD_{tag}_{n}") for n in range(count)]
    answers = Tally(till)
    await produce(till, scans)
    return {str(a.get("reason") or a["source"]) for a in await answers.all_of(scans)}


@pytest.mark.parametrize("sent", MISUSES.values(), ids=MISUSES)
async def test_clients_that_misuse_the_port_stop_neither_lookups_nor_health(
    small: Worker, till: ForeignClient, sent: bytes
) -> None:
    opened = []
    try:
        for _ in range(CLIENTS):
            _, writer = await asyncio.open_connection("127.0.0.1", small.port, limit=1024)
            writer.write(sent)
            opened.append(writer)
        assert await answered(till, 20) == {"API"}
        async with aiohttp.ClientSession() as http, http.get(f"{small.url}/health/live") as live:
            assert live.status == 200
        assert await small.metric("posstream_web_connections") <= 200
        assert await small.metric("posstream_web_connections_ended_total", why="replaced") > 0
        assert "those that wait for their clients give way" in small.log
    finally:
        for writer in opened:
            writer.transport.abort()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_a_worker_on_ipv6_answers_with_its_own_mock(
    servers: str, tmp_path: Path, host: str
) -> None:
    need(ipv6)
    worker = Worker(servers, tmp_path, web_host=host, api_endpoint="", projection="alone")
    worker.url = f"http://[::1]:{worker.port}"
    worker.start()
    await worker.ready()
    found = await worker.graphql("{ pluginConfiguration { config } }")
    assert (
        f"{worker.url}/api/mock-customer-lookup/" in found["data"]["pluginConfiguration"]["config"]
    )
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{worker.url}/api/mock-customer-lookup/+1234567890/") as response,
    ):
        assert (await response.json())["customer_id"] == "CUST_001"
    assert worker.stop() == 0, worker.log[-3000:]
