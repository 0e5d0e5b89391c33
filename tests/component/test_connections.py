"""The connections of the web view: clients that send nothing, or half, or do not read."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web as aiohttp_web

from posstream.metrics import Metrics
from posstream.resilience.clock import Clock
from web.http.connections import WAIT_SECONDS, ConnectionLimits, Connections, Wait
from web.server import WebServer

LONG = 3600.0
PATIENT = dict.fromkeys(Wait, LONG)
HALF_HEADER = b"GET / HTTP/1.1\r\nHost: local"
HALF_BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf"
#: More than the network keeps.
BIG = b"x" * 8_000_000


@dataclass
class Served:
    """A server, and its clients' sockets."""

    port: int
    metrics: Metrics
    began: asyncio.Event
    goes_on: asyncio.Event
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self, sent: bytes = b"", address: str = "127.0.0.1") -> asyncio.StreamReader:
        """A raw connection that has sent this."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        raw.bind((address, 0))
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
        self.opened.append(writer)
        if sent:
            writer.write(sent)
            await writer.drain()
        return reader

    async def get(self) -> int:
        """The status of a request on a connection of its own."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}/") as response,
        ):
            await response.read()
            return response.status

    async def until_ended(self, why: str, number: int) -> None:
        """Wait until so many connections were ended for this reason."""
        async with asyncio.timeout(20):
            while self.ended(why) < number:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.01)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"posstream_{name}", labels) or 0

    def ended(self, why: str) -> float:
        return self.value("web_connections_ended_total", why=why)


@contextlib.asynccontextmanager
async def served(**limits: object) -> AsyncIterator[Served]:
    """A server with these limits, at `/`, `/wait` and `/big`."""
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def answer(request: aiohttp_web.Request) -> aiohttp_web.Response:
        await request.read()
        return aiohttp_web.Response(text="answered")

    async def wait(_: aiohttp_web.Request) -> aiohttp_web.Response:
        began.set()
        await goes_on.wait()
        return aiohttp_web.Response(text="waited")

    async def big(_: aiohttp_web.Request) -> aiohttp_web.Response:
        return aiohttp_web.Response(body=BIG)

    application = aiohttp_web.Application()
    application.add_routes(
        [
            aiohttp_web.get("/", answer),
            aiohttp_web.post("/", answer),
            aiohttp_web.get("/wait", wait),
            aiohttp_web.get("/big", big),
        ]
    )
    metrics = Metrics()
    chosen = ConnectionLimits(
        **{"wait_seconds": PATIENT, "first_request_seconds": LONG, **limits}  # type: ignore[arg-type]
    )
    connections = Connections(metrics, Clock(), chosen)
    server = WebServer(application, host="127.0.0.1", port=0, connections=connections)
    await server.start()
    made = Served(server.port, metrics, began, goes_on)
    try:
        yield made
    finally:
        for writer in made.opened:
            writer.transport.abort()
        goes_on.set()
        await server.stop()


async def test_new_connections_take_the_place_of_those_that_send_nothing() -> None:
    async with served(in_all=20, by_address=20) as web:
        for _ in range(60):
            await web.open()
        assert await web.get() == 200
        assert web.value("web.http.connections") <= 20
        assert web.ended("replaced") >= 41


