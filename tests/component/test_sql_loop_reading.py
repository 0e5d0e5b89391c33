"""Short reads of a SQLite file need no thread and no connection of the pool."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Integer, Text, bindparam, literal, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import Position
from agents.customer_lookup.reasons import AttemptStatus
from posstream.read_model.engine import create_engine, read_only
from posstream.read_model.loop_reading import LoopReader
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import (
    READERS,
    create_reading_engine,
    read_at_once,
    reading,
)
from tests.component.sql_databases import JOHN, found, logged, make_tables, started

COUNTED = Prepared(
    select(text("count(*)")).select_from(
        text(
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) "
            "SELECT i FROM n)"
        )
    )
)
ONE = Prepared(select(literal(1)))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'posstream.db'}")
    await make_tables(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def readers(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    readers = create_reading_engine(engine)
    yield readers
    await readers.dispose()


async def test_both_ways_read_the_same(engine: AsyncEngine, readers: AsyncEngine) -> None:
    await SqlProjection(engine).apply(
        [
            *(found(f"e{n}", basket=f"b{n}", identifier=f"CARD_{n}", fetched=n) for n in range(3)),
            found("e9", identifier="CARD_9", customer={**JOHN, "customer_id": "C9", "tier": "X"}),
            started("b0"),
            *(logged(f"l{n}", status="TIMEOUT" if n % 2 else "SUCCESS") for n in range(5)),
        ]
    )
    ordinary, short = SqlReadModel(engine), SqlReadModel(readers)
    place = Position(datetime(2026, 1, 31, 8, 0, 10, tzinfo=UTC), "l3")
    async with AsyncExitStack() as stack:
        for _ in range(READERS):  # the short way needs none of them
            await stack.enter_async_context(reading(read_only(readers)))
        for one in (
            lambda model: model.customers_by_ids(["CUST_001", "C9", "nobody"]),
            lambda model: model.customer_by_identifier("CARD_2"),
            lambda model: model.customer_by_identifier("CARD_3"),
            lambda model: model.baskets_by_ids(["b0", "b1", "none"]),
            lambda model: model.next_customers(first=1),
            lambda model: model.next_customers(first=9, after="C9", tier="GOLD"),
            lambda model: model.next_customers(first=9, tier="X"),
            lambda model: model.lookup_logs(first=2),
            lambda model: model.lookup_logs(first=9, status=AttemptStatus.TIMEOUT, after=place),
            lambda model: model.lookup_logs(first=9, identifier="+1234567890", basket_id="b1"),
        ):
            assert await one(short) == await one(ordinary)
    assert len(await short.lookup_logs(first=9, status=AttemptStatus.TIMEOUT, after=place)) == 1


async def test_what_was_just_written_is_read(engine: AsyncEngine, readers: AsyncEngine) -> None:
    model = SqlReadModel(readers)
    assert await model.customer("CUST_001") is None
    await SqlProjection(engine).apply([found("e1")])
    assert (await model.customer("CUST_001")) is not None


async def test_a_read_that_takes_long_is_left_to_the_ordinary_way(readers: AsyncEngine) -> None:
    reader = LoopReader(str(readers.url.database), readers.dialect, seconds=-1)
    assert reader.run(lambda it: it.rows(COUNTED)) is None
    assert reader.run(lambda it: [tuple(row) for row in it.rows(ONE)]) == ([(1,)],)
    reader.close()


async def test_a_file_that_cannot_be_read_is_left_to_the_ordinary_way(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'none.db'}")
    readers = create_reading_engine(engine)
    assert read_at_once(readers, lambda it: it.rows(ONE)) is None
    assert not (tmp_path / "none.db").exists()
    await readers.dispose()
    await engine.dispose()


async def test_an_engine_that_was_disposed_of_reads_again(readers: AsyncEngine) -> None:
    assert read_at_once(readers, lambda it: len(it.rows(ONE))) == (1,)
    await readers.dispose()
    assert read_at_once(readers, lambda it: len(it.rows(ONE))) == (1,)


async def test_values_are_bound_by_name_and_read_by_type(readers: AsyncEngine) -> None:
    query = Prepared(
        select(
            bindparam("b", type_=Text), bindparam("a", type_=Integer), bindparam("b", type_=Text)
        )
    )
    found = read_at_once(readers, lambda it: it.rows(query, a=1, b="two"))
    assert found is not None
    assert [tuple(row) for row in found[0]] == [("two", 1, "two")]
