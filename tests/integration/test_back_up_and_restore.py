"""The losses of `docs/how-to/back-up-and-restore.md`, each played with the page's own commands.

On the embedded broker with SQLite, and on Apache Kafka with PostgreSQL.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from tests.integration.harness import Scan, Tally, Worker, foreign_client, produce, until
from tests.servers import kafka, postgres
from tests.servers.needed import need

PAGE = Path(__file__).parents[2] / "docs/how-to/back-up-and-restore.md"
PHONE, CARD = "+1234567890", "CARD_123456"
#: What the page says a loss leaves alone.
STATE = """{
  john: customer(customerId: "CUST_001") { firstName createdAt }
  bob: customer(customerId: "CUST_003") { firstName createdAt }
  lookupLogs(first: 50) { edges { node { identifier: customerIdentifier } } }
  pluginConfiguration { version config }
}"""


def page_commands(*, of_postgres: bool) -> list[str]:
    """The commands of the page, for one of the databases."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    other = "sqlite3" if of_postgres else "pg_"
    return [block.strip() for block in blocks if other not in block]


class Database(Protocol):
    """Where the read model is, and how a test loses it."""

    #: As POSSTREAM_DATABASE_URL has it; None = the default, in the data directory.
    url: str | None

    async def lose(self) -> None: ...


class OfTheDataDirectory:
    """SQLite: lost with the data directory."""

    url = None

    async def lose(self) -> None:
        return


class OfAServer:
    """A database on PostgreSQL."""

    def __init__(self, server: postgres.Server) -> None:
        self._server = server
        self.url: str | None = server.url.replace("/postgres", "/shop")

    async def lose(self) -> None:
        """Leave an empty one behind."""
        connection = await self._server.connect(5)
        await connection.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        await connection.execute("CREATE DATABASE shop OWNER posstream")
        await connection.close()


