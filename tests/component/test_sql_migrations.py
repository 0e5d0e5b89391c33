"""The schema comes from migrations, once, and is the one that the code knows."""

import asyncio
import dataclasses
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, insert, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.read_model.part import READ_MODEL
from agents.customer_lookup.read_model.rows import Batch
from agents.customer_lookup.read_model.schema import (
    CUSTOMER_IDENTIFIERS,
    CUSTOMER_LOOKUP_LOGS,
    METADATA,
)
from posstream.domain.errors import DatabaseAway, DatabaseUnusable, StartRefused
from posstream.forgetting.marks import subject_of_customer
from posstream.plugin import Plugin
from posstream.read_model import engine as engine_module
from posstream.read_model import schema as platform
from posstream.read_model.asking import ask
from posstream.read_model.engine import create_engine, read_only
from posstream.read_model.migrate import unmigrated, upgrade
from posstream.read_model.rows_writer import RowsWriter
from tests.component.sql_databases import found, migrate

PLATFORM_TABLES = {"forgotten_subjects", "plugin_configurations", "posstream_version"}


async def tables_of(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    yield engine
    await engine.dispose()


async def test_the_migrated_schema_is_the_declared_one(engine: AsyncEngine) -> None:
    await migrate(engine)

    def differences(connection: Connection) -> list[Any]:
        # Only the version tables of both chains are in no metadata.
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, _: kind != "table" or "_version" not in name,
        }
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, [platform.METADATA, METADATA])

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_second_upgrade_changes_nothing(engine: AsyncEngine) -> None:
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO baskets (basket_id) VALUES ('b')"))
    await migrate(engine)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM baskets")) == 1


async def test_four_workers_can_upgrade_at_once(url: str) -> None:
    engines = [create_engine(url) for _ in range(4)]
    try:
        await asyncio.gather(*(migrate(engine) for engine in engines))
        async with engines[0].connect() as connection:
            versions = [
                await connection.scalar(text(f"SELECT version_num FROM {table}"))  # noqa: S608 - our own names
                for table in ("posstream_version", "posstream_version_customer_lookup")
            ]
        assert versions == ["0001", "0012"]
    finally:
        for engine in engines:
            await engine.dispose()


