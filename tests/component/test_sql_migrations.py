"""The schema comes from migrations, once, and is the one that the code knows."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, METADATA
from posstream.domain.errors import DatabaseUnusable
from posstream.read_model.engine import create_engine, read_only
from posstream.read_model.migrate import upgrade
from tests.component.sql_databases import DATABASES, database


@pytest.fixture(params=DATABASES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    yield engine
    await engine.dispose()


async def test_the_migrated_schema_is_the_declared_one(engine: AsyncEngine) -> None:
    await upgrade(engine)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, METADATA)

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_second_upgrade_changes_nothing(engine: AsyncEngine) -> None:
    await upgrade(engine)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO baskets (basket_id) VALUES ('b')"))
    await upgrade(engine)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM baskets")) == 1


async def test_four_workers_can_upgrade_at_once(url: str) -> None:
    engines = [create_engine(url) for _ in range(4)]
    try:
        await asyncio.gather(*(upgrade(engine) for engine in engines))
        async with engines[0].connect() as connection:
            versions = (await connection.execute(text("SELECT * FROM alembic_version"))).all()
        assert versions == [("0006",)]
    finally:
        for engine in engines:
            await engine.dispose()


async def test_a_failed_migration_leaves_nothing_behind(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE lookup_answers (x INTEGER)"))
    with pytest.raises(Exception, match="lookup_answers"):
        await upgrade(engine)
    async with engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert tables == ["lookup_answers"]


async def test_attempts_that_there_are_get_the_customer_that_their_response_names(
    engine: AsyncEngine,
) -> None:
    await upgrade(engine, "0005")
    responses = {
        "a": {"customer_id": " CUST_001 ", "first_name": "John"},
        "b": {"customer_id": 17},
        "c": {"customer_id": {"id": 17}},
        "d": {"error": "unknown"},
        "e": "a page",
        "f": [1],
        "g": None,
    }
    async with engine.begin() as connection:
        await connection.execute(
            insert(CUSTOMER_LOOKUP_LOGS),
            [
                {
                    "event_id": event_id,
                    "customer_identifier": "CARD_9",
                    "request_timestamp": datetime.now(UTC),
                    "response_data": response,
                }
                for event_id, response in responses.items()
            ],
        )
    await upgrade(engine)
    async with engine.connect() as connection:
        named = text("SELECT event_id, customer_id FROM customer_lookup_logs ORDER BY event_id")
        rows = (await connection.execute(named)).all()
    assert dict(map(tuple, rows)) == dict.fromkeys(responses) | {"a": "CUST_001", "b": "17"}


async def test_a_read_only_transaction_does_not_wait_for_a_writer(engine: AsyncEngine) -> None:
    await upgrade(engine)
    async with engine.begin() as writer:
        await writer.execute(text("INSERT INTO baskets (basket_id) VALUES ('b')"))
        async with asyncio.timeout(1), read_only(engine).connect() as reader:
            assert await reader.scalar(text("SELECT count(*) FROM baskets")) == 0


async def test_a_sqlite_file_is_made_with_its_folder_in_wal_mode(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'a' / 'b' / 'posstream.db'}")
    async with engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await connection.scalar(text("PRAGMA busy_timeout")) == 5000
        assert await connection.scalar(text("PRAGMA synchronous")) == 1
    await engine.dispose()
    shutil.rmtree(tmp_path / "a")


def test_another_database_is_refused_without_repeating_its_address() -> None:
    with pytest.raises(DatabaseUnusable, match=r"^POSSTREAM_DATABASE_URL must start with [^ ]*"):
        create_engine("mysql://someone:secret@localhost/x")
