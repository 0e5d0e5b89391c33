"""Long lists on SQLite: many rows in one statement give the same rows, and the same count."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model import fields, schema
from agents.customer_lookup.read_model.projection import SqlProjection
from posstream.read_model.engine import create_engine
from posstream.read_model.rows_writer import RowsWriter
from tests.component.sql_databases import failed, make_tables

#: Two statements of the longest length, one of the next, and a rest.
COUNT = 2 * 1024 + 128 + 7


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'posstream.db'}")
    await make_tables(engine)
    yield engine
    await engine.dispose()


def inserts(engine: AsyncEngine) -> list[tuple[bool, int]]:
    """The inserts of answers from now on: whether by `executemany`, and the rows in the text."""
    seen: list[tuple[bool, int]] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(*what: object) -> None:
        _, _, statement, _, _, executemany = what
        if "INTO lookup_answers" in str(statement):
            seen.append((bool(executemany), str(statement).count("(?")))

    return seen


async def test_many_rows_go_in_few_statements_and_none_is_lost(engine: AsyncEngine) -> None:
    seen = inserts(engine)
    await SqlProjection(engine).apply([failed(f"e{it}", basket=f"b{it}") for it in range(COUNT)])
    assert seen == [(False, 1024), (False, 1024), (False, 128), (True, 1)]
    async with engine.connect() as connection:
        columns = schema.LOOKUP_ANSWERS.c
        rows = await connection.execute(select(columns.event_id, columns.basket_id))
        assert set(map(tuple, rows)) == {(f"e{it}", f"b{it}") for it in range(COUNT)}


async def test_only_the_rows_that_are_new_are_counted(engine: AsyncEngine) -> None:
    """`EventRows` looks for rows to replace only if some were there."""
    rows = [{"span": f"s {it}", "mark": 1, "counts": None} for it in range(COUNT)]
    writer = RowsWriter(engine, schema.LOOKUP_COUNTS, lambda it: it.on_conflict_do_nothing())
    async with engine.begin() as connection:
        assert await writer.write(connection, rows[::2]) == len(rows[::2])
        assert await writer.write(connection, rows) == len(rows[1::2])
        assert await writer.write(connection, rows) == 0


async def test_a_row_that_the_database_refuses_is_skipped_alone(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As if a value had slipped through that our own checks are there to stop."""
    monkeypatch.setattr(fields, "storable", lambda text: text)
    batch = [failed(f"e{it}", basket=f"b{it}") for it in range(COUNT)]
    batch[1500] = failed("refused", lookup_id="\ud800")
    await SqlProjection(engine).apply(batch)
    async with engine.connect() as connection:
        kept = set(await connection.scalars(select(schema.LOOKUP_ANSWERS.c.event_id)))
    assert kept == {it.value["event_id"] for it in batch} - {"refused"}
    assert "the database refuses its rows" in caplog.text