@dataclass
class Shop:
    """A worker with a broker and a database that a test takes away."""

    folder: Path
    database: Database
    on_kafka: bool
    brokers: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def new_broker(self) -> None:
        """Begin with a broker that has no topic; the one before is gone."""
        await self.brokers.aclose()
        if self.on_kafka:
            cluster = self.brokers.enter_context(kafka.cluster())
            await cluster.ready()
            (servers,) = cluster.servers
        else:
            broker = EmbeddedBroker(free_port(), log_file=self.folder / "broker.log")
            broker.start()
            self.brokers.callback(broker.stop)
            servers = broker.address
        url = self.database.url
        self.worker = Worker(
            servers,
            self.folder / ".data",
            topic_partitions=2,
            **({} if url is None else {"database_url": url}),
        )

    def lose_data_directory(self) -> None:
        shutil.rmtree(self.folder / ".data")
        (self.folder / ".data").mkdir()  # of the harness, for the log

    def run(self, command: str) -> None:
        """A command of the page, where the reader runs it."""
        ran = subprocess.run(
            ["bash", "-ec", command],
            cwd=self.folder,
            env=self.worker._environment
            | {
                "DATABASE": (self.database.url or "").replace("+asyncpg", ""),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"

    def run_of_page(self, word: str) -> None:
        """The command of the page that has this word."""
        of_page = page_commands(of_postgres=self.database.url is not None)
        (command,) = [it for it in of_page if word in it]
        self.run(command)

    def back_up(self) -> None:
        self.run_of_page(".backup" if self.database.url is None else "pg_dump")

    def restore(self) -> None:
        self.run_of_page(".restore" if self.database.url is None else "pg_restore")

    async def begin(self) -> None:
        self.worker.start()
        await self.worker.ready()

    async def scan(self, identifier: str) -> str:
        """Scan somebody; where the answer came from."""
        async with foreign_client(self.worker.servers) as till:
            scan = Scan(str(uuid.uuid4()), f"basket-{uuid.uuid4().hex[:8]}", identifier)
            await produce(till, [scan])
            (answer,) = await Tally(till).all_of([scan])
        return str(answer["source"])

    async def state(self) -> dict[str, Any]:
        """What the read model has, and what is in force."""
        found = await self.worker.graphql(STATE)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        logs = data["lookupLogs"]["edges"]
        data["lookupLogs"] = sorted(it["node"]["identifier"] for it in logs)
        config = json.loads(data["pluginConfiguration"]["config"])
        del config["api_endpoint"]  # a worker's own mock, at a port that changes
        data["pluginConfiguration"]["config"] = config
        return data

    async def until_rows(self, *attempts: str) -> dict[str, Any]:
        """The state, when the read model has these attempts."""

        async def logged() -> Any:
            return (await self.state())["lookupLogs"]

        await until(logged, sorted(attempts))
        return await self.state()


@pytest.fixture(
    params=[
        pytest.param("embedded broker and SQLite", marks=pytest.mark.slow),
        pytest.param("Apache Kafka and PostgreSQL", marks=pytest.mark.kafka),
    ]
)
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    """A worker that has answered John, with a live configuration of its own."""
    on_kafka = "Kafka" in request.param
    async with contextlib.AsyncExitStack() as afterwards:
        database: Database = OfTheDataDirectory()
        if on_kafka:
            need(kafka)
            need(postgres)
            server = afterwards.enter_context(postgres.server())
            await server.ready()
            database = OfAServer(server)
            await database.lose()
        made = Shop(tmp_path, database, on_kafka)
        afterwards.push_async_callback(made.brokers.aclose)
        await made.new_broker()
        await made.begin()
        afterwards.callback(lambda: made.worker.running and made.worker.kill())
        await made.worker.configure(cache_ttl_seconds=1800)
        assert await made.scan(PHONE) == "API"
        await made.until_rows(PHONE)
        yield made


def test_the_page_has_each_command_for_both_databases() -> None:
    for of_postgres in (False, True):
        commands = page_commands(of_postgres=of_postgres)
        assert len(commands) == 3
        assert commands[-1] == "posstream projection rebuild"


async def test_database_and_data_directory_are_lost(shop: Shop) -> None:
    before = await shop.state()
    assert shop.worker.stop() == 0
    shop.lose_data_directory()
    await shop.database.lose()
    await shop.begin()
    assert await shop.scan(PHONE) == "CACHE"
    shop.run_of_page("rebuild")
    assert await shop.state() == before
    assert before["pluginConfiguration"]["config"]["cache_ttl_seconds"] == 1800


async def test_an_older_database_is_restored_and_the_topics_know_what_came_later(
    shop: Shop,
) -> None:
    shop.back_up()
    assert await shop.scan(CARD) == "API"
    await shop.until_rows(PHONE, CARD)
    shop.run(f"posstream forget {PHONE} --yes")
    before = await shop.until_rows(CARD)
    assert before["john"] is None
    assert shop.worker.stop() == 0
    shop.lose_data_directory()
    await shop.database.lose()
    shop.restore()
    await shop.begin()
    shop.run_of_page("rebuild")
    assert await shop.until_rows(CARD) == before


async def test_the_topics_are_lost(shop: Shop) -> None:
    before = await shop.state()
    assert shop.worker.stop() == 0
    await shop.new_broker()
    await shop.begin()
    assert await shop.state() == before
    assert await shop.scan(PHONE) == "API"
    assert await shop.scan(PHONE) == "CACHE"
    after = await shop.until_rows(PHONE, PHONE)
    assert (after["john"], after["pluginConfiguration"]) == (
        before["john"],
        before["pluginConfiguration"],
    )


async def test_all_of_it_is_lost(shop: Shop) -> None:
    shop.back_up()
    before = await shop.state()
    assert await shop.scan(CARD) == "API"
    await shop.until_rows(PHONE, CARD)
    assert shop.worker.stop() == 0
    shop.lose_data_directory()
    await shop.database.lose()
    await shop.new_broker()
    shop.restore()
    await shop.begin()
    assert await shop.state() == before
    assert await shop.scan(CARD) == "API"
    after = await shop.until_rows(PHONE, CARD)
    assert after["bob"]["firstName"] == "Bob"
