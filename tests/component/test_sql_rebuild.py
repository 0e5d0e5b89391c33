"""`posstream projection rebuild`, as an operator runs it, against an embedded broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiokafka
import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from click.testing import CliRunner, Result
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup import topics
from agents.customer_lookup.read_model import schema
from posstream.cli import main
from posstream.forgetting.marks import Forgotten, Trail
from posstream.forgetting.record import forgotten
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.reader import GrouplessReader
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.schema import PLUGIN_CONFIGURATIONS
from posstream.read_model.tables import ReadModelTables
from tests.component.basket_copies import PURCHASE, copy_of
from tests.component.sql_databases import (
    DATABASES,
    JOHN,
    BothProjections,
    database,
    failed,
    found,
    logged,
    make_tables,
    started,
)
from tests.component.test_sql_projection import HISTORY, everything
from tests.integration.harness import free_port

#: How many rows the history makes.
ROWS = {
    "customers": 2,
    "customer_identifiers": 3,
    "baskets": 4,
    "customer_lookup_logs": 2,
    "lookup_answers": 9,
}
FRAUD = dict.fromkeys(("fraud_alerts", "fraud_alert_names", "fraud_verdicts", "fraud_readings"), 0)
PRINTED = {**ROWS, "till_baskets": 0, **FRAUD}


@dataclass
class Shop:
    """A broker with the topics, a database, and the command."""

    servers: str
    url: str
    engine: AsyncEngine
    producer: aiokafka.AIOKafkaProducer

    async def write(self, events: Sequence[ProjectedEvent]) -> None:
        """Write events to their topics, without projecting them."""
        for event in events:
            await self.producer.send_and_wait(event.topic, orjson.dumps(event.value))

    async def project(self, events: Sequence[ProjectedEvent]) -> None:
        """Do what a worker does."""
        await BothProjections(self.engine).apply(events)

    async def rows(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in (await everything(self.engine)).items() if rows}

    async def run(self, *options: str) -> Result:
        return await asyncio.to_thread(
            CliRunner().invoke,
            main,
            ["projection", "rebuild", *options],
            env={
                "POSSTREAM_BROKER": f"kafka://{self.servers}",
                "POSSTREAM_DATABASE_URL": self.url,
            },
        )


@pytest.fixture(params=DATABASES)
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        await prepare_topics([broker.address], find_plugins().topics, partitions=2, replication=1)
        async with (
            database(request.param, tmp_path) as url,
            aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address, acks="all") as producer,
        ):
            engine = create_engine(url)
            await make_tables(engine)
            yield Shop(broker.address, url, engine, producer)
            await engine.dispose()
    finally:
        broker.stop()


def table_of(result: Result) -> dict[str, tuple[int, int]]:
    """Rows before and after, as printed."""
    lines = result.stdout.splitlines()
    (head,) = [at for at, line in enumerate(lines) if line.startswith("TABLE ")]
    cells = [line.split() for line in lines[head + 1 :]]
    return {name: (int(before), int(after)) for name, before, after in cells}


async def test_a_dropped_read_model_comes_back_with_identical_rows(shop: Shop) -> None:
    await shop.write(HISTORY)
    await shop.project(HISTORY)
    expected = await everything(shop.engine)
    done = await shop.run("--drop")
    assert (done.exit_code, done.stderr) == (0, "")
    assert await everything(shop.engine) == expected
    assert done.stdout.startswith(f"replayed {len(HISTORY)} events in ")
    assert table_of(done) == {name: (count, count) for name, count in PRINTED.items()}


async def test_an_empty_database_is_filled_from_the_topics(shop: Shop) -> None:
    await shop.write(HISTORY)
    done = await shop.run()
    assert done.exit_code == 0, done.output
    assert table_of(done) == {name: (0, count) for name, count in PRINTED.items()}


async def test_a_basket_comes_back_from_the_changelog_of_its_table(shop: Shop) -> None:
    copy = copy_of("b1", *PURCHASE)
    for value in (copy.value, None):  # it has left the table
        await shop.producer.send_and_wait(copy.topic, value, key=copy.key)
    filled = await shop.run()
    assert table_of(filled)["till_baskets"] == (0, 1)
    done = await shop.run("--drop")
    assert (done.exit_code, done.stderr) == (0, "")
    assert table_of(done)["till_baskets"] == (1, 1)


async def test_without_topics_and_rows_there_is_nothing_to_do(shop: Shop) -> None:
    done = await shop.run("--drop")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("replayed 0 events in ")
    assert table_of(done) == dict.fromkeys(PRINTED, (0, 0))


async def test_a_replay_without_drop_brings_missing_rows_and_keeps_those_of_lost_events(
    shop: Shop,
) -> None:
    await shop.write(HISTORY)
    await shop.project([*HISTORY, found("old", fetched=1, basket="of-old")])
    async with shop.engine.begin() as connection:
        await connection.execute(delete(schema.CUSTOMER_IDENTIFIERS))
    done = await shop.run()
    assert done.exit_code == 0, done.output
    assert table_of(done)["customer_identifiers"] == (0, 3)
    assert table_of(done)["lookup_answers"] == (10, 10)


async def test_only_a_drop_mends_a_row_that_seems_newer_than_its_events(shop: Shop) -> None:
    await shop.write([found("e1")])
    await shop.project([found("e1")])
    async with shop.engine.begin() as connection:
        await connection.execute(update(schema.CUSTOMERS).values(tier="NO SUCH TIER"))

    async def tier() -> str:
        async with shop.engine.connect() as connection:
            return str((await connection.scalars(select(schema.CUSTOMERS.c.tier))).one())

    assert (await shop.run()).exit_code == 0
    assert await tier() == "NO SUCH TIER"
    assert (await shop.run("--drop")).exit_code == 0
    assert await tier() == "GOLD"


async def test_a_drop_that_would_lose_rows_is_refused_and_says_how_many(shop: Shop) -> None:
    await shop.write(HISTORY)
    lost = [
        found("old1", fetched=1, basket="of-old", identifier="+49", customer=other("CUST_OLD")),
        failed("old2", identified=2),
        logged("old3"),
        started("old4"),
    ]
    await shop.project([*HISTORY, *lost])
    expected = await everything(shop.engine)
    refused = await shop.run("--drop")
    assert refused.exit_code == 1
    assert refused.stdout.splitlines() == [
        f"{name}: {rows} rows would be lost, no topic has their events any more"
        for name, rows in {
            "customers": "1 of 3",
            "customer_identifiers": "1 of 4",
            "baskets": "2 of 6",
            "customer_lookup_logs": "1 of 3",
            "lookup_answers": "2 of 11",
        }.items()
    ]
    assert refused.stderr.startswith("error: nothing was dropped.")
    assert await everything(shop.engine) == expected

    done = await shop.run("--drop", "--yes")
    assert done.exit_code == 0, done.output
    assert await shop.rows() == ROWS


@pytest.mark.parametrize("options", [(), ("--drop",)])
async def test_a_replay_forgets_again_who_was_forgotten_after_the_backup(
    shop: Shop, options: tuple[str, ...]
) -> None:
    john = Trail(("+1234567890", "john@example.com"), ("CUST_001",))
    marks = [forgotten(Forgotten(subject, 4_000_000_000_000)) for subject in john.subjects]
    others = [
        found("e9", identifier="+0987654321", basket="b9", customer=other("CUST_002")),
        logged("l9", customer_identifier="+0987654321", response_data={"customer_id": "CUST_002"}),
        started(),
    ]
    await shop.project(others)
    expected = await everything(shop.engine)
    await shop.write([*others, found("e1"), found("e2", identifier="john@example.com")])
    for record in marks:
        await shop.producer.send_and_wait(record.topic, record.value, key=record.key)
    await shop.project([found("e1"), logged("l1")])
    done = await shop.run(*options, "--yes")
    assert done.exit_code == 0, done.output
    rows = await everything(shop.engine)
    assert len(rows.pop("forgotten_subjects")) == len(marks)
    assert rows == {name: rows for name, rows in expected.items() if name != "forgotten_subjects"}


async def test_a_drop_is_refused_when_a_topic_has_lost_its_first_records(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The embedded broker never drops a record; a log that starts later is Kafka's to show.
    offsets = GrouplessReader.first_offsets

    async def later(reader: GrouplessReader, topic: str) -> dict[int, int]:
        first = dict(await offsets(reader, topic))
        return first | ({0: 7, 1: 5} if topic == topics.BASKET_STARTED else {})

    monkeypatch.setattr(GrouplessReader, "first_offsets", later)
    await shop.write([started()])
    await shop.project([started()])
    refused = await shop.run("--drop")
    assert refused.exit_code == 1
    assert refused.stdout == (
        "basket-started: its first 12 records are gone; facts that only they had would be lost\n"
    )
    assert await shop.rows() == {"baskets": 1}
    assert (await shop.run("--drop", "--yes")).exit_code == 0


async def test_the_live_configuration_is_left_alone(shop: Shop) -> None:
    async with shop.engine.begin() as connection:
        await connection.execute(
            PLUGIN_CONFIGURATIONS.insert(),
            {
                "plugin": "customer_lookup",
                "version": 1,
                "enabled": True,
                "config": {},
                "description": "",
                "old_enabled": True,
                "old_config": {},
            },
        )
    assert (await shop.run("--drop")).exit_code == 0
    assert await shop.rows() == {"plugin_configurations": 1}


async def test_after_an_end_in_the_middle_it_is_run_again(shop: Shop) -> None:
    await shop.write(HISTORY)
    await shop.project(HISTORY)
    expected = await everything(shop.engine)
    async with shop.engine.begin() as connection:  # what an end after the drop leaves
        for table in schema.READ_MODEL:
            await connection.execute(delete(table))
    await shop.project(HISTORY[:3])
    assert (await shop.run("--drop")).exit_code == 0
    assert await everything(shop.engine) == expected


async def test_a_worker_that_goes_on_meanwhile_ends_with_the_same_rows(shop: Shop) -> None:
    """Events come and are projected while the command compares, drops and replays."""
    await shop.write(HISTORY)
    await shop.project(HISTORY)
    running = asyncio.create_task(shop.run("--drop"))
    written: list[ProjectedEvent] = []
    while not running.done():
        number = len(written)
        event = found(f"meanwhile-{number}", basket=f"basket-{number}", fetched=number % 3000)
        await shop.write([event])
        await shop.project([event])
        written.append(event)
    assert (await running).exit_code == 0, (await running).output
    assert written
    got = await everything(shop.engine)
    await shop.project([*HISTORY, *written])  # whatever were lost would come back
    assert await everything(shop.engine) == got
    async with shop.engine.connect() as connection:
        count = await connection.scalar(select(func.count()).select_from(schema.LOOKUP_ANSWERS))
    assert count == ROWS["lookup_answers"] + len(written)


async def test_what_a_worker_projected_just_before_the_drop_comes_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = ReadModelTables.empty

    async def late(tables: ReadModelTables) -> None:
        event = started("late")  # in the loop of the command, so with a producer of its own
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=shop.servers) as producer:
            await producer.send_and_wait(event.topic, orjson.dumps(event.value))
        await BothProjections(tables._engine).apply([event])
        await empty(tables)

    monkeypatch.setattr(ReadModelTables, "empty", late)
    await shop.write([started()])
    await shop.project([started()])
    assert (await shop.run("--drop")).exit_code == 0
    assert await shop.rows() == {"baskets": 2}


async def test_what_is_no_event_is_skipped(shop: Shop) -> None:
    for value in (b"", b"[]", b"\xff", b"{}"):
        await shop.producer.send_and_wait(topics.BASKET_STARTED, value, key=b"k")
    await shop.write([started()])
    done = await shop.run()
    assert done.exit_code == 0, done.output
    assert await shop.rows() == {"baskets": 1}


async def test_a_broker_on_which_no_worker_ran_has_nothing_to_replay(
    shop: Shop, tmp_path: Path
) -> None:
    other = EmbeddedBroker(free_port(), log_file=tmp_path / "other.log")
    other.start()
    try:
        await shop.project([started()])
        shop.servers = other.address
        refused = await shop.run("--drop")
        assert (refused.exit_code, await shop.rows()) == (1, {"baskets": 1})
        done = await shop.run()
        assert (done.exit_code, done.stdout.splitlines()[0][:17]) == (0, "replayed 0 events")
        admin = AIOKafkaAdminClient(bootstrap_servers=other.address)
        await admin.start()
        made = await admin.list_topics()
        await admin.close()
        assert not set(topics.PROJECTED) & set(made), "a question makes no topic"
    finally:
        other.stop()


async def test_without_a_broker_or_a_database_it_says_so_in_one_line(shop: Shop) -> None:
    broker, shop.servers = shop.servers, f"127.0.0.1:{free_port()}"
    without = await shop.run()
    assert without.exit_code == 1
    assert "POSSTREAM_BROKER" in without.stderr.splitlines()[-1]
    shop.servers, shop.url = broker, f"postgresql+asyncpg://127.0.0.1:{free_port()}/none"
    without = await shop.run()
    assert without.exit_code == 1
    assert without.stderr.splitlines()[-1].startswith("error: the database cannot be used (")


def other(customer_id: str) -> dict[str, object]:
    return {**JOHN, "customer_id": customer_id}
