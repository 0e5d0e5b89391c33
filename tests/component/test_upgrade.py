"""A database and a cache of the posstream before plugins had migrations of their own are kept.

`data/read_model_0006.sql` is such a database, as SQLite dumps it: rows in every table and two
versions of the configuration, with all tables in one chain of migrations, `alembic_version`.
"""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import rocksdict
from sqlalchemy import Column, Table, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.schema import READ_MODEL
from posstream.configuration.store import SqlConfigurationStore
from posstream.read_model.asking import ask
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import PLATFORM, chains, upgrade
from posstream.read_model.schema import METADATA
from tables.freshness import CacheEntry
from tests.component.kept_cache import KeptCache
from tests.component.sql_databases import DATABASES, database, migrate

DUMP = (Path(__file__).parent / "data" / "read_model_0006.sql").read_text()
TABLES = (*METADATA.sorted_tables, *READ_MODEL)
#: Columns that tables have got since.
SINCE = {"answer_digest"}


def columns_of(table: Table) -> list[Column[Any]]:
    """The columns that a table had then."""
    return [it for it in table.columns if it.name not in SINCE]


def old_file(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Make the SQLite file of that version, and give its rows as SQLite keeps them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(DUMP)
    rows = raw_rows(connection)
    connection.close()
    return rows


def raw_rows(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table.name: sorted(connection.execute(str(select(*columns_of(table)))), key=str)
        for table in TABLES
    }


async def old_server(engine: AsyncEngine, tmp_path: Path) -> None:
    """Make the same on PostgreSQL: today's steps as far as 0006, and what they made before."""
    await migrate(engine, "0006")
    file = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    old_file(tmp_path / "old.db")
    async with file.connect() as there, engine.begin() as here:
        for table in TABLES:
            rows = [
                dict(row) for row in (await there.execute(select(*columns_of(table)))).mappings()
            ]
            await here.execute(table.insert(), rows)
        for statement in (
            "DROP TABLE posstream_version",
            "DROP TABLE posstream_version_customer_lookup",
            "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)",
            "INSERT INTO alembic_version VALUES ('0006')",
        ):
            await here.execute(text(statement))
    await file.dispose()


async def typed_rows(engine: AsyncEngine) -> dict[str, list[dict[str, Any]]]:
    async def of(table: Table) -> list[dict[str, Any]]:
        found = (await connection.execute(select(*columns_of(table)))).mappings()
        return sorted(map(dict, found), key=str)

    async with engine.connect() as connection:
        return {table.name: await of(table) for table in TABLES}


@pytest.fixture(params=DATABASES)
async def old(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        if request.param == "sqlite":
            old_file(tmp_path / "data" / "posstream.db")
        engine = create_engine(url)
        if request.param != "sqlite":
            await old_server(engine, tmp_path)
        yield engine
        await engine.dispose()


async def test_no_row_and_no_configuration_version_is_lost(old: AsyncEngine) -> None:
    before = await typed_rows(old)
    assert all(before.values()), "every table has rows"
    assert await ask(old, [PLUGIN])
    await migrate(old)
    assert await typed_rows(old) == before
    store = SqlConfigurationStore(old, "customer_lookup")
    assert [change.version.version for change in await store.history(10)] == [2, 1]
    customer = await SqlReadModel(old).customer_by_identifier("+1234567890")
    assert customer is not None
    assert customer.last_name == "Doe"


async def test_the_rows_of_a_file_stay_as_they_are_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "posstream.sqlite3"
    before = old_file(path)
    engine = create_engine(f"sqlite:///{path}")
    await migrate(engine)
    await engine.dispose()
    with sqlite3.connect(path) as connection:
        assert raw_rows(connection) == before


async def test_each_chain_goes_on_in_a_version_table_of_its_own(old: AsyncEngine) -> None:
    await migrate(old)
    await migrate(old)
    chain = chains([PLUGIN])["customer_lookup"]
    async with old.connect() as connection:
        assert await connection.run_sync(PLATFORM.revision) == PLATFORM.head
        assert await connection.run_sync(chain.revision) == chain.head


async def test_a_posstream_of_before_refuses_the_database_from_now_on(old: AsyncEngine) -> None:
    """It knows the revisions of `alembic_version` up to 0006."""
    await migrate(old)
    async with old.connect() as connection:
        revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    assert revision == "0012"


async def test_a_failed_upgrade_leaves_the_old_database_as_it_was(old: AsyncEngine) -> None:
    async with old.begin() as connection:
        await connection.execute(text("DROP TABLE basket_identifications"))
    assert "basket_identifications" in (await upgrade(old, [PLUGIN]))["customer_lookup"]
    async with old.connect() as connection:
        revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    assert revision == "0006"


async def test_a_cache_that_the_version_before_wrote_is_read_as_it_is(tmp_path: Path) -> None:
    """Folder, file names, keys and values are those of that version, written without our code."""
    tables = tmp_path / "tables" / "v1" / "tables"
    moment = (1_769_846_400_000).to_bytes(8, "big")
    stored = {
        1: {b"+1234567890": b"\x01\x01" + moment + b'{"customer_id":"CUST_001"}'},
        2: {b"+999": b"\x01\x00" + moment, b"__faust\0offset__": b"41"},
    }
    for number, entries in stored.items():
        path = tables / f"customer-cache-{number}.db"
        path.mkdir(parents=True)
        store = rocksdict.Rdict(str(path), options=rocksdict.Options(raw_mode=True))
        for key, value in entries.items():
            store[key] = value
        store.close()
    cache = KeptCache(tmp_path)
    assert cache.table.partition(1).get("+1234567890") == CacheEntry(
        1_769_846_400_000, b'{"customer_id":"CUST_001"}'
    )
    assert cache.table.partition(2).get("+999") == CacheEntry(1_769_846_400_000, None)
    assert cache.persisted_offset(2) == 41
