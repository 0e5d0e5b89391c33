"""Subscriptions on a real worker: answers arrive on both transports, and streams end with it."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from agents.customer_lookup import topics
from tests.integration.harness import ForeignClient, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUERY = (
    "subscription ($basket: ID) { customerAnswered(basketId: $basket) "
    "{ eventId basketId source reason customer { firstName tier } } }"
)
STOP_SECONDS = 10
SAMPLES = 40


@asynccontextmanager
async def socket_to(worker: Worker, basket: str | None) -> AsyncIterator[Any]:
    """A WebSocket whose subscription stands: the pong comes behind it."""
    url = f"{worker.url}/graphql/"
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, protocols=("graphql-transport-ws",)) as socket,
    ):
        await socket.send_json({"type": "connection_init"})
        payload = {"query": QUERY, "variables": {"basket": basket}}
        await socket.send_json({"type": "subscribe", "id": "1", "payload": payload})
        await socket.send_json({"type": "ping"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        assert (await socket.receive_json())["type"] == "pong"
        yield socket


@asynccontextmanager
async def stream_from(worker: Worker, basket: str | None) -> AsyncIterator[aiohttp.ClientResponse]:
    """An event stream whose subscription stands: the headers come behind it."""
    body = {"query": QUERY, "variables": {"basket": basket}}
    headers = {"Accept": "text/event-stream"}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http,
        http.post(f"{worker.url}/graphql/", json=body, headers=headers) as response,
    ):
        assert response.content_type == "text/event-stream"
        yield response


async def from_socket(socket: Any) -> dict[str, Any]:
    async with asyncio.timeout(20):
        answer: dict[str, Any] = (await socket.receive_json())["payload"]["data"]
        return dict(answer["customerAnswered"])


async def from_stream(response: aiohttp.ClientResponse) -> dict[str, Any]:
    async with asyncio.timeout(20):
        async for line in response.content:
            if line.startswith(b"data: {"):
                return dict(orjson.loads(line[6:])["data"]["customerAnswered"])
    raise AssertionError("the stream has ended")


async def identify(worker: Worker, basket: str, identifier: str) -> None:
    query = (
        "mutation ($b: String!, $i: String!) "
        "{ identifyCustomer(basketId: $b, customerIdentifier: $i) { success } }"
    )
    answer = await worker.graphql(query, b=basket, i=identifier)
    assert answer == {"data": {"identifyCustomer": {"success": True}}}


def a_basket() -> str:
    return f"basket_{uuid.uuid4().hex[:12]}"


async def test_a_till_sees_the_answer_for_its_basket_on_both_transports(worker: Worker) -> None:
    basket = a_basket()
    async with socket_to(worker, basket) as socket, stream_from(worker, basket) as stream:
        await identify(worker, a_basket(), "john@example.com")
        await identify(worker, basket, "+1234567890")
        answers = [await from_socket(socket), await from_stream(stream)]
    assert answers[0] == answers[1]
    assert answers[0].pop("eventId")
    assert answers[0].pop("source") in {"API", "CACHE"}
    assert answers[0] == {
        "basketId": basket,
        "reason": None,
        "customer": {"firstName": "John", "tier": "GOLD"},
    }


async def test_a_failed_lookup_is_seen_too(client: ForeignClient, worker: Worker) -> None:
    basket = a_basket()
    scan = {"basket_id": basket, "customer_identifier": "4111 1111 1111 1111"}
    async with socket_to(worker, basket) as socket:
        await client.producer.send_and_wait(topics.CUSTOMER_IDENTIFIED, orjson.dumps(scan))
        answer = await from_socket(socket)
    assert (answer["reason"], answer["customer"]) == ("INVALID_IDENTIFIER", None)


async def test_the_time_from_publishing_to_a_subscriber(
    client: ForeignClient, worker: Worker, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A figure, not a judgement: machines are shared and noisy."""
    waits: dict[str, list[float]] = {"WebSocket": [], "event stream": []}
    async with socket_to(worker, None) as socket, stream_from(worker, None) as stream:

        async def measure(name: str, receive: Any, source: Any, wanted: set[str]) -> None:
            while wanted:
                event_id = (await receive(source))["eventId"]
                if event_id in wanted:
                    wanted.discard(event_id)
                    waits[name].append(time.time() * 1000 - sent_at_ms[event_id])

        sent_at_ms: dict[str, float] = {}
        for _ in range(SAMPLES):
            event_id = str(uuid.uuid4())
            value = {"event_id": event_id, "basket_id": event_id, "lookup_id": event_id}
            value |= {"customer_identifier": "+1234567890", "source": "CACHE"}
            record = await client.producer.send_and_wait(
                topics.CUSTOMER_DATA_FETCHED, orjson.dumps(value), key=event_id.encode()
            )
            sent_at_ms[event_id] = record.timestamp
            await asyncio.gather(
                measure("WebSocket", from_socket, socket, {event_id}),
                measure("event stream", from_stream, stream, {event_id}),
            )
    with capsys.disabled():
        for name, found in waits.items():
            found.sort()
            p50, worst = found[len(found) // 2], found[-1]
            record_property(f"{name}, ms", f"p50 {p50:.0f}, worst {worst:.0f}")
            print(f"\n{name}: p50 {p50:.0f} ms, worst {worst:.0f} ms of {len(found)}")  # noqa: T201
    assert {name: len(found) for name, found in waits.items()} == dict.fromkeys(waits, SAMPLES)


async def test_any_worker_serves_any_basket_and_a_stop_ends_open_streams_at_once(
    servers: str, worker: Worker, tmp_path: Path
) -> None:
    another = Worker(servers, tmp_path / "another")
    another.start()
    try:
        await another.ready()
        basket = a_basket()
        async with socket_to(another, basket) as socket, stream_from(another, basket) as stream:
            await identify(worker, basket, "+1234567890")
            assert (await from_socket(socket))["basketId"] == basket
            assert (await from_stream(stream))["basketId"] == basket

            began = time.monotonic()
            assert await asyncio.to_thread(another.stop, STOP_SECONDS) == 0
            took = time.monotonic() - began
            message = await socket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            with pytest.raises(aiohttp.ClientPayloadError):
                await stream.content.read()
        assert took < STOP_SECONDS
    finally:
        if another.running:
            another.kill()
