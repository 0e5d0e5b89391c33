"""`posstream forget` as an operator runs it: on a real worker, a real broker and its database."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.baskets.read_model.erasure import counts
from agents.baskets.read_model.schema import TILL_BASKETS
from agents.customer_lookup.read_model.customer_trail import CustomerTrails
from posstream.cli import main
from posstream.forgetting.marks import Trail
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.read_model.engine import create_engine
from posstream.settings import Settings
from tables.partitioned import home
from tests.component.test_sql_projection import everything
from tests.integration.directory import Directory, running_directory
from tests.integration.harness import (
    Scan,
    Tally,
    Worker,
    environment,
    foreign_client,
    free_port,
    produce,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORGET = """
mutation ($identifier: String!) { forgetCustomer(identifier: $identifier) {
  success error { code } report { forgottenIdentifiers cacheEntries rows { table rows } }
} }"""


def phone() -> str:
    """Somebody's number, too short for a payment card's: the directory makes an id of it."""
    return f"+1{uuid.uuid4().int % 10**10:010}"


@dataclass
class Shop:
    """A worker with its directory, its database, and a till."""

    worker: Worker
    directory: Directory
    tally: Tally
    engine: AsyncEngine

    async def send(self, identifier: str, basket: str) -> Scan:
        scan = Scan(str(uuid.uuid4()), basket, identifier)
        await produce(self.tally._client, [scan])
        return scan

    async def scan(self, identifier: str, basket: str = "basket-1") -> dict[str, Any]:
        (answer,) = await self.tally.all_of([await self.send(identifier, basket)])
        return answer

    async def rows(self, *identifiers: str) -> dict[str, int]:
        trail = Trail(identifiers)
        return {
            **await CustomerTrails(self.engine).rows(trail),
            **await counts(self.engine, trail),
        }

    async def projected(self, identifier: str) -> None:
        """Wait until the read model has a customer, the answer, the attempt and the basket."""
        wanted = ("customers", "lookup_answers", "customer_lookup_logs", "till_baskets")
        async with asyncio.timeout(60):
            while True:
                rows = await self.rows(identifier)
                if all(rows[name] for name in wanted):
                    return
                await asyncio.sleep(0.05)

    async def forgotten(self, identifier: str) -> None:
        """Forget by the mutation, again for as long as a busy machine leaves it unconfirmed."""
        for _ in range(5):
            answer = await self.worker.graphql(FORGET, identifier=identifier)
            outcome = answer["data"]["forgetCustomer"]
            if outcome["success"]:
                return
            assert outcome["error"]["code"] == "UNCONFIRMED", answer
        pytest.fail(f"not confirmed in five calls: {answer}")

    async def caught_up(self, identifier: str, basket: str = "basket-1") -> str:
        """Wait until the read model has all that was written of an identifier and a basket.

        Another customer is scanned whose answer and attempt lie behind it, in its partitions.
        """
        partitions = Settings().topic_partitions
        while home(other := phone(), partitions) != home(identifier, partitions):
            pass
        await self.scan(other, basket)
        await self.projected(other)
        return other

    async def mentions(self, *names: str) -> list[str]:
        """Which of these names stand anywhere in the database."""
        async with self.engine.connect() as connection:
            baskets = (await connection.execute(select(TILL_BASKETS))).all()
        everywhere = f"{await everything(self.engine)}{baskets}"
        return [name for name in names if name in everywhere]

    async def run(self, *arguments: str) -> Result:
        given = {"broker": f"kafka://{self.worker.servers}", "datadir": self.worker.datadir}
        return await asyncio.to_thread(
            CliRunner(env=environment(**given)).invoke, main, list(arguments)
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    datadir: Path = tmp_path_factory.mktemp("forget")
    broker = EmbeddedBroker(free_port(), log_file=datadir / "broker.log")
    broker.start()
    try:
        async with running_directory() as directory:
            worker = Worker(broker.address, datadir, api_endpoint=directory.endpoint)
            worker.start()
            engine = create_engine(Settings(datadir=datadir).database_url)
            try:
                await worker.ready()
                async with foreign_client(worker.servers) as client:
                    yield Shop(worker, directory, Tally(client), engine)
                assert worker.stop() == 0, worker.log[-3000:]
            finally:
                await engine.dispose()
                worker.kill()
    finally:
        broker.stop()


#: The tables of the lookups.
LOOKUPS = {"customers", "customer_identifiers", "baskets", "customer_lookup_logs", "lookup_answers"}


def table_of(result: Result) -> dict[str, int]:
    """Rows removed, as printed."""
    lines = result.stdout.splitlines()
    (head,) = [at for at, line in enumerate(lines) if line.startswith("TABLE ")]
    cells = [line.split() for line in lines[head + 1 : head + 9]]
    return {name: int(count) for name, count in cells}


async def test_a_forgotten_customer_is_gone_everywhere_until_the_next_scan(shop: Shop) -> None:
    first, second = phone(), phone()
    customer_id = f"C-{first}"
    shop.directory.owners[second] = customer_id
    await shop.scan(first)
    assert (await shop.scan(first))["source"] == "CACHE"
    await shop.scan(second, "basket-2")
    await shop.caught_up(first)
    await shop.caught_up(second, "basket-2")

    done = await shop.run("forget", "--yes", f"00{second[1:5]} {second[5:]}")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "identifiers: 2\ncache entries removed: 2\n" in done.stdout
    assert table_of(done) == {
        "customers": 1,
        "customer_identifiers": 2,
        # Two more customers were scanned into these baskets last.
        "baskets": 0,
        "customer_lookup_logs": 2,
        "lookup_answers": 3,
        "till_baskets": 0,
        "fraud_alerts": 0,
        "fraud_verdicts": 0,
    }
    assert await shop.mentions(first, second, customer_id) == []
    assert [name for name in (first, second, customer_id) if name in done.stdout] == []
    assert "customer-lookup-logged   " in done.stdout

    # Again finds nothing.
    again = await shop.run("forget", "--yes", second)
    assert (again.exit_code, set(table_of(again).values())) == (0, {0})
    assert "cache entries removed: 0\n" in again.stdout

    # No replay brings anybody back who was forgotten, and everybody else.
    other = await shop.caught_up(first)
    assert (await shop.run("projection", "rebuild", "--drop", "--yes")).exit_code == 0
    assert await shop.mentions(first, second, customer_id) == []
    assert (await shop.rows(other))["customers"] == 1

    # The next scan is a new customer's, who stays through a replay.
    calls = shop.directory.calls_of(first)
    assert (await shop.scan(first, "basket-3"))["source"] == "API"
    assert shop.directory.calls_of(first) == calls + 1
    await shop.projected(first)
    assert (await shop.run("projection", "rebuild", "--drop", "--yes")).exit_code == 0
    assert (await shop.rows(first))["customers"] == 1
    assert await shop.mentions(second) == []


async def test_a_call_under_way_brings_nobody_back_even_by_a_later_attempt(shop: Shop) -> None:
    identifier = phone()
    shop.directory.gate = asyncio.Event()
    scan = await shop.send(identifier, "basket-4")
    await shop.directory.holds(1)
    await shop.forgotten(identifier)
    assert shop.directory.calls_of(identifier) == 1
    # The first attempt runs out of time, and the next one asks again.
    await shop.directory.was_called(identifier, times=2)
    shop.directory.gate.set()
    shop.directory.gate = None

    (late,) = await shop.tally.all_of([scan])
    assert late["source"] == "API"  # the till gets its answer all the same
    await shop.caught_up(identifier, "basket-4")
    assert await shop.mentions(identifier) == []
    assert (await shop.scan(identifier, "basket-5"))["source"] == "API"  # not from the cache
    await shop.projected(identifier)


async def test_the_mutation_reports_what_was_removed(shop: Shop) -> None:
    identifier = phone()
    await shop.scan(identifier, "basket-6")
    await shop.projected(identifier)
    tries = 0
    outcome: dict[str, Any] = {"report": None}
    while outcome["report"] is None:  # a busy machine was late: whoever asks again gets a report
        tries += 1
        assert tries < 6, outcome
        answer = await shop.worker.graphql(FORGET, identifier=identifier)
        outcome = answer["data"]["forgetCustomer"]
    rows = {row["table"]: row["rows"] for row in outcome["report"].pop("rows")}
    removed = int(tries == 1)
    assert outcome == {
        "success": True,
        "error": None,
        "report": {"forgottenIdentifiers": 1, "cacheEntries": removed},
    }
    # The rows of the baskets come when they come; nothing raised an alert.
    assert {count for table, count in rows.items() if table in LOOKUPS} == {removed}
    assert await shop.mentions(identifier) == []
    assert identifier not in shop.worker.log
