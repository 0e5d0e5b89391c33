"""The read model behind PgBouncer in transaction mode: no two transactions need one session."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.read_model.part import READ_MODEL
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.configuration.store import SqlConfigurationStore
from posstream.domain.errors import DatabaseAway, ReadModelBusy
from posstream.read_model.asking import ask
from posstream.read_model.engine import create_engine, read_only
from posstream.read_model.reading import READERS, create_reading_engine, reading
from posstream.read_model.rows_writer import LONG
from posstream.read_model.tables import ReadModelTables
from tests.component.sql_databases import JOHN, SERVER, failed, found, make_tables
from tests.servers import pgbouncer, postgres
from tests.servers.needed import need

pytestmark = pytest.mark.skipif(not SERVER, reason="the SQL suite runs without PostgreSQL")


@pytest.fixture
async def pooler() -> AsyncIterator[pgbouncer.Pooler]:
    need(postgres)
    need(pgbouncer)
    with postgres.server() as server, pgbouncer.pooler(server.port) as pooler:
        await server.ready()
        await pooler.ready()
        yield pooler


async def test_readers_and_writers_in_any_number_share_a_few_sessions(
    pooler: pgbouncer.Pooler,
) -> None:
    engines = [create_engine(pooler.url("postgres")) for _ in range(2)]
    assert await ask(engines[0], [PLUGIN])
    await make_tables(engines[0])
    readers = create_reading_engine(engines[0])
    projections = [SqlProjection(engine) for engine in engines]

    async def write(number: int) -> None:
        customer = {**JOHN, "customer_id": f"CUST_{number}"}
        events = [found(f"e{number}", identifier=f"+49{number}", customer=customer)]
        await projections[number % 2].apply(events)

    async def read() -> None:
        for number in range(15):
            await SqlReadModel(readers).customer(f"CUST_{number}")
            await SqlReadModel(engines[1]).customer(f"CUST_{number}")
            await SqlConfigurationStore(engines[0], "customer_lookup").latest()

    async with asyncio.timeout(60):
        await asyncio.gather(*(write(n) for n in range(60)), *(read() for _ in range(READERS)))
    counts = await ReadModelTables(engines[0], [READ_MODEL]).counts()
    assert counts["customers"] == counts["lookup_answers"] == 60
    for engine in (*engines, readers):
        await engine.dispose()


async def test_long_lists_leave_nothing_in_the_sessions_that_they_share(
    pooler: pgbouncer.Pooler,
) -> None:
    engine = create_engine(pooler.url("postgres"))
    await make_tables(engine)
    projections = [SqlProjection(engine) for _ in range(2 * pgbouncer.SESSIONS)]
    lists = [
        [failed(f"e{number}-{each}", basket=f"b{each}") for each in range(LONG)]
        for number in range(len(projections))
    ]
    async with asyncio.timeout(60):
        for _ in range(2):
            await asyncio.gather(*map(SqlProjection.apply, projections, lists))
    counts = await ReadModelTables(engine, [READ_MODEL]).counts()
    assert counts["lookup_answers"] == len(projections) * LONG
    await engine.dispose()


async def test_a_statement_is_limited_and_the_next_transaction_is_not(
    pooler: pgbouncer.Pooler,
) -> None:
    engine = create_engine(pooler.url("postgres"))
    readers = create_reading_engine(engine, statement_seconds=0.1)
    with pytest.raises(ReadModelBusy):
        async with reading(read_only(readers)) as connection:
            await connection.execute(text("SELECT pg_sleep(60)"))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SHOW statement_timeout")) == "0"
        assert await connection.scalar(text("SHOW transaction_read_only")) == "off"
    await readers.dispose()
    await engine.dispose()


async def test_a_database_that_the_pooler_does_not_know_is_a_refusal() -> None:
    need(postgres)
    need(pgbouncer)
    with postgres.server() as server, pgbouncer.pooler(server.port, "shop") as pooler:
        await server.ready()
        await pooler.ready()
        engine = create_engine(pooler.url("elsewhere"))
        with pytest.raises(DatabaseAway, match="no such database") as refused:
            await ask(engine, [PLUGIN])
        assert not refused.value.passes
        await engine.dispose()


async def test_a_server_that_is_away_behind_the_pooler_is_away() -> None:
    need(pgbouncer)
    with pgbouncer.pooler(1) as pooler:
        await pooler.ready()
        engine = create_engine(pooler.url("postgres"))
        with pytest.raises(DatabaseAway) as away:
            await ask(engine, [PLUGIN])
        assert away.value.passes
        await engine.dispose()
