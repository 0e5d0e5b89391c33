"""Whoever reads on the web takes neither the projection's connections nor all of the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import column, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.domain.errors import DatabaseAway, ReadModelBusy
from posstream.read_model import reading as module
from posstream.read_model.engine import create_engine, read_only
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import READERS, create_reading_engine, read, reading
from tests.component.sql_databases import DATABASES, database, found, make_tables
from tests.component.sql_web import SqlWebView, running_sql_web

#: A statement without an end.
ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
}
#: The same as a short read.
SLOW = {
    "sqlite": select(func.max(column("i"))).select_from(
        text(
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) "
            "SELECT i FROM n) AS endless"
        )
    ),
    "postgresql": select(func.pg_sleep(600)),
}


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        yield engine
        await engine.dispose()


async def all_turns(stack: AsyncExitStack, readers: AsyncEngine) -> None:
    """Read with every connection that there is for reading."""
    for _ in range(READERS):
        connection = await stack.enter_async_context(reading(read_only(readers)))
        await connection.execute(text("SELECT 1"))


async def test_the_projection_goes_on_while_all_readers_are_busy(engine: AsyncEngine) -> None:
    readers = create_reading_engine(engine)
    async with AsyncExitStack() as stack, asyncio.timeout(10):
        await all_turns(stack, readers)
        await SqlProjection(engine).apply([found("e1")])
    assert await SqlReadModel(readers).customer("CUST_001") is not None
    await readers.dispose()


async def test_a_statement_that_takes_too_long_is_given_up_and_makes_room(
    engine: AsyncEngine,
) -> None:
    readers = create_reading_engine(engine, statement_seconds=0.1)
    async with asyncio.timeout(20):
        for _ in range(READERS + 1):
            with pytest.raises(ReadModelBusy, match="ask for less"):
                async with reading(read_only(readers)) as connection:
                    await connection.execute(text(ENDLESS[engine.dialect.name]))
            with pytest.raises(ReadModelBusy, match="ask for less"):
                await read(read_only(readers), Prepared(SLOW[engine.dialect.name]), {})
        assert await SqlReadModel(readers).customer("nobody") is None
    await readers.dispose()


async def test_a_database_in_memory_has_no_second_engine() -> None:
    engine = create_engine("sqlite://")
    assert create_reading_engine(engine) is engine
    await engine.dispose()


async def status_and_code(view: SqlWebView, path: str) -> tuple[int, Any]:
    response = await view.web.client.get(path)
    return response.status, (await response.json())["error"]["code"]


async def test_a_page_and_a_query_beyond_all_readers_are_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.05)
    async with running_sql_web(tmp_path) as view:
        async with AsyncExitStack() as stack:
            await all_turns(stack, view.readers)
            assert await status_and_code(view, "/lookups") == (503, "BUSY")
            answer = await view.web.graphql('{ explainLookup(basketId: "b") { basketId } }')
            assert answer["data"] == {"explainLookup": None}
            assert [error["extensions"] for error in answer["errors"]] == [{"code": "BUSY"}]
            await view.project(found("e1"))
        await view.page("/lookups")


@pytest.mark.skipif("postgresql" not in DATABASES, reason="needs POSSTREAM_TEST_DATABASE_URL")
@pytest.mark.parametrize("seconds", [-1, 60])
async def test_a_server_that_ends_its_sessions_fails_at_most_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """One connection is lost: with 60 it counts as just used, so nobody looks at it before."""
    monkeypatch.setattr(module, "_JUST_USED_SECONDS", seconds)
    query = Prepared(select(func.current_database()))
    async with database("postgresql", tmp_path) as url:
        engine = create_engine(url)
        readers = create_reading_engine(engine)
        async with AsyncExitStack() as stack:
            await all_turns(stack, readers)
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        failed = 0
        for _ in range(2 * READERS):
            try:
                assert len(await read(readers, query, {})) == 1
            except DatabaseAway:
                failed += 1
        assert failed == (seconds > 0)
        await readers.dispose()
        await engine.dispose()
