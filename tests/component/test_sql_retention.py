"""Old rows of lookups and baskets are deleted; customers and young rows stay."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.baskets.read_model.schema import TILL_BASKETS
from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.topics import TOPICS
from posstream.domain.times import iso_utc
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.topics import PLATFORM_TOPICS
from posstream.plugins.discovery import find_plugins
from posstream.read_model import retention
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.named_rows import SLICE
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.retention import Retention
from tests.component.sql_databases import DATABASES, database, failed, found, logged, started
from tests.integration.harness import environment, until

KEEP = timedelta(days=30)
NOW = datetime(2026, 6, 30, tzinfo=UTC)
OLD, YOUNG = iso_utc(NOW - KEEP - timedelta(seconds=1)), iso_utc(NOW - KEEP)
PATIENCE_SECONDS = 60


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        assert await upgrade(engine, find_plugins()) == {}
        yield engine
        await engine.dispose()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_PAUSE_SECONDS", 0)


def kept_days(engine: AsyncEngine) -> Retention:
    parts = [it.read_model for it in find_plugins() if it.read_model is not None]
    aging = {table: it for part in parts if part.aging for table, it in part.aging().items()}
    return Retention(engine, aging, KEEP, now=lambda: NOW)


def lookup(number: str, at: str, *, began: str | None = None) -> list[ProjectedEvent]:
    """All that the topics have of a lookup."""
    basket, who = f"b{number}", f"+49{number}"
    return [
        _with(started(basket), occurred_at=began or at),
        _with(logged(f"l{number}", basket_id=basket), request_timestamp=at),
        _with(
            found(f"e{number}", basket=basket, identifier=who),
            **dict.fromkeys(("occurred_at", "identified_at", "fetched_at", "fresh_until"), at),
        ),
        _with(failed(f"f{number}", basket=basket), occurred_at=at, identified_at=at),
    ]


def _with(event: ProjectedEvent, **changes: str) -> ProjectedEvent:
    return ProjectedEvent(event.topic, {**event.value, **changes})


async def keys(engine: AsyncEngine) -> dict[str, set[str]]:
    columns = {
        "baskets": schema.BASKETS.c.basket_id,
        "attempts": schema.CUSTOMER_LOOKUP_LOGS.c.event_id,
        "answers": schema.LOOKUP_ANSWERS.c.event_id,
        "identifiers": schema.CUSTOMER_IDENTIFIERS.c.identifier,
        "customers": schema.CUSTOMERS.c.customer_id,
    }
    async with engine.connect() as connection:
        return {
            name: set(await connection.scalars(select(column))) for name, column in columns.items()
        }


async def spans(engine: AsyncEngine) -> dict[str, bool]:
    """By the letter of their length, whether all spans that have lookups are counted."""
    columns = schema.LOOKUP_COUNTS.c
    counted: dict[str, bool] = {}
    async with engine.connect() as connection:
        for span, counts in await connection.execute(select(columns.span, columns.counts)):
            counted[span[0]] = counts is not None and counted.get(span[0], True)
    return counted


async def test_what_is_older_is_deleted_and_customers_stay(engine: AsyncEngine) -> None:
    await SqlProjection(engine).apply([*lookup("1", OLD), *lookup("2", YOUNG)])
    counts = await kept_days(engine).sweep()
    assert counts == {
        "baskets": 1,
        "customer_lookup_logs": 1,
        "lookup_answers": 2,
        "till_baskets": 0,
    }
    assert await keys(engine) == {
        "baskets": {"b2"},
        "attempts": {"l2"},
        "answers": {"e2", "f2"},
        "identifiers": {"+491", "+492"},
        "customers": {"CUST_001"},
    }


async def test_a_basket_is_old_when_each_time_that_it_has_is_past(engine: AsyncEngine) -> None:
    await SqlProjection(engine).apply(
        [
            *lookup("1", YOUNG, began=OLD),
            *lookup("2", OLD, began=YOUNG),
            started("without-time", second=None),
            _with(started("only-began"), occurred_at=OLD),
            _with(started("only-began-later"), occurred_at=YOUNG),
        ]
    )
    await kept_days(engine).sweep()
    assert (await keys(engine))["baskets"] == {"b1", "b2", "without-time", "only-began-later"}


async def test_a_transaction_deletes_few_rows(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A projection on SQLite waits for one of them at most."""
    monkeypatch.setattr(retention, "_FOUND", SLICE + 200)  # more searches than one
    count = 2 * SLICE + 500
    await SqlProjection(engine).apply(
        [_with(failed(f"f{it}"), occurred_at=OLD) for it in range(count)]
    )
    deleted: list[int] = []

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def note(_: object, cursor: Any, statement: str, *__: object) -> None:
        if statement.startswith("DELETE FROM lookup_answers"):
            deleted.append(cursor.rowcount)

    assert (await kept_days(engine).sweep())["lookup_answers"] == count
    assert (sum(deleted), max(deleted)) == (count, SLICE)


