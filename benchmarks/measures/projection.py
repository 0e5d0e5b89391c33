"""The projection: answers into rows, beside plain writes of the same rows, ready made."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import orjson
from sqlalchemy import Table, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup import topics
from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.fields import Row
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.recent_customers import RecentCustomers
from agents.customer_lookup.read_model.rows import batch_of
from benchmarks import figures
from benchmarks.cache_entries import document, identifier
from benchmarks.contestants.answers import now_ms, record
from benchmarks.customer_search import new_database
from benchmarks.figures import figure, ratios
from benchmarks.progress import say
from benchmarks.setting import Setting
from posstream.domain.times import iso_utc_ms
from posstream.kafka.tuning import MAX_BATCH
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.projector import projected
from posstream.read_model.rows_writer import written_columns
from tests.servers import postgres

_BATCHES: Final = 10
_CUSTOMERS: Final = 1_000
#: What an answer from the cache writes: no row of the customer.
_TABLES: Final = (schema.BASKETS, schema.LOOKUP_ANSWERS)

#: Writes one batch.
Write = Callable[[], Awaitable[None]]


def measure(setting: Setting) -> dict[str, Any]:
    """Both ways on each database, each time in an empty one, in turns.

    Returns:
        Answers a second by database and way; databases that this machine lacks are left out.
    """
    found = {"SQLite": asyncio.run(_rounds(setting, None))}
    lacking = postgres.lacking()
    if lacking is None:
        with postgres.running() as server:
            found["PostgreSQL"] = asyncio.run(_rounds(setting, server))
    else:
        say(f"no PostgreSQL: {lacking}")
    return {"batch": MAX_BATCH, "answers_per_second": found}


async def _rounds(setting: Setting, server: str | None) -> dict[str, list[float]]:
    fetched_at_ms = now_ms()
    starts = range(0, MAX_BATCH * _BATCHES, MAX_BATCH)
    batches = [_records(start, fetched_at_ms) for start in starts]
    found: dict[str, list[float]] = {name: [] for name in _WAYS}
    for number in range(1, setting.rounds + 1):
        for name, way in _WAYS.items():
            async with _database(setting.folder, server) as engine:
                writes = way(engine, batches)
                began = time.monotonic()
                for write in writes:
                    await write()
                seconds = time.monotonic() - began
            found[name].append(MAX_BATCH * _BATCHES / seconds)
            say(
                f"round {number} of {setting.rounds}: {'PostgreSQL' if server else 'SQLite':10} "
                f"{name:14} {found[name][-1]:9,.0f} answers/s"
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
    engine = create_engine(url, bulk=True)
    try:
        await upgrade(engine, find_plugins())
        yield engine
    finally:
        await engine.dispose()


def _projections(engine: AsyncEngine, batches: Sequence[Sequence[Any]]) -> Sequence[Write]:
    """From the bytes of a record on."""
    projection = SqlProjection(engine)

    def write(records: Sequence[Any]) -> Write:
        return lambda: projection.apply(_decoded(records))

    return [write(records) for records in batches]


def _plain_writes(engine: AsyncEngine, batches: Sequence[Sequence[Any]]) -> Sequence[Write]:
    """Ready rows by the driver: `executemany` on SQLite, COPY on PostgreSQL."""
    customers = RecentCustomers()

    def write(records: Sequence[Any]) -> Write:
        rows = batch_of(_decoded(records), customers).rows
        ready = [(table, list(rows[table].values())) for table in _TABLES]
        return lambda: _write(engine, ready)

    return [write(records) for records in batches]


_WAYS: Final = {"projection": _projections, "plain writes": _plain_writes}


async def _write(engine: AsyncEngine, ready: Sequence[tuple[Table, Sequence[Row]]]) -> None:
    async with engine.begin() as connection:
        for table, rows in ready:
            names = written_columns(table)
            values = [tuple(row[name] for name in names) for row in rows]
            if engine.dialect.name == "sqlite":
                statement = str(insert(table).compile(dialect=sqlite.dialect(), column_keys=names))
                await connection.exec_driver_sql(statement, values)
                continue
            driver: Any = (await connection.get_raw_connection()).driver_connection
            copied = f"COPY {table.name} ({', '.join(names)}) FROM STDIN"
            async with driver.cursor() as cursor, cursor.copy(copied) as copy:
                for row in values:
                    await copy.write_row(row)


def _decoded(records: Sequence[Any]) -> Sequence[ProjectedEvent]:
    found = (projected(it, SqlProjection.decoders) for it in records)
    return [event for event in found if event is not None]


def _records(first: int, fetched_at_ms: int) -> list[Any]:
    """Answers of 1,000 customers from the cache, each for a basket of its own."""
    made = []
    for number in range(first, first + MAX_BATCH):
        customer = number % _CUSTOMERS
        event = {
            "event_id": f"event-{number}",
            "basket_id": f"basket-{number}",
            "customer_identifier": identifier(customer),
            "occurred_at": iso_utc_ms(now_ms()),
        }
        answer = record(event, orjson.loads(document(customer)), fetched_at_ms)
        made.append(
            SimpleNamespace(
                topic=topics.CUSTOMER_DATA_FETCHED,
                partition=0,
                offset=number,
                value=orjson.dumps(answer),
            )
        )
    return made


def section(found: dict[str, Any]) -> str:
    """Answers a second by database."""
    rows = [
        [
            database,
            *(figure(rates) for rates in ways.values()),
            figure(ratios(ways["projection"], ways["plain writes"]), 2),
        ]
        for database, ways in found["answers_per_second"].items()
    ]
    return figures.table(["", "projection, answers/s", "plain writes, answers/s", "ratio"], rows)