@pytest.mark.parametrize("sent", [HALF_HEADER, HALF_BODY, b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_new_connections_take_the_place_of_those_whose_clients_are_waited_for(
    sent: bytes,
) -> None:
    async with served(in_all=20, by_address=20) as web:
        for _ in range(40):
            await web.open(sent)
        assert await web.get() == 200


async def test_a_request_that_is_being_answered_gives_way_to_none() -> None:
    async with served(in_all=2, by_address=2) as web:
        first = await web.open(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await web.began.wait()
        for _ in range(10):
            await web.open()
        web.goes_on.set()
        assert (await first.read()).endswith(b"waited")


async def test_without_any_that_waits_more_are_refused_and_told_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(in_all=1, by_address=1) as web:
        await web.open(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        await web.began.wait()
        with caplog.at_level(logging.WARNING):
            answer = await (await web.open()).read()
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b'"code":"SERVICE_UNAVAILABLE"' in answer
        assert b"Retry-After: 10\r\n" in answer
        assert web.ended("refused") == 1
        assert "the web view has 1 connections" in caplog.text


async def test_a_flood_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with served(in_all=4, by_address=4) as web:
        with caplog.at_level(logging.WARNING):
            for _ in range(40):
                await web.open()
            await web.get()
        assert len([r for r in caplog.records if r.name == "web.http.connections"]) == 1


async def test_one_address_takes_no_place_of_another() -> None:
    async with served(in_all=10, by_address=5) as web:
        other = await web.open(address="127.0.0.2")
        for _ in range(20):
            await web.open(address="127.0.0.3")
        web.opened[0].write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await other.read()).endswith(b"answered")


async def test_addresses_of_one_ipv6_network_are_counted_together() -> None:
    connections = Connections(Metrics(), Clock(), ConnectionLimits(in_all=9, by_address=1))
    assert connections.admit(Silent("2001:db8::1"))
    assert not connections.admit(Silent("2001:db8::2:3"))
    assert connections.admit(Silent("2001:db8:0:1::2"))
    assert connections.admit(Silent("127.0.0.1"))
    assert not connections.admit(Silent("::ffff:127.0.0.1"))


class Silent:
    """A connection that waits for nothing."""

    unread_bytes = 0

    def __init__(self, address: str) -> None:
        self.address = address

    def waiting(self) -> None:
        return None

    def end(self, wait: Wait) -> None:
        raise AssertionError(wait)


async def test_a_client_that_sends_nothing_is_left() -> None:
    async with served(first_request_seconds=0.05, look_seconds=0.01) as web:
        assert await (await web.open()).read() == b""
        assert web.ended("no_request") == 1


async def test_a_client_that_asks_nothing_more_is_left() -> None:
    async with served(wait_seconds={**PATIENT, Wait.REQUEST: 0.05}, look_seconds=0.01) as web:
        answer = await (await web.open(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).read()
        assert answer.endswith(b"answered")
        assert web.ended("no_request") == 1


@pytest.mark.parametrize(("wait", "sent"), [(Wait.HEADER, HALF_HEADER), (Wait.BODY, HALF_BODY)])
async def test_half_of_a_request_is_answered_408(
    wait: Wait, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(wait_seconds={**PATIENT, wait: 0.05}, look_seconds=0.01) as web:
        answer = await (await web.open(sent)).read()
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert answer.endswith(b'"message":"the request did not come in time"}}')
        assert web.ended(wait.value) == 1
    assert "Traceback" not in caplog.text


async def test_a_header_in_pieces_is_timed_from_its_first_piece() -> None:
    async with served(wait_seconds={**PATIENT, Wait.HEADER: 0.2}, look_seconds=0.01) as web:
        reader = await web.open(HALF_HEADER)
        task = asyncio.create_task(reader.read())
        while not task.done():
            web.opened[0].write(b"x")
            await asyncio.sleep(0.01)
        assert web.ended("half_header") == 1


async def test_a_client_that_does_not_read_is_left() -> None:
    async with served(wait_seconds={**PATIENT, Wait.READER: 0.05}, look_seconds=0.01) as web:
        reader = await web.open(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await web.until_ended("not_read", 1)
        got = 0
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                got += len(piece)
        assert got < len(BIG)


async def test_what_waits_in_memory_to_be_read_is_bounded() -> None:
    async with served(unread_bytes=12_000_000) as web:
        for _ in range(6):
            await web.open(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await web.until_ended("not_read", 4)
        assert await web.get() == 200


async def test_the_open_files_of_the_process_bound_the_connections(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connections = Connections(Metrics(), Clock())
    with caplog.at_level(logging.WARNING):
        connections.start(1024)
    connections.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "the web view takes 256 connections, not 2000: the process may open 1024 files"
    ]


def test_every_wait_has_an_end() -> None:
    assert set(Wait) == set(WAIT_SECONDS)