def test_an_up_to_date_database_needs_no_alembic(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; import posstream.factory\n"
        "from agents.customer_lookup import PLUGIN\n"
        "from posstream.read_model.engine import create_engine\n"
        "from posstream.read_model.migrate import upgrade\n"
        f"engine = create_engine({f'sqlite+aiosqlite:///{tmp_path}/read.sqlite'!r})\n"
        "assert asyncio.run(upgrade(engine, [PLUGIN])) == {}\n"
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    told = [subprocess.check_output(command, text=True).strip() for _ in range(2)]
    assert told == ["True", "False"]


async def test_a_failed_migration_leaves_nothing_behind(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE lookup_answers (x INTEGER)"))
    failures = await upgrade(engine, [PLUGIN])
    assert re.search("its migration failed: .*lookup_answers", failures["customer_lookup"])
    assert await tables_of(engine) == {*PLATFORM_TABLES, "lookup_answers"}


def plugin(name: str, folder: Path, statement: str) -> Plugin:
    """A plugin whose only migration runs a statement."""
    (folder / "package").mkdir()
    (folder / "package" / "0001_first.py").write_text(
        f"from alembic import op\nrevision, down_revision = '0001', None\n"
        f"def upgrade():\n    op.execute({statement!r})\n"
    )
    part = dataclasses.replace(
        READ_MODEL,
        migrations=str(folder / "package"),
        former_version_table=None,
        tables=lambda: [Table(f"{name}_rows", MetaData())],
    )
    return dataclasses.replace(PLUGIN, name=name, read_model=part)


async def test_a_plugin_whose_migration_fails_is_named_and_the_others_are_up_to_date(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    broken = plugin("broken", tmp_path, "DROP TABLE there_is_none")
    failures = await upgrade(engine, [broken, PLUGIN])
    assert list(failures) == ["broken"]
    assert "there_is_none" in failures["broken"]
    assert {"customers", "posstream_version_customer_lookup"} <= await tables_of(engine)
    assert await upgrade(engine, [PLUGIN]) == {}


async def test_a_rehearsal_on_an_empty_database_changes_nothing_and_finds_nothing_wrong(
    engine: AsyncEngine,
) -> None:
    assert await upgrade(engine, [PLUGIN], keep=False) == {}
    assert await tables_of(engine) == set()


async def test_a_plugin_is_unmigrated_until_its_last_migration(engine: AsyncEngine) -> None:
    await migrate(engine, "0006")
    assert await unmigrated(engine, [PLUGIN]) == ["customer_lookup"]
    await migrate(engine)
    assert await unmigrated(engine, [PLUGIN]) == []


@pytest.mark.parametrize(
    ("statement", "table", "owner"),
    [
        ("DROP TABLE customer_lookup_logs", "customer_lookup_logs", "customer_lookup"),
        ("ALTER TABLE customers ADD COLUMN toy INTEGER", "customers", "customer_lookup"),
        ("ALTER TABLE customers RENAME TO toy_rows", "customers", "customer_lookup"),
        ("CREATE INDEX toy ON baskets (basket_id)", "baskets", "customer_lookup"),
        ("DROP TABLE forgotten_subjects", "forgotten_subjects", "posstream itself"),
        ("DROP TABLE posstream_version", "posstream_version", "posstream itself"),
        (
            "DROP TABLE posstream_version_customer_lookup",
            "posstream_version_customer_lookup",
            "customer_lookup",
        ),
        ("DROP TABLE left_in_peace", "left_in_peace", "another owner"),
    ],
)
async def test_a_migration_that_drops_or_alters_another_owner_s_table_is_rolled_back(
    engine: AsyncEngine, tmp_path: Path, statement: str, table: str, owner: str
) -> None:
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE left_in_peace (x INTEGER)"))
        before = await connection.run_sync(_everything)
    failures = await upgrade(engine, [PLUGIN, plugin("toy", tmp_path, statement)])
    assert failures == {
        "toy": f"its migration failed: it drops or alters the table {table}, which {owner} owns"
    }
    async with engine.begin() as connection:
        assert await connection.run_sync(_everything) == before


def _everything(connection: Connection) -> Mapping[str, Sequence[str]]:
    """The names of the columns and indexes of each table."""
    told = inspect(connection)
    return {
        name: [str(it["name"]) for it in (*told.get_columns(name), *told.get_indexes(name))]
        for name in told.get_table_names()
    }


async def test_two_plugins_that_claim_one_sql_table_are_refused_with_both_named(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    toy = plugin("toy", tmp_path, "SELECT 1")
    with pytest.raises(StartRefused, match=r"SQL table customers is claimed by .* and by other"):
        await upgrade(engine, [PLUGIN, dataclasses.replace(PLUGIN, name="other")])
    assert await upgrade(engine, [PLUGIN, toy]) == {}


async def test_a_plugin_that_cannot_tell_its_sql_tables_stops_no_other(
    engine: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def raises() -> NoReturn:
        raise ImportError

    toy = plugin("toy", tmp_path, "DROP TABLE customers")
    assert toy.read_model is not None
    toy = dataclasses.replace(toy, read_model=dataclasses.replace(toy.read_model, tables=raises))
    assert list(await upgrade(engine, [PLUGIN, toy])) == ["toy"]
    assert "plugin toy cannot tell its SQL tables" in caplog.text


async def test_rows_of_customers_who_were_forgotten_while_a_migration_failed_go_with_the_next_one(
    engine: AsyncEngine,
) -> None:
    await migrate(engine, "0006")
    batch = Batch()
    batch.take_all([found("old", fetched=10), found("new", fetched=50)])
    del batch.rows[CUSTOMER_IDENTIFIERS]  # it has got a column since
    async with engine.begin() as connection:
        for table, rows in batch.rows.items():
            writer = RowsWriter(engine, table, lambda it: it.on_conflict_do_nothing())
            if rows:
                await writer.write(connection, list(rows.values()))
    mark = {
        "subject": subject_of_customer("CUST_001"),
        "forgotten_at": datetime(2026, 1, 31, 8, 0, 30, tzinfo=UTC),
        "cache_entries": 0,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(platform.FORGOTTEN_SUBJECTS), mark)
    await migrate(engine)
    async with engine.connect() as connection:
        rows = await connection.scalars(text("SELECT event_id FROM lookup_answers"))
        assert list(rows) == ["new"]


async def test_a_plugin_that_is_taken_away_leaves_its_rows_and_blocks_nobody(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    toy = plugin("toy", tmp_path, "CREATE TABLE toy_rows AS SELECT 1 AS x")
    assert await upgrade(engine, [toy, PLUGIN]) == {}
    assert await upgrade(engine, [PLUGIN]) == {}
    assert await ask(engine, [PLUGIN])
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM toy_rows")) == 1
    assert await upgrade(engine, [PLUGIN, toy]) == {}


@pytest.mark.parametrize("table", ["posstream_version", "posstream_version_customer_lookup"])
async def test_a_database_that_a_newer_posstream_has_migrated_is_refused_in_a_sentence(
    engine: AsyncEngine, table: str
) -> None:
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE {table} SET version_num = '9999'"))  # noqa: S608 - our own names
    for refused in (upgrade, ask):
        with pytest.raises(DatabaseUnusable, match="a newer posstream has migrated it, to 9999"):
            await refused(engine, [PLUGIN])


async def test_attempts_that_there_are_get_the_customer_that_their_response_names(
    engine: AsyncEngine,
) -> None:
    await migrate(engine, "0005")
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
    await migrate(engine)
    async with engine.connect() as connection:
        named = text("SELECT event_id, customer_id FROM customer_lookup_logs ORDER BY event_id")
        rows = (await connection.execute(named)).all()
    assert dict(map(tuple, rows)) == dict.fromkeys(responses) | {"a": "CUST_001", "b": "17"}


async def test_a_writer_gets_its_turn_between_long_transactions_of_another(
    tmp_path: Path,
) -> None:
    """SQLite's own wait soon looks every 100 ms only, and would miss some of six moments."""
    engine = create_engine(f"sqlite:///{tmp_path / 'posstream.db'}")
    await migrate(engine)
    other = sqlite3.connect(tmp_path / "posstream.db", isolation_level=None, timeout=0)

    async def write(number: int) -> None:
        async with engine.begin() as connection:
            row = {"basket_id": str(number)}
            await connection.execute(
                text("INSERT INTO baskets (basket_id) VALUES (:basket_id)"), row
            )

    for number in range(6):
        other.execute("BEGIN IMMEDIATE")
        waits = asyncio.create_task(write(number))
        await asyncio.sleep(0.3)
        other.execute("COMMIT")
        await asyncio.sleep(0.06)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            pass  # it is writing
        else:
            (written,) = other.execute("SELECT count(*) FROM baskets").fetchone()
            other.execute("COMMIT")
            assert written == number + 1
        await waits
    other.close()
    async with engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA busy_timeout")) == 5000
    await engine.dispose()


async def test_a_begin_that_fails_raises_as_any_other_statement(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("only SQLite's begin is our own")
    await migrate(engine)

    def breaks(_: object) -> bool:  # as if the file were damaged
        return False

    monkeypatch.setattr(engine_module, "_takes_write_lock", breaks)
    other = sqlite3.connect(str(engine.url.database), isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseAway, match="locked"):
        async with engine.begin():
            pass
    other.close()


def test_only_a_lock_is_asked_for_again() -> None:
    def error(code: int) -> sqlite3.OperationalError:
        made = sqlite3.OperationalError()
        made.sqlite_errorcode = code
        return made

    class Cursor:
        def __init__(self, *errors: Exception) -> None:
            self.errors = list(errors)

        def execute(self, _: str) -> None:
            if self.errors:
                raise self.errors.pop()

    busy = error(sqlite3.SQLITE_BUSY)
    assert engine_module._takes_write_lock(Cursor(busy, busy))
    assert not engine_module._takes_write_lock(Cursor(error(sqlite3.SQLITE_CORRUPT)))
    assert not engine_module._takes_write_lock(Cursor(sqlite3.ProgrammingError("closed")))


async def test_a_read_only_transaction_does_not_wait_for_a_writer(engine: AsyncEngine) -> None:
    await migrate(engine)
    async with engine.begin() as writer:
        await writer.execute(text("INSERT INTO baskets (basket_id) VALUES ('b')"))
        async with asyncio.timeout(1), read_only(engine).connect() as reader:
            assert await reader.scalar(text("SELECT count(*) FROM baskets")) == 0


async def test_a_sqlite_connection_for_many_rows_has_more_memory_and_copies_its_log_less_often(
    tmp_path: Path,
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'posstream.db'}", bulk=True)
    async with engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA wal_autocheckpoint")) == 40_000
        assert await connection.scalar(text("PRAGMA cache_size")) == -65536
    await engine.dispose()


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
