"""Long lists on PostgreSQL: COPY into a temporary table and one upsert give the same rows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.projection import SqlProjection
from posstream.domain.errors import DatabaseAway
from posstream.read_model.engine import create_engine
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.rows_writer import LONG
from tests.component.sql_databases import JOHN, SERVER, database, failed, found, make_tables

pytestmark = pytest.mark.skipif(not SERVER, reason="the SQL suite runs without PostgreSQL")

#: Texts that mean something in CSV, in JSON or to COPY.
AWKWARD = (
    *('"', "\\", '\\"', '\\\\"', ",", "null", "\\N", "\\.", "'; --", "ü€😀", "],[", "x" * 256),
    *("two\nlines", "a\r\nb", "\r", "a\n\\.\nb", "a\ttab", "a bell \a", "\\n", "\\u0041"),
)


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with database("postgresql", tmp_path) as url:
        yield url


def lists_in_json(engine: AsyncEngine) -> list[str]:
    """The statements, from now on, that write a list as a JSON document."""
    seen: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(_: Connection, __: object, statement: str, *___: object) -> None:
        if "jsonb_populate_recordset" in statement:
            seen.append(statement)

    return seen


def events(count: int, **changes: Any) -> Sequence[ProjectedEvent]:
    made = []
    for number in range(count):
        awkward = AWKWARD[number % len(AWKWARD)]
        customer = {
            **JOHN,
            "customer_id": f"CUST_{number}",
            "first_name": "" if number % 2 else awkward,
            "last_purchase_date": None if number % 3 else JOHN["last_purchase_date"],
            "attributes": {awkward: [awkward, {"nested": None}, 1.50, True]},
        }
        identifier = f"+49{number}"
        made.append(found(f"e{number}", basket=f"b{number}", identifier=identifier, **changes))
        made[-1].value["customer"] = customer
        made.append(failed(f"f{number}", basket=f"b{number}", error_message=awkward))
    return made


async def everything(engine: AsyncEngine) -> dict[str, Any]:
    """All rows but for their serial numbers."""
    kept = {}
    async with engine.connect() as connection:
        for table in schema.READ_MODEL:
            columns = [column for column in table.columns if column.name != "id"]
            rows = await connection.execute(select(*columns).order_by(columns[0]))
            kept[table.name] = [tuple(row) for row in rows]
    return kept


async def test_a_long_list_gives_the_rows_that_short_ones_give(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    in_json = lists_in_json(engine)
    await SqlProjection(engine).apply(events(LONG))
    assert [it for it in in_json if "INTO lookup_counts" not in it] == [], "its spans are few"
    async with database("postgresql", tmp_path) as other:
        short = create_engine(other)
        await make_tables(short)
        projection = SqlProjection(short)
        batch = events(LONG)
        for start in range(0, len(batch), LONG // 2):
            await projection.apply(batch[start : start + LONG // 2])
        expected = await everything(short)
        await short.dispose()
    assert len(expected["customers"]) == LONG
    assert set(AWKWARD) == {row[9] for row in expected["lookup_answers"]} - {None}
    assert await everything(engine) == expected


async def test_a_long_list_that_comes_again_or_is_older_changes_nothing(
    engine: AsyncEngine,
) -> None:
    await SqlProjection(engine).apply(events(LONG, fetched_at="2026-01-31T09:00:00.000Z"))
    before = await everything(engine)
    await SqlProjection(engine).apply(events(LONG, fetched_at="2026-01-31T09:00:00.000Z"))
    assert await everything(engine) == before


async def test_a_row_that_the_database_refuses_is_skipped_alone(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("ALTER TABLE lookup_answers ALTER COLUMN lookup_id TYPE varchar(30)")
        )
    batch = [failed(f"e{number}") for number in range(2 * LONG)]
    batch[LONG + 7] = failed("too-long", lookup_id="l" * 31)
    await SqlProjection(engine).apply(batch)
    async with engine.connect() as connection:
        kept = set(await connection.scalars(select(schema.LOOKUP_ANSWERS.c.event_id)))
    assert kept == {it.value["event_id"] for it in batch} - {"too-long"}
    assert "the database refuses its rows (DataError 22001)" in caplog.text


async def test_a_role_that_may_make_no_temporary_tables_writes_all_the_same(
    engine: AsyncEngine, url: str
) -> None:
    name = make_url(url).database
    async with engine.begin() as connection:
        await connection.execute(text("DROP ROLE IF EXISTS no_temporary"))
        await connection.execute(text("CREATE ROLE no_temporary LOGIN"))
        await connection.execute(text(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC'))
        await connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO no_temporary"))
        await connection.execute(
            text("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO no_temporary")
        )
    other = create_engine(
        make_url(url).set(username="no_temporary").render_as_string(hide_password=False)
    )
    await SqlProjection(other).apply(events(LONG))
    await other.dispose()
    assert len((await everything(engine))["customers"]) == LONG
    async with engine.begin() as connection:
        await connection.execute(text("DROP OWNED BY no_temporary"))
        await connection.execute(text("DROP ROLE no_temporary"))


async def test_a_long_list_that_waits_too_long_is_given_up(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE customers"))
        with pytest.raises(TimeoutError):
            await SqlProjection(engine, patience_seconds=0.5).apply(events(LONG))
    await SqlProjection(engine).apply(events(LONG))
    assert len((await everything(engine))["customers"]) == LONG


async def test_a_server_that_ends_the_session_is_away(engine: AsyncEngine) -> None:
    ended = text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE customers"))
        writing = asyncio.create_task(SqlProjection(engine).apply(events(LONG)))
        async with asyncio.timeout(20):
            while not (await connection.execute(ended)).all():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        with pytest.raises(DatabaseAway) as away:
            await writing
    assert away.value.passes
    await SqlProjection(engine).apply(events(LONG))
    assert len((await everything(engine))["customers"]) == LONG
