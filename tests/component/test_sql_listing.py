"""What all lists of the read model share."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.schema import FAILED, LOOKUP_ANSWERS
from posstream.read_model.engine import create_engine
from posstream.read_model.listing import count_up_to
from tests.component.sql_databases import DATABASES, database, failed, found, make_tables

ALL = select(LOOKUP_ANSWERS.c.event_id, LOOKUP_ANSWERS.c.reason)


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        await SqlProjection(engine).apply(
            [*(found(f"e{n}") for n in range(5)), failed("f1"), failed("f2")]
        )
        yield engine
        await engine.dispose()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ALL, 7),
        (ALL.where(FAILED), 2),
        (ALL.where(text("1 = 0")), 0),
        (ALL.where(LOOKUP_ANSWERS.c.event_id == "e1"), 1),
    ],
)
async def test_rows_are_counted_whatever_the_conditions_name(
    engine: AsyncEngine, query: Select[Any], expected: int
) -> None:
    assert await count_up_to(engine, query, 100) == expected
    assert await count_up_to(engine, query, 3) == min(expected, 3)
