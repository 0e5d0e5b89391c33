"""Answers between two moments and by version of the configuration, as they were projected."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import AnswerWindow, MarkedAttempts
from posstream.read_model.engine import create_engine
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
FIVE_PAST = datetime(2026, 1, 31, 8, 5, tzinfo=UTC)


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        yield engine
        await engine.dispose()


async def project(engine: AsyncEngine, *events: Any) -> SqlReadModel:
    await SqlProjection(engine).apply(events)
    return SqlReadModel(engine)


async def test_an_empty_window_has_no_percentile(engine: AsyncEngine) -> None:
    model = SqlReadModel(engine)
    assert await model.answer_window(EIGHT, FIVE_PAST) == AnswerWindow({}, None)
    assert await model.marked_attempts(EIGHT, FIVE_PAST, mark="drill: ") == MarkedAttempts(0, 0)
    assert await model.answers_by_version({0, 1}, EIGHT) == {}


async def test_a_window_counts_from_its_start_up_to_but_not_including_its_end(
    engine: AsyncEngine,
) -> None:
    model = await project(
        engine,
        found("e1", occurred_at=at(0), source="CACHE"),
        found("e2", occurred_at=at(299)),
        found("e3", occurred_at=at(300)),
        failed("e4", occurred_at=at(10)),
    )
    window = await model.answer_window(EIGHT, FIVE_PAST)
    assert window.answers == {("CACHE", None): 1, ("API", None): 1, (None, "TIMEOUT"): 1}


async def test_the_percentile_is_over_all_answers_by_nearest_rank(engine: AsyncEngine) -> None:
    quick = [found(f"e{n}", occurred_at=at(n), duration_ms=n) for n in range(1, 20)]
    slow = failed("slow", occurred_at=at(30), duration_ms=12_000)
    model = await project(engine, *quick, slow)
    assert (await model.answer_window(EIGHT, FIVE_PAST)).p95_ms == 19
    slower = failed("slower", occurred_at=at(31), duration_ms=9_000)
    model = await project(engine, slower)
    assert (await model.answer_window(EIGHT, FIVE_PAST)).p95_ms == 9_000


async def test_attempts_are_told_apart_by_the_start_of_their_error(engine: AsyncEngine) -> None:
    model = await project(
        engine,
        logged("e1", lookup_id="l1", error_message="drill: HTTP status 503"),
        logged("e2", lookup_id="l2", error_message="no drill: none"),
        logged("e3", lookup_id="l3"),
        logged("e4", lookup_id="l4", request_timestamp=at(300), error_message="drill: x"),
    )
    assert await model.marked_attempts(EIGHT, FIVE_PAST, mark="drill: ") == MarkedAttempts(3, 1)


async def test_answers_are_counted_by_the_version_that_they_were_made_by(
    engine: AsyncEngine,
) -> None:
    model = await project(
        engine,
        found("e1", config_version=0, occurred_at=at(1)),
        found("e2", config_version=1, source="CACHE", occurred_at=at(2)),
        failed("e3", config_version=1, occurred_at=at(3)),
        found("e4", config_version=2, occurred_at=at(4)),
        found("e5", config_version=1, source="CACHE", occurred_at=at(300)),
    )
    assert await model.answers_by_version({0, 1, 7}, EIGHT) == {
        0: {("API", None): 1},
        1: {("CACHE", None): 2, (None, "TIMEOUT"): 1},
    }
    assert await model.answers_by_version({0, 1, 7}, FIVE_PAST) == {1: {("CACHE", None): 1}}
