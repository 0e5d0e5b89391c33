"""The toy plugin comes as one folder, goes again, and comes back as an installed package."""

import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import aiokafka
import orjson
import pytest
import pytest_asyncio

from posstream.kafka.embedded_broker import EmbeddedBroker
from tests.integration.harness import (
    ForeignClient,
    Scan,
    Tally,
    Worker,
    environment,
    foreign_client,
    free_port,
    produce,
    until,
)
from tests.plugins.checkouts import TOY, copied_checkout, installed_package

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDENTIFIER = "+1234567890"
CUSTOMER = "CUST_001"


class Shop:
    """A broker and a data directory, and one worker of one checkout at a time on them."""

    def __init__(self, servers: str, folder: Path) -> None:
        self.servers = servers
        self.folder = folder
        self.database = folder / "data" / "posstream.sqlite3"

    @asynccontextmanager
    async def running(self, checkout: Path, **environ: str) -> AsyncIterator[Worker]:
        """A worker of a checkout while it is ready; it must end well."""
        worker = Worker(self.servers, self.folder / "data", cwd=checkout, environ=environ)
        worker.start()
        try:
            await worker.ready()
            yield worker
            assert worker.stop() == 0, worker.log[-3000:]
        finally:
            worker.kill()

    def run(
        self, checkout: Path, *arguments: str, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "posstream.cli", *arguments],
            cwd=checkout,
            env=environment(broker=f"kafka://{self.servers}", datadir=self.folder / "data")
            | environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    broker = EmbeddedBroker(free_port(), log_file=folder / "broker.log")
    broker.start()
    yield Shop(broker.address, folder)
    broker.stop()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_checkout(tmp_path_factory.mktemp("checkout"), TOY)


async def scanned(worker: Worker, client: ForeignClient) -> None:
    scan = Scan(str(uuid.uuid4()), f"basket-{uuid.uuid4().hex}", IDENTIFIER)
    await produce(client, [scan])
    (answer,) = await Tally(client).all_of([scan])
    assert answer["customer"]["customer_id"] == CUSTOMER


async def page(worker: Worker, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(headers={"Accept": "text/html"}) as http,
        http.get(f"{worker.url}{path}") as response,
    ):
        return response.status, await response.text()


def visits_of(worker: Worker) -> Callable[[], Awaitable[Any]]:
    async def ask() -> Any:
        answer = await worker.graphql(
            f'{{ toyVisits(customerId: "{CUSTOMER}") customer(customerId: "{CUSTOMER}") '
            "{ visits } }"
        )
        return answer.get("data")

    return ask


async def records(servers: str, topic: str) -> list[Any]:
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest"
    )
    async with consumer:
        found = await consumer.getmany(timeout_ms=10_000)
    return [record for batch in found.values() for record in batch]


async def test_one_folder_in_agents_is_a_whole_plugin(shop: Shop, checkout: Path) -> None:
    async with shop.running(checkout) as worker, foreign_client(shop.servers) as client:
        await scanned(worker, client)
        await until(visits_of(worker), {"toyVisits": 1, "customer": {"visits": 1}})
        (counted,) = await records(shop.servers, "toy-visit-counted")
        value = orjson.loads(counted.value)
        assert (value["customer_id"], value["visits"]) == (CUSTOMER, 1)
        assert await worker.metric("posstream_toy_visits_total") == 1
        status, text = await page(worker, "/visits")
        assert (status, "basket-" in text) == (200, True)
        assert 'href="/visits"' in (await page(worker, "/"))[1]
        await refuses_nonsense(worker)

        bad = b'{"lookup_id": "of no answer"}'
        await client.producer.send_and_wait("customer-data-fetched", bad, key=b"k")

        async def aside() -> list[bytes]:
            return [letter.value for letter in await records(shop.servers, "toy-visits.dlq")]

        await until(aside, [bad])


async def refuses_nonsense(worker: Worker) -> None:
    """Its configuration is edited as any other, and refuses what is out of range by name."""
    refused = await worker.graphql(
        'mutation { updatePluginConfiguration(name: "toy", config: "{\\"every\\": 0}") '
        "{ success error { code message } } }"
    )
    edit = refused["data"]["updatePluginConfiguration"]
    assert (edit["success"], edit["error"]["code"]) == (False, "INVALID_CONFIGURATION")
    assert "every" in edit["error"]["message"]


async def test_its_command_and_its_topics_are_listed(shop: Shop, checkout: Path) -> None:
    shown = shop.run(checkout, "visits")
    assert (shown.returncode, shown.stdout) == (0, "The toy counts the answers of each basket.\n")
    schema = shop.run(checkout, "schema")
    assert "toyVisits(" in schema.stdout


async def test_taken_away_it_leaves_its_rows_in_peace_and_comes_back_as_a_package(
    shop: Shop, tmp_path: Path
) -> None:
    plain = copied_checkout(tmp_path / "plain")
    async with shop.running(plain) as worker, foreign_client(shop.servers) as client:
        await scanned(worker, client)
        assert (await page(worker, "/visits"))[0] == 404
        assert "errors" in await worker.graphql(f'{{ toyVisits(customerId: "{CUSTOMER}") }}')

    site = installed_package(tmp_path / "site", TOY)
    async with shop.running(plain, PYTHONPATH=str(site)) as worker:
        # It goes on at its own offsets: the scan that it missed is counted too.
        await until(visits_of(worker), {"toyVisits": 2, "customer": {"visits": 2}})
        forgotten = shop.run(plain, "forget", IDENTIFIER, "--yes", PYTHONPATH=str(site))
        assert forgotten.returncode == 0, forgotten.stdout + forgotten.stderr

        async def left() -> Any:
            return (await worker.graphql(f'{{ toyVisits(customerId: "{CUSTOMER}") }}')).get("data")

        await until(left, {"toyVisits": 0})
