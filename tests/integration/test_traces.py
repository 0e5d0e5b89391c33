"""One event through all processes of a worker, as a collector of traces sees it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest
import pytest_asyncio
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agents.customer_lookup import topics
from posstream.kafka.embedded_broker import EmbeddedBroker
from tests.integration.collector import Collector, running_collector
from tests.integration.directory import Directory, running_directory
from tests.integration.harness import ForeignClient, Scan, Worker, foreign_client, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "an-operators-key-0001"
TILL = "a1b2c3d4e5f6a7b8"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with running_collector() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory() -> AsyncIterator[Directory]:
    async with running_directory() as directory:
        yield directory


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(
    collector: Collector, directory: Directory, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    datadir: Path = tmp_path_factory.mktemp("traces")
    broker = EmbeddedBroker(free_port(), log_file=datadir / "broker.log")
    broker.start()
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    worker = Worker(
        broker.address, datadir, api_endpoint=directory.endpoint, api_key=KEY, environ=environ
    )
    worker.start()
    try:
        await worker.ready()
        yield worker
        assert worker.stop() == 0, worker.log[-3000:]
    finally:
        worker.kill()
        broker.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def client(worker: Worker) -> AsyncIterator[ForeignClient]:
    async with foreign_client(worker.servers) as client:
        yield client


async def scan(client: ForeignClient, scan: Scan, context: str) -> str | None:
    """Scan within a trace context; returns that of the answer."""
    await client.producer.send_and_wait(
        topics.CUSTOMER_IDENTIFIED,
        scan.value,
        key=scan.identifier.encode(),
        headers=[("traceparent", context.encode())],
    )
    fetched = topics.CUSTOMER_DATA_FETCHED
    await client.read_until(lambda seen: scan.lookup_id in seen.counts("lookup_id", fetched))
    record = next(
        it
        for it in client.seen.records
        if it.topic == fetched and orjson.loads(it.value)["lookup_id"] == scan.lookup_id
    )
    found = dict(record.headers).get("traceparent")
    return None if found is None else found.decode()


def only(spans: list[tuple[str, Span]], name: str) -> tuple[str, Span]:
    (found,) = [(process, span) for process, span in spans if span.name == name]
    return found


async def test_one_trace_goes_from_the_till_to_the_read_model(
    worker: Worker, client: ForeignClient, collector: Collector, directory: Directory
) -> None:
    trace = "a" * 31 + "1"
    answered = await scan(
        client, Scan("traced-1", "basket-1", "+14155550101"), f"00-{trace}-{TILL}-01"
    )
    awaited = {"process customer-identified", "lookup", "GET customer", "project customer_lookup"}
    await collector.until(lambda: awaited <= collector.names(trace))

    spans = collector.of(trace)
    process, taken = only(spans, "process customer-identified")
    assert (process, taken.parent_span_id.hex()) == ("worker", TILL)
    process, lookup = only(spans, "lookup")
    assert (process, lookup.parent_span_id.hex()) == ("worker", TILL)
    _, attempt = only(spans, "GET customer")
    assert attempt.parent_span_id == lookup.span_id
    # The directory's own spans belong below the attempt, those of the answer below the lookup.
    assert directory.traceparents[-1] == f"00-{trace}-{attempt.span_id.hex()}-01"
    assert answered == f"00-{trace}-{lookup.span_id.hex()}-01"
    process, projected = only(spans, "project customer_lookup")
    assert (process, projected.parent_span_id) == ("projections", lookup.span_id)


async def test_a_hit_is_in_the_span_of_its_list_and_hands_on_what_it_got(
    client: ForeignClient, collector: Collector
) -> None:
    warm, trace = "b" * 31 + "1", "b" * 31 + "2"
    await scan(client, Scan("warm-2", "basket-2", "+14155550102"), f"00-{warm}-{TILL}-01")
    context = f"00-{trace}-{TILL}-01"
    answered = await scan(client, Scan("traced-2", "basket-3", "+14155550102"), context)
    assert answered == context
    await collector.until(lambda: "project customer_lookup" in collector.names(trace))
    _, taken = only(collector.of(trace), "process customer-identified")
    assert taken.parent_span_id.hex() == TILL
    assert "lookup" not in collector.names(trace)


async def test_the_trace_of_a_request_goes_on_with_its_event(
    worker: Worker, collector: Collector
) -> None:
    trace = "c" * 31 + "1"
    query = (
        'mutation { identifyCustomer(basketId: "basket-4", customerIdentifier: "+14155550104")'
        " { success } }"
    )
    headers = {"Authorization": f"Bearer {KEY}", "traceparent": f"00-{trace}-{TILL}-01"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{worker.url}/graphql/", json={"query": query}) as response,
    ):
        assert (await response.json())["data"]["identifyCustomer"]["success"]
    await collector.until(lambda: "lookup" in collector.names(trace))
    _, asked = only(collector.of(trace), "GraphQL mutation")
    _, lookup = only(collector.of(trace), "lookup")
    assert asked.parent_span_id.hex() == TILL
    assert lookup.parent_span_id == asked.span_id


async def test_a_till_that_does_not_record_is_not_recorded(
    worker: Worker, client: ForeignClient, collector: Collector
) -> None:
    trace = "d" * 31 + "1"
    context = f"00-{trace}-{TILL}-00"
    assert await scan(client, Scan("silent", "basket-5", "+14155550105"), context) == context
    # Its neighbour is recorded, and comes later.
    last = "d" * 31 + "2"
    await scan(client, Scan("after", "basket-5", "+14155550106"), f"00-{last}-{TILL}-01")
    await collector.until(lambda: "project customer_lookup" in collector.names(last))
    assert not collector.of(trace)


async def test_no_customer_and_no_key_is_in_a_span(
    worker: Worker, client: ForeignClient, collector: Collector
) -> None:
    trace = "e" * 31 + "1"
    await scan(client, Scan("private", "basket-6", "jane.doe@example.com"), f"00-{trace}-{TILL}-01")
    await collector.until(lambda: "project customer_lookup" in collector.names(trace))
    for text in (b"+1415555", b"415555", b"jane", b"example.com", b"C-", KEY.encode(), b"basket-"):
        assert text not in collector.sent
