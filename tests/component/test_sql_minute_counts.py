"""Kept counts of minutes are those of the rows, whatever comes or goes between two looks."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.part import READ_MODEL
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.read_model.engine import create_engine
from posstream.read_model.tables import ReadModelTables
from tests.component.sql_databases import (
    DATABASES,
    at,
    database,
    failed,
    found,
    logged,
    make_tables,
)

EIGHT = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        yield engine
        await engine.dispose()


def an_hour() -> list[Any]:
    return [
        *(found(f"a{n}", occurred_at=at(n), source="CACHE") for n in range(0, 600, 7)),
        *(failed(f"f{n}", occurred_at=at(n)) for n in range(0, 600, 50)),
        *(
            logged(f"l{n}", lookup_id=f"l{n // 20}", waiters=n % 3, duration_ms=n, **_asked(n))
            for n in range(0, 600, 10)
        ),
    ]


def _asked(second: int) -> dict[str, Any]:
    return {"request_timestamp": at(second), "status": "TIMEOUT" if second % 20 else "SUCCESS"}


async def assert_counts(model: SqlReadModel, engine: AsyncEngine) -> None:
    """The counts are those of a reader that has kept nothing."""
    for seconds in (0, 30, 60, 61, 125, 300, 599, -3600):
        since = EIGHT + timedelta(seconds=seconds)
        new = await SqlReadModel(engine).lookup_statistics(since)
        assert await model.lookup_statistics(since) == new, seconds


async def test_late_rows_of_any_minute_are_counted(engine: AsyncEngine) -> None:
    projection, model = SqlProjection(engine), SqlReadModel(engine)
    await assert_counts(model, engine)
    await projection.apply(an_hour())
    await assert_counts(model, engine)
    late = [
        found("late", occurred_at=at(130)),
        failed("later", occurred_at=at(131), reason="OVERLOADED"),
        logged("latest", lookup_id="x", waiters=9, duration_ms=3, **_asked(20)),
    ]
    before = await model.lookup_statistics(EIGHT)
    await projection.apply(late)
    await assert_counts(model, engine)
    after = await model.lookup_statistics(EIGHT)
    assert after.split.lookups == before.split.lookups + 2
    assert after.coalesced == before.coalesced + 9
    await projection.apply([*late, *an_hour()])  # a replay counts nothing twice
    assert await model.lookup_statistics(EIGHT) == after


async def test_whole_minutes_are_counted_as_the_rows_are(engine: AsyncEngine) -> None:
    await SqlProjection(engine).apply(an_hour())
    model = SqlReadModel(engine)
    for _ in range(2):
        counted = await model.lookup_statistics(EIGHT + timedelta(seconds=65))
        assert counted.answers == {
            ("CACHE", None): len(range(70, 600, 7)),
            (None, "TIMEOUT"): len(range(100, 600, 50)),
        }
        assert counted.attempts == {"SUCCESS": 26, "TIMEOUT": 27}
        assert (counted.p50_ms, counted.p95_ms) == (330, 570)


async def test_rows_that_went_are_not_counted(engine: AsyncEngine) -> None:
    projection, model = SqlProjection(engine), SqlReadModel(engine)
    await projection.apply(an_hour())
    await assert_counts(model, engine)
    await ReadModelTables(engine, [READ_MODEL]).empty()
    await assert_counts(model, engine)
    await projection.apply(an_hour()[::2])
    await assert_counts(model, engine)


async def test_a_second_look_reads_no_minute_again(engine: AsyncEngine) -> None:
    await SqlProjection(engine).apply(an_hour())
    model = SqlReadModel(engine)
    await model.lookup_statistics(EIGHT)
    seen: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *it: seen.append(it[2]))
    await model.lookup_statistics(EIGHT)
    assert [one for one in seen if "minute" in one] == []
    assert len([one for one in seen if one.startswith("SELECT")]) == 11