async def test_a_deleted_basket_of_a_till_goes_and_an_open_one_of_these_days_stays(
    engine: AsyncEngine,
) -> None:
    none = dict.fromkeys(it.name for it in TILL_BASKETS.columns if it.nullable)
    row = {
        **none,
        "revision": 1,
        "status": "PAID",
        **dict.fromkeys(("subtotal", "discount", "total", "paid", "refunded"), Decimal(0)),
        **{name: [] for name in ("items", "payments", "refunds", "events")},
    }
    old, young = NOW - KEEP - timedelta(seconds=1), NOW - KEEP
    async with engine.begin() as connection:
        await connection.execute(
            TILL_BASKETS.insert(),
            [
                {**row, "basket_id": "paid", "started_at": old, "completed_at": old},
                {**row, "basket_id": "paid-later", "started_at": old, "completed_at": young},
                {**row, "basket_id": "never-paid", "started_at": old, "completed_at": None},
                {**row, "basket_id": "open", "started_at": young, "completed_at": None},
            ],
        )
    await kept_days(engine).sweep()
    async with engine.connect() as connection:
        kept = set(await connection.scalars(select(TILL_BASKETS.c.basket_id)))
    assert kept == {"paid-later", "open"}


async def test_the_process_of_the_projections_deletes_what_the_setting_says_and_counts_the_rest(
    tmp_path: Path,
) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    url = f"sqlite:///{tmp_path / 'x.sqlite3'}"
    engine = create_engine(url)
    await upgrade(engine, find_plugins())
    now = datetime.now(UTC)
    old = iso_utc(now - timedelta(days=10))
    await SqlProjection(engine).apply([*lookup("1", old), *lookup("2", iso_utc(now))])
    await prepare_topics([broker.address], [*PLATFORM_TOPICS, *TOPICS], partitions=2, replication=1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "posstream.cli", "project"),
        env=environment(broker=f"kafka://{broker.address}", database_url=url)
        | {"POSSTREAM_KEEP_ROWS_DAYS": "9"},
        cwd=Path(__file__).parents[2],
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"deleted 2 rows of lookup_answers" not in await process.stderr.readline():
                pass
        await until(lambda: spans(engine), {"h": True, "m": True, "s": True}, PATIENCE_SECONDS)
    finally:
        process.kill()
        await process.wait()
        broker.stop()
    kept = await keys(engine)
    counts = await SqlReadModel(engine).lookup_statistics(now - timedelta(minutes=1))
    await engine.dispose()
    assert (sum(counts.answers.values()), sum(counts.attempts.values())) == (2, 1)
    assert (kept["answers"], kept["baskets"], kept["attempts"]) == ({"e2", "f2"}, {"b2"}, {"l2"})
    assert kept["identifiers"] == {"+491", "+492"}
