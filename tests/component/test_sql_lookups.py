"""Attempts, counts and the history of a basket are read back as they were projected."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.lookup_counts import LookupCounts
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import LookupLogRow, LookupStatistics, Position
from agents.customer_lookup.reasons import AttemptStatus
from posstream.domain.times import iso_utc
from posstream.read_model.engine import create_engine
from tests.component.sql_databases import (
    DATABASES,
    JOHN,
    at,
    database,
    failed,
    found,
    logged,
    make_tables,
    started,
)

DAY = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        yield engine
        await engine.dispose()


@pytest.fixture
def model(engine: AsyncEngine) -> SqlReadModel:
    return SqlReadModel(engine)


async def project(engine: AsyncEngine, *events: Any) -> None:
    await SqlProjection(engine).apply(events)


async def ids(model: SqlReadModel, **question: Any) -> list[str]:
    return [row.event_id for row in await model.lookup_logs(**({"first": 100} | question))]


def position(row: LookupLogRow) -> Position:
    return Position(row.request_timestamp, row.event_id)


# -- attempts


async def test_an_attempt_is_read_with_every_field(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(engine, logged("e1", waiters=3, attempt=2, call_started_at=at(9)))
    assert await model.lookup_logs(first=10) == [
        LookupLogRow(
            event_id="e1",
            lookup_id="lookup-1",
            attempt=2,
            waiters=3,
            basket_id="basket_1",
            customer_identifier="+1234567890",
            identifier_kind="PHONE",
            api_endpoint="http://directory.test/",
            request_timestamp=datetime(2026, 1, 31, 8, 0, 10, tzinfo=UTC),
            response_timestamp=datetime(2026, 1, 31, 8, 0, 11, tzinfo=UTC),
            status="SUCCESS",
            http_status=200,
            response_data={"customer_id": "CUST_001"},
            error_message=None,
            duration_ms=9,
            call_started_at=datetime(2026, 1, 31, 8, 0, 9, tzinfo=UTC),
        )
    ]


async def test_attempts_come_newest_first_and_ties_by_their_id(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(
        engine,
        logged("a", request_timestamp=at(10)),
        logged("c", request_timestamp=at(20)),
        logged("b", request_timestamp=at(20)),
    )
    assert await ids(model) == ["c", "b", "a"]


async def test_pages_meet_without_a_gap_whatever_is_written_meanwhile(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(engine, *(logged(f"e{n}", request_timestamp=at(10 + n // 2)) for n in range(6)))
    first = await model.lookup_logs(first=3)
    await project(engine, logged("newer", request_timestamp=at(50)))
    second = await model.lookup_logs(first=3, after=position(first[-1]))
    assert [row.event_id for row in [*first, *second]] == ["e5", "e4", "e3", "e2", "e1", "e0"]
    assert await ids(model, after=position(second[-1])) == []


async def test_a_millisecond_is_not_lost_between_two_pages(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    times = [f"2026-01-31T08:00:00.{ms:03}Z" for ms in (1, 2, 3)]
    await project(engine, *(logged(time, request_timestamp=time) for time in times))
    (newest,) = await model.lookup_logs(first=1)
    assert await ids(model, after=position(newest)) == [times[1], times[0]]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["e3", "e2", "e1"]),
        ({"status": AttemptStatus.TIMEOUT}, ["e2"]),
        ({"status": AttemptStatus.NOT_FOUND}, []),
        ({"identifier": "john@example.com"}, ["e3", "e2"]),
        ({"basket_id": "basket_2"}, ["e3"]),
        ({"identifier": "john@example.com", "status": AttemptStatus.SUCCESS}, ["e3"]),
        ({"identifier": "nobody\0"}, []),
        ({"basket_id": "\ud800"}, []),
        ({"after": Position(DAY, "\0")}, []),
    ],
)
async def test_all_filters_must_hold(
    engine: AsyncEngine, model: SqlReadModel, filters: dict[str, Any], expected: list[str]
) -> None:
    await project(
        engine,
        logged("e1", request_timestamp=at(1)),
        logged(
            "e2",
            request_timestamp=at(2),
            customer_identifier="john@example.com",
            status="TIMEOUT",
        ),
        logged(
            "e3",
            request_timestamp=at(3),
            customer_identifier="john@example.com",
            basket_id="basket_2",
        ),
    )
    assert await ids(model, **filters) == expected


async def test_the_next_customers_begin_after_the_last_one(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(
        engine,
        *(
            found(f"e{n}", identifier=f"CARD_{n}", customer={**JOHN, "customer_id": f"C{n}"})
            for n in range(5)
        ),
    )
    seen = [row.customer_id for row in await model.next_customers(first=2, after="C1")]
    assert seen == ["C2", "C3"]
    assert [row.customer_id for row in await model.next_customers(first=9, after="C4")] == []
    assert await model.next_customers(first=9, after="\0") == []


async def test_the_next_customers_are_the_same_without_their_identifiers(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(engine, found("e1"), found("e2", identifier="CARD_2"))
    (whole,) = await model.next_customers(first=9)
    assert whole.identifiers == ("+1234567890", "CARD_2")
    assert await model.next_customers(first=9, identifiers=False) == [
        dataclasses.replace(whole, identifiers=())
    ]


# -- counts


async def test_nothing_is_counted_where_nothing_was(model: SqlReadModel) -> None:
    assert await model.lookup_statistics(DAY) == LookupStatistics({}, {}, None, None, 0)


async def test_answers_are_counted_by_source_and_reason_from_the_moment_on(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(
        engine,
        found("old", fetched=8),
        found("a1", fetched=9),
        found("a2", fetched=20),
        found("c1", fetched=20, source="CACHE"),
        found("s1", fetched=20, source="STALE_CACHE"),
        failed("u1", identified=20, reason="NOT_FOUND", source="CACHE"),
        failed("t1", identified=20),
        failed("t2", identified=20),
    )
    counted = await model.lookup_statistics(datetime(2026, 1, 31, 8, 0, 10, tzinfo=UTC))
    assert counted.answers == {
        ("API", None): 2,
        ("CACHE", None): 1,
        ("STALE_CACHE", None): 1,
        ("CACHE", "NOT_FOUND"): 1,
        (None, "TIMEOUT"): 2,
    }


async def test_a_step_of_a_chart_counts_from_its_begin_up_to_its_end(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(
        engine,
        found("before", fetched=8),
        found("first", fetched=9),
        failed("unknown", identified=20, reason="NOT_FOUND", source="API"),
        failed("late", identified=20),
        *(
            logged(f"e{n}", request_timestamp=at(n), status=status)
            for n, status in enumerate(("SUCCESS", "NOT_FOUND", "FAILED", "TIMEOUT", None), 10)
        ),
        logged("after", request_timestamp=at(30), status="FAILED"),
    )
    begin = datetime(2026, 1, 31, 8, 0, 10, tzinfo=UTC)
    counted = await model.lookup_counts(begin, begin + timedelta(seconds=20))
    assert counted == LookupCounts(lookups=3, failed=1, calls=5, failed_calls=2)
    assert await model.lookup_counts(begin, begin) == LookupCounts()


async def test_percentiles_are_by_nearest_rank_over_all_statuses(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    statuses = ("SUCCESS", "NOT_FOUND", "FAILED", "TIMEOUT")
    await project(
        engine,
        *(logged(f"e{n}", duration_ms=n, status=statuses[n % 4]) for n in range(1, 101)),
        logged("unmeasured", duration_ms=None, status=None),
        logged("before", request_timestamp=at(0), duration_ms=10**6),
    )
    counted = await model.lookup_statistics(datetime(2026, 1, 31, 8, 0, 5, tzinfo=UTC))
    assert (counted.p50_ms, counted.p95_ms) == (50, 95)
    assert counted.attempts == dict.fromkeys(statuses, 25) | {None: 1}


@pytest.mark.parametrize(
    ("durations", "p50", "p95"), [([7], 7, 7), ([3, 1, 2], 2, 3), ([4, 1, 3, 2], 2, 4)]
)
async def test_a_few_attempts_have_percentiles_too(
    engine: AsyncEngine, model: SqlReadModel, durations: list[int], p50: int, p95: int
) -> None:
    await project(engine, *(logged(f"e{n}", duration_ms=n) for n in durations))
    counted = await model.lookup_statistics(DAY)
    assert (counted.p50_ms, counted.p95_ms) == (p50, p95)


async def test_those_who_waited_for_a_lookup_are_counted_once_for_all_its_attempts(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(
        engine,
        logged("e1", lookup_id="l1", attempt=1, waiters=2),
        logged("e2", lookup_id="l1", attempt=2, waiters=5),
        logged("e3", lookup_id="l2", waiters=1),
        logged("e4", lookup_id=None, waiters=1),
        logged("e5", lookup_id=None, waiters=None),
    )
    assert (await model.lookup_statistics(DAY)).coalesced == 7


# -- the history of a basket


async def test_a_basket_that_nobody_saw_has_no_history(model: SqlReadModel) -> None:
    for unknown in ("basket_9", "", "\0", "\ud800"):
        assert await model.basket_history(unknown) is None


async def test_a_history_has_the_start_the_answers_the_attempts_and_the_customer(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(
        engine,
        started("basket_1"),
        logged("try2", request_timestamp=at(10), attempt=2),
        logged("try1", request_timestamp=at(9)),
        failed("a1", identified=1),
        found("a2", fetched=10),
        found("elsewhere", basket="basket_2"),
        logged("elsewhere-try", basket_id="basket_2", customer_identifier="CARD_9"),
    )
    history = await model.basket_history("basket_1")
    assert history is not None
    assert (history.basket.employee_id, history.customer.customer_id) == ("1", "CUST_001")
    assert [row.event_id for row in history.answers] == ["a1", "a2"]
    assert [row.event_id for row in history.attempts] == ["try1", "try2"]
    assert [row.event_id for row in history.origins] == ["try2"]


async def test_the_call_of_another_basket_is_the_origin_of_a_hit(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(
        engine,
        logged("theirs", basket_id="basket_2", request_timestamp=at(10)),
        found("ours", fetched=10, source="CACHE", occurred_at=at(30)),
    )
    history = await model.basket_history("basket_1")
    assert [row.event_id for row in history.origins] == ["theirs"]
    assert history.attempts == []


async def test_attempts_without_an_answer_are_a_history(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(engine, logged("e1", basket_id="basket_7"))
    history = await model.basket_history("basket_7")
    assert (history.basket, history.customer, list(history.answers)) == (None, None, [])
    assert [iso_utc(row.request_timestamp) for row in history.attempts] == [at(10)]


async def test_of_many_answers_the_newest_fifty_are_told(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    await project(engine, *(failed(f"e{n:02}", identified=n) for n in range(60)))
    history = await model.basket_history("basket_1")
    assert [row.event_id for row in history.answers] == [f"e{n:02}" for n in range(10, 60)]
