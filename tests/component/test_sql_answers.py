"""The list of answers is read as it is asked for, page by page in both directions."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import (
    NO_RESPONSE,
    AnswerFilter,
    AnswerOutcome,
    AnswerRow,
    AttemptFilter,
)
from agents.customer_lookup.reasons import AttemptStatus, Reason, Source
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

DAY = datetime(2026, 1, 31, 8, tzinfo=UTC)
ALL = AnswerFilter()


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        yield engine
        await engine.dispose()


@pytest.fixture
async def model(engine: AsyncEngine) -> SqlReadModel:
    """One answer of each sort, ten seconds apart."""
    await SqlProjection(engine).apply(
        [
            found("api", fetched=10),
            found("cache", fetched=20, source="CACHE", basket="basket_2"),
            found("stale", fetched=30, source="STALE_CACHE", identifier="john@example.com"),
            failed("unknown", identified=40, reason="NOT_FOUND", source="API"),
            failed("remembered", identified=50, reason="NOT_FOUND", source="CACHE"),
            failed("timeout", identified=60),
            failed("open", identified=70, reason="CIRCUIT_OPEN", basket="basket_2"),
        ]
    )
    return SqlReadModel(engine)


async def ids(model: SqlReadModel, wanted: AnswerFilter = ALL, **place: Any) -> list[str]:
    rows = await model.lookup_answers(wanted, **({"first": 100} | place))
    return [row.event_id for row in rows]


def position(row: AnswerRow) -> tuple[datetime, str]:
    return row.occurred_at, row.event_id


async def test_all_answers_come_newest_first(model: SqlReadModel) -> None:
    assert await ids(model) == ["open", "timeout", "remembered", "unknown", "stale", "cache", "api"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AnswerFilter(outcome=AnswerOutcome.FOUND), ["stale", "cache", "api"]),
        (AnswerFilter(outcome=AnswerOutcome.UNKNOWN), ["remembered", "unknown"]),
        (AnswerFilter(outcome=AnswerOutcome.FAILED), ["open", "timeout"]),
        (AnswerFilter(source=Source.CACHE), ["remembered", "cache"]),
        (AnswerFilter(source=Source.STALE_CACHE), ["stale"]),
        (AnswerFilter(reason=Reason.TIMEOUT), ["timeout"]),
        (AnswerFilter(reason=Reason.NOT_FOUND, source=Source.API), ["unknown"]),
        (AnswerFilter(outcome=AnswerOutcome.FOUND, reason=Reason.TIMEOUT), []),
        (AnswerFilter(identifier="john@example.com"), ["stale"]),
        (AnswerFilter(basket_id="basket_2"), ["open", "cache"]),
        (AnswerFilter(basket_id="no\0basket"), []),
        (
            AnswerFilter(since=DAY + timedelta(seconds=31), until=DAY + timedelta(seconds=51)),
            ["unknown", "stale"],
        ),
    ],
)
async def test_a_filter_leaves_what_meets_all_of_it(
    model: SqlReadModel, wanted: AnswerFilter, expected: list[str]
) -> None:
    assert await ids(model, wanted) == expected


async def test_pages_meet_in_both_directions_within_one_millisecond(engine: AsyncEngine) -> None:
    model = SqlReadModel(engine)
    await SqlProjection(engine).apply([found(f"e{n}", occurred_at=at(10)) for n in range(7)])
    first = await model.lookup_answers(ALL, first=3)
    await SqlProjection(engine).apply([found("later", occurred_at=at(11))])
    assert await ids(model, first=3, after=position(first[-1])) == ["e3", "e2", "e1"]
    assert await ids(model, first=2, after=position(first[-1]), rising=True) == ["e5", "e6"]
    assert await ids(model, first=9, after=position(first[-1]), rising=True) == [
        "e5",
        "e6",
        "later",
    ]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (ALL, "ix_lookup_answers_occurred_at"),
        (AnswerFilter(outcome=AnswerOutcome.FAILED), "ix_lookup_answers_failed"),
        (AnswerFilter(reason=Reason.TIMEOUT), "ix_lookup_answers_failed"),
        (AnswerFilter(outcome=AnswerOutcome.UNKNOWN), "ix_lookup_answers_unknown"),
        (AnswerFilter(reason=Reason.NOT_FOUND), "ix_lookup_answers_unknown"),
        (AnswerFilter(source=Source.STALE_CACHE), "ix_lookup_answers_stale"),
        (AnswerFilter(identifier="+1"), "ix_lookup_answers_customer_identifier"),
        (AnswerFilter(basket_id="b"), "ix_lookup_answers_basket_id"),
        (AnswerFilter(customer_id="C"), "ix_lookup_answers_customer_identifier"),
        (AnswerFilter(terminal_id="t"), "ix_baskets_known_terminal"),
        (AnswerFilter(employee_id="e"), "ix_baskets_known_employee"),
        (AnswerFilter(config_version=7), "ix_lookup_answers_config_version"),
    ],
)
async def test_sqlite_reads_what_is_rare_from_its_index(
    tmp_path: Path, wanted: AnswerFilter, index: str
) -> None:
    def ask(model: SqlReadModel) -> Awaitable[object]:
        return model.lookup_answers(wanted, first=50, after=(DAY, "e1"))

    (plan,) = await plans(tmp_path, ask)
    assert index in plan


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (AttemptFilter(), "request_timestamp"),
        (AttemptFilter(status=AttemptStatus.TIMEOUT), "status"),
        (AttemptFilter(http_status=503), "http_status"),
        (AttemptFilter(http_status=NO_RESPONSE), "http_status"),
        (AttemptFilter(api_endpoint="http://directory.test/"), "request_timestamp"),
        (AttemptFilter(customer_identifier="+1"), "customer_identifier"),
        (AttemptFilter(customer_id="C"), "customer_id"),
        (AttemptFilter(basket_id="b"), "basket_id"),
    ],
)
async def test_sqlite_reads_attempts_by_an_index(
    tmp_path: Path, wanted: AttemptFilter, index: str
) -> None:
    def ask(model: SqlReadModel) -> Awaitable[object]:
        return model.attempts(wanted, first=50, after=(DAY, "e1"))

    (plan,) = await plans(tmp_path, ask)
    assert f"USING INDEX ix_customer_lookup_logs_{index} " in plan


async def test_sqlite_finds_the_newest_attempt_of_an_identifier_by_the_identifier(
    tmp_path: Path,
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'posstream.db'}")
    await make_tables(engine)
    await SqlProjection(engine).apply([found("e1"), *(logged(f"a{n}") for n in range(50))])
    await engine.dispose()
    *_, identifiers, _ = await plans(tmp_path, lambda model: model.customer_history("CUST_001"))
    assert "INDEX ix_customer_lookup_logs_customer_identifier (" in identifiers


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.lookup_statistics(DAY),
        lambda model: model.answer_window(DAY, DAY + timedelta(hours=1)),
        lambda model: model.answers_by_version([1, 2], DAY),
        lambda model: model.marked_attempts(DAY, DAY + timedelta(hours=1), mark="x"),
    ],
)
async def test_sqlite_counts_a_window_by_the_index_of_its_times(
    tmp_path: Path, ask: Callable[[SqlReadModel], Awaitable[object]]
) -> None:
    for plan in await plans(tmp_path, ask):
        by = r"(config_version=\? AND )?(occurred_at|request_timestamp|span)>"
        assert re.search(rf"SEARCH \w+ USING INDEX \w+ \({by}", plan)


async def plans(tmp_path: Path, ask: Callable[[SqlReadModel], Awaitable[object]]) -> Sequence[str]:
    """How SQLite reads what `ask` asks, a text for each statement."""
    engine = create_engine(f"sqlite:///{tmp_path / 'posstream.db'}")
    if not (tmp_path / "posstream.db").exists():
        await make_tables(engine)
    asked: list[tuple[str, Any]] = []
    event.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, parameters, *_: asked.append((statement, parameters)),
    )
    await ask(SqlReadModel(engine))
    told = []
    async with engine.connect() as connection:
        for statement, parameters in [one for one in asked if one[0].startswith("SELECT")]:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            told.append(" ".join(row.detail for row in plan))
    await engine.dispose()
    return told
