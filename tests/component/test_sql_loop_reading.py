"""Short reads of a SQLite file need no thread and no connection of the pool."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Integer, Text, bindparam, literal, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import Position
from agents.customer_lookup.reasons import AttemptStatus
from posstream.read_model import loop_reading
from posstream.read_model.engine import create_engine, read_only
from posstream.read_model.loop_reading import LoopReader
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import (
    READERS,
    create_reading_engine,
    read,
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


@asynccontextmanager
async def all_taken(readers: AsyncEngine) -> AsyncIterator[None]:
    """While every connection of the pool is taken: a short read needs none of them."""
    async with AsyncExitStack() as stack:
        for _ in range(READERS):
            await stack.enter_async_context(reading(read_only(readers)))
        yield


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
    async with all_taken(readers):
        for one in (
            lambda model: model.customers_by_ids(["CUST_001", "C9", "nobody"]),
            lambda model: model.customer_by_identifier("CARD_2"),
            lambda model: model.customer_by_identifier("CARD_3"),
            lambda model: model.baskets_by_ids(["b0", "b1", "none"]),
            lambda model: model.next_customers(first=1),
            lambda model: model.next_customers(first=9, after="C9", tier="GOLD"),
            lambda model: model.next_customers(first=9, tier="X"),
            lambda model: model.next_customers(first=9, after="C9", identifiers=False),
            lambda model: model.lookup_logs(first=2),
            lambda model: model.lookup_logs(first=9, status=AttemptStatus.TIMEOUT, after=place),
            lambda model: model.lookup_logs(first=9, identifier="+1234567890", basket_id="b1"),
            lambda model: model.lookup_statistics(place.at),
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
    assert reader.rows(COUNTED, {}) is None
    assert reader.rows(ONE, {}) == [(1,)]
    reader.close()
    assert [tuple(row) for row in await read(readers, COUNTED, {})] == [(1_000_000,)]


@pytest.mark.parametrize(("rest_seconds", "expected"), [(60, None), (-1, [(1_000_000,)])])
async def test_a_read_that_took_too_long_is_not_tried_again_for_a_while(
    readers: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    rest_seconds: float,
    expected: object,
) -> None:
    monkeypatch.setattr(loop_reading, "_FIRST_REST_SECONDS", rest_seconds)
    monkeypatch.setattr(loop_reading, "_REST_SECONDS", rest_seconds)
    reader = LoopReader(str(readers.url.database), readers.dialect, seconds=-1)
    assert reader.rows(COUNTED, {}) is None
    monkeypatch.setattr(reader, "_seconds", 60)
    assert reader.rows(COUNTED, {}) == expected
    assert reader.rows(ONE, {}) == [(1,)], "another query is read"
    reader.close()


async def test_a_read_rests_longer_each_time_in_a_row_that_it_takes_too_long(
    readers: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the past, so that it is tried again at once.
    monkeypatch.setattr(loop_reading, "_FIRST_REST_SECONDS", -1)
    reader = LoopReader(str(readers.url.database), readers.dialect)
    rests = []
    for seconds in (-1, -1, -1, 60, -1):
        monkeypatch.setattr(reader, "_seconds", seconds)
        reader.rows(COUNTED, {})
        rests.append(reader._too_slow[COUNTED].seconds if COUNTED in reader._too_slow else None)
    reader.close()
    assert rests == [-1, -2, -4, None, -1]


@pytest.mark.parametrize(("cpu_seconds", "expected"), [(0.0, [(1_000_000,)]), (9.0, None)])
async def test_what_other_processes_take_of_the_core_is_not_counted(
    readers: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    cpu_seconds: float,
    expected: object,
) -> None:
    # Each look at the CPU time finds so much more.
    taken = count(step=cpu_seconds)
    monkeypatch.setattr(loop_reading.time, "thread_time", lambda: next(taken))
    reader = LoopReader(str(readers.url.database), readers.dialect, seconds=6)
    assert reader.rows(COUNTED, {}) == expected
    reader.close()


async def test_a_read_that_waits_for_long_is_left_to_the_ordinary_way(
    readers: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_reading, "_WAITING", -1)
    reader = LoopReader(str(readers.url.database), readers.dialect, seconds=60)
    assert reader.rows(COUNTED, {}) is None
    reader.close()


async def test_a_file_that_cannot_be_read_is_left_to_the_ordinary_way(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'none.db'}")
    reader = LoopReader(str(engine.url.database), engine.dialect)
    assert reader.rows(ONE, {}) is None
    assert not (tmp_path / "none.db").exists()
    assert await read(create_reading_engine(engine), ONE, {}) == [(1,)]
    await engine.dispose()


async def test_an_engine_that_was_disposed_of_reads_again(readers: AsyncEngine) -> None:
    for _ in range(2):
        async with all_taken(readers):
            assert await read(readers, ONE, {}) == [(1,)]
        await readers.dispose()


async def test_values_are_bound_by_name(readers: AsyncEngine) -> None:
    two, one = bindparam("b", type_=Text), bindparam("a", type_=Integer)
    query = Prepared(select(two, one, bindparam("b", type_=Text)))
    async with all_taken(readers):
        assert await read(readers, query, {"a": 1, "b": "two"}) == [("two", 1, "two")]
