"""The projection: answers into rows, beside plain inserts of the same rows."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup import topics
from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.rows import batch_of as _batch
from benchmarks.cache_entries import document, identifier
from benchmarks.contestants.answers import now_ms, record
from benchmarks.customer_search import new_database
from benchmarks.figures import figure, ratios, table
from benchmarks.progress import say
from benchmarks.setting import Setting
from posstream.domain.times import iso_utc_ms
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.projection import ProjectedEvent
from tests.servers import postgres

BATCH: Final = 500
_BATCHES: Final = 20

Write = Callable[[AsyncEngine, Sequence[ProjectedEvent]], Awaitable[None]]


def measure(setting: Setting) -> dict[str, Any]:
    """Both ways on each database, each time in an empty one, in turns.

    Returns:
        Rows a second by database and way; databases that this machine lacks are left out.
    """
    found = {"SQLite": asyncio.run(_rounds(setting, None))}
    lacking = postgres.lacking()
    if lacking is None:
        with postgres.running() as server:
            found["PostgreSQL"] = asyncio.run(_rounds(setting, server))
    else:
        say(f"no PostgreSQL: {lacking}")
    return {"batch": BATCH, "rows_per_second": found}


async def _rounds(setting: Setting, server: str | None) -> dict[str, list[float]]:
    batches = [_events(start, BATCH) for start in range(0, BATCH * _BATCHES, BATCH)]
    ways: dict[str, Write] = {"projection": _project, "plain inserts": _insert}
    rows = sum(len(_batch(it).of(table)) for it in batches for table in schema.READ_MODEL)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1, setting.rounds + 1):
        for name, write in ways.items():
            async with _database(setting.folder, server) as engine:
                began = time.monotonic()
                for batch in batches:
                    await write(engine, batch)
                seconds = time.monotonic() - began
            rows = sum(
                len(_batch(batch).of(table)) for batch in batches for table in schema.READ_MODEL
            )
            found[name].append(rows / seconds)
            say(
                f"round {number} of {setting.rounds}: {'PostgreSQL' if server else 'SQLite':10} "
                f"{name:14} {found[name][-1]:9,.0f} rows/s"
            )
    return found


@asynccontextmanager
async def _database(folder: Path, server: str | None) -> AsyncIterator[AsyncEngine]:
    """An empty read model."""
    if server is None:
        async with _opened(f"sqlite:///{folder}/{uuid.uuid4().hex}.sqlite3") as engine:
            yield engine
        return
    async with new_database(server) as url, _opened(url) as engine:
        yield engine


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    try:
        await upgrade(engine, find_plugins())
        yield engine
    finally:
        await engine.dispose()


async def _project(engine: AsyncEngine, events: Sequence[ProjectedEvent]) -> None:
    await SqlProjection(engine).apply(events)


async def _insert(engine: AsyncEngine, events: Sequence[ProjectedEvent]) -> None:
    rows = _batch(events)
    async with engine.begin() as connection:
        for table in schema.READ_MODEL:
            if of_table := rows.of(table):
                await connection.execute(insert(table), list(of_table.values()))


def _events(first: int, count: int) -> list[ProjectedEvent]:
    """Answers for customers who are new, each for another one: both ways write the same rows."""
    made = []
    for number in range(first, first + count):
        event = {
            "event_id": f"event-{number}",
            "basket_id": f"basket-{number}",
            "customer_identifier": identifier(number),
            "occurred_at": iso_utc_ms(now_ms()),
        }
        answer = record(event, orjson.loads(document(number)), now_ms())
        made.append(ProjectedEvent(topics.CUSTOMER_DATA_FETCHED, answer))
    return made


def section(found: dict[str, Any]) -> str:
    """Rows a second by database."""
    rows = [
        [
            database,
            *(figure(rates) for rates in ways.values()),
            figure(ratios(ways["projection"], ways["plain inserts"]), 2),
        ]
        for database, ways in found["rows_per_second"].items()
    ]
    return table(["", "projection, rows/s", "plain inserts, rows/s", "ratio"], rows)
