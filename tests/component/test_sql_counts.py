"""Counts stored by spans of time equal a count of the rows, whatever happened to the rows."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model import counting as counting_module
from agents.customer_lookup.read_model.counting import Counting
from agents.customer_lookup.read_model.part import READ_MODEL
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import LookupStatistics
from agents.customer_lookup.read_model.schema import (
    CUSTOMER_LOOKUP_LOGS,
    LOOKUP_ANSWERS,
    LOOKUP_COUNTS,
)
from agents.customer_lookup.read_model.spans import HOURS, KEPT_FOR, MINUTES, TENS, spans_of
from posstream.domain.times import iso_utc, to_ms
from posstream.forgetting.marks import Forgotten, subject_of_customer
from posstream.forgetting.projection import MarkProjection
from posstream.forgetting.record import forgotten
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.read_model.engine import create_engine
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.reading import create_reading_engine
from posstream.read_model.retention import Retention
from posstream.read_model.stored_time import stored
from posstream.read_model.tables import ReadModelTables
from posstream.resilience.tasks import stop_task
from tests.component.sql_databases import (
    DATABASES,
    database,
    failed,
    found,
    logged,
    make_tables,
    migrate,
)
from tests.examples import most

#: In the middle of an hour that is over.
NOON = (datetime.now(UTC) - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def answer(number: int, seconds: float, **changes: Any) -> ProjectedEvent:
    """The answer to an event that found the customer of this number."""
    who = {
        "customer_id": f"C{number}",
        "first_name": "A",
        "last_name": "B",
        "email": "",
        "phone": "",
    }
    made = found(f"e{number}", identifier=f"+49{number}", customer=who)
    times = dict.fromkeys(("occurred_at", "identified_at", "fetched_at"), iso_utc(at(seconds)))
    return ProjectedEvent(made.topic, {**made.value, **times, **changes})


def failure(number: int, seconds: float, **changes: Any) -> ProjectedEvent:
    made = failed(f"e{number}", customer_identifier=f"+49{number}")
    times = dict.fromkeys(("occurred_at", "identified_at"), iso_utc(at(seconds)))
    return ProjectedEvent(made.topic, {**made.value, **times, **changes})


def attempt(number: int, seconds: float, *, tried: int = 1, **changes: Any) -> ProjectedEvent:
    """The attempt of a lookup; the last one brings the answer."""
    told = {
        "lookup_id": f"l{number}",
        "attempt": tried,
        "customer_identifier": f"+49{number}",
        "response_data": {"customer_id": f"C{number}"},
        "request_timestamp": iso_utc(at(seconds)),
    }
    return logged(f"a{number}-{tried}", **{**told, **changes})


def mark(number: int, seconds: float) -> ProjectedEvent:
    """The customer of a number is forgotten."""
    record = forgotten(Forgotten(subject_of_customer(f"C{number}"), to_ms(at(seconds))))
    return ProjectedEvent(CUSTOMER_FORGOTTEN, orjson.loads(record.value or b""))


async def plainly_counted(engine: AsyncEngine, since: datetime) -> LookupStatistics:
    """The same figures, counted from every row."""
    answers, logs = LOOKUP_ANSWERS.c, CUSTOMER_LOOKUP_LOGS.c
    async with engine.connect() as connection:
        rows = (
            await connection.execute(
                select(answers.source, answers.reason).where(answers.occurred_at >= since)
            )
        ).all()
        attempts = (
            await connection.execute(
                select(
                    logs.status, logs.duration_ms, logs.lookup_id, logs.event_id, logs.waiters
                ).where(logs.request_timestamp >= since)
            )
        ).all()
    durations = sorted(it.duration_ms for it in attempts if it.duration_ms is not None)
    waiting: dict[str, int] = {}
    for it in attempts:
        name = it.lookup_id or it.event_id
        waiting[name] = max(waiting.get(name, 0), it.waiters or 0)
    return LookupStatistics(
        answers=Counter((it.source, it.reason) for it in rows),
        attempts=Counter(it.status for it in attempts),
        p50_ms=durations[-(-len(durations) * 50 // 100) - 1] if durations else None,
        p95_ms=durations[-(-len(durations) * 95 // 100) - 1] if durations else None,
        coalesced=sum(waiting.values()),
    )


async def check(engine: AsyncEngine) -> None:
    """Compare windows that begin between, at the begin of, and within spans."""
    readers = create_reading_engine(engine)
    model = SqlReadModel(readers)
    begins = [
        at(it) for it in (3700, 3600, 3599, 600, 61.25, 60, 59.5, 10, 9.999, 0.5, 0, -1, -3600)
    ]
    expected = [await plainly_counted(engine, since) for since in begins]
    assert [await model.lookup_statistics(since) for since in begins] == expected
    assert await model.windows_of_statistics(begins) == expected
    await readers.dispose()


async def counted(engine: AsyncEngine) -> dict[str, bool]:
    """Whether the spans that are known are counted."""
    columns = LOOKUP_COUNTS.c
    async with engine.connect() as connection:
        rows = await connection.execute(select(columns.span, columns.counts))
        return {span: counts is not None for span, counts in rows}


SOME = [
    answer(1, 5),
    answer(2, 9.5, source="CACHE"),
    failure(3, 61),
    answer(4, 3601, source="STALE_CACHE"),
    attempt(1, 4, waiters=2, duration_ms=7),
    attempt(2, 59, waiters=1, duration_ms=900, status="TIMEOUT"),
    attempt(2, 62, tried=2, waiters=3, duration_ms=30),
    attempt(4, 3600, status="NOT_FOUND", duration_ms=5),
    attempt(5, 3599, lookup_id=None, waiters=4, duration_ms=None, status=None),
]


async def test_a_span_is_counted_once_nothing_more_is_written_to_it(engine: AsyncEngine) -> None:
    counting = Counting(engine)
    await SqlProjection(engine).apply(SOME)
    assert await counting.round() == 0, "it came just now"
    numbers = [await counting.round() for _ in range(4)]
    spans = {TENS: 5, MINUTES: 4, HOURS: 2}
    assert numbers == [*spans.values(), 0], "tens of seconds, then minutes of them, then hours"
    assert all((await counted(engine)).values())
    await check(engine)


async def test_a_window_of_counted_spans_looks_at_few_rows(engine: AsyncEngine) -> None:
    await SqlProjection(engine).apply(SOME)
    counting = Counting(engine)
    while await counting.round() or not all((await counted(engine)).values()):
        pass
    async with engine.begin() as connection:  # what is left is told by what was counted
        await connection.execute(text("CREATE TABLE kept AS SELECT * FROM lookup_counts"))
        await connection.execute(delete(LOOKUP_ANSWERS))
        await connection.execute(delete(LOOKUP_COUNTS))
        await connection.execute(text("INSERT INTO lookup_counts SELECT * FROM kept"))
    whole = await SqlReadModel(engine).lookup_statistics(NOON)
    assert sum(whole.answers.values()) == 4


async def test_rows_that_are_written_while_they_are_counted_are_not_missed(
    engine: AsyncEngine,
) -> None:
    """Another projection commits after the count was made and before it is stored."""
    projection = SqlProjection(engine)

    class Late(Counting):
        async def _keep(self, found: Sequence[Mapping[str, Any]]) -> int:
            if found:
                await projection.apply([answer(9, 6)])
            return await super()._keep(found)

    await projection.apply(SOME)
    counting = Late(engine)
    for _ in range(6):
        await counting.round()
    await check(engine)


async def test_an_event_that_comes_again_counts_once_and_at_its_new_time(
    engine: AsyncEngine,
) -> None:
    projection, counting = SqlProjection(engine), Counting(engine)
    await projection.apply([failure(1, 5), answer(2, 6)])
    for again in ([failure(1, 5)], [answer(1, 75)], [answer(2, 6), answer(2, 8)]):
        for _ in range(5):
            await counting.round()
        await projection.apply(again)
        await check(engine)
    assert (await SqlReadModel(engine).lookup_statistics(at(60))).answers == {("API", None): 1}


async def test_a_replay_into_an_emptied_read_model_counts_the_same(engine: AsyncEngine) -> None:
    await SqlProjection(engine).apply(SOME)
    counting = Counting(engine)
    for _ in range(5):
        await counting.round()
    await ReadModelTables(engine, [READ_MODEL]).empty()
    assert await counted(engine) == {}
    await check(engine)
    await SqlProjection(engine).apply(SOME[:4])
    await check(engine)


async def test_rows_of_before_the_upgrade_are_counted(url: str) -> None:
    engine = create_engine(url)
    await migrate(engine, "0009")
    async with engine.begin() as connection:
        for seconds in (5, 65, -10 * 86_400):
            row = {
                "event_id": f"e{seconds}",
                "event_type": "CUSTOMER_DATA_FETCHED",
                "basket_id": "b",
                "customer_identifier": "+49",
                "source": "CACHE",
                "identified_at": at(seconds),
                "occurred_at": at(seconds),
            }
            await connection.execute(insert(LOOKUP_ANSWERS), row)
    await migrate(engine)
    assert set(await counted(engine)) == spans_of([stored(at(5)), stored(at(65))])
    counting = Counting(engine)
    for _ in range(5):
        await check(engine)
        await counting.round()
    assert all((await counted(engine)).values())
    week = await SqlReadModel(engine).lookup_statistics(at(-20 * 86_400))
    assert week.answers == {("CACHE", None): 3}
    await engine.dispose()


async def test_rows_that_an_older_version_wrote_meanwhile_are_found_at_the_start(
    engine: AsyncEngine,
) -> None:
    counting = Counting(engine)
    await SqlProjection(engine).apply(SOME)
    for _ in range(5):
        await counting.round()
    assert await counting.compare() == set()
    async with engine.begin() as connection:
        before = (await connection.execute(select(LOOKUP_COUNTS))).all()
    await SqlProjection(engine).apply([answer(8, 7), answer(9, 1803)])
    async with engine.begin() as connection:
        await connection.execute(delete(LOOKUP_COUNTS))
        await connection.execute(insert(LOOKUP_COUNTS), [it._asdict() for it in before])
    assert await counting.compare() == spans_of([stored(at(7)), stored(at(1803))])
    await check(engine)


async def test_counts_are_compared_again_after_an_hour(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_module, "_PAUSE_SECONDS", 0)
    starts, now, rounds = [], NOON, asyncio.Event()

    class Watched(Counting):
        async def compare(self) -> Collection[str]:
            starts.append(now)
            return ()

        async def round(self) -> int:
            rounds.set()
            return 0

    counting = asyncio.create_task(Watched(engine, now=lambda: now).run())
    for minutes in (0, 30, 59, 60, 90, 120):
        now = NOON + timedelta(minutes=minutes)
        for _ in range(2):  # the first of them may have begun before
            rounds.clear()
            await rounds.wait()
    await stop_task(counting)
    assert starts == [NOON + timedelta(hours=it) for it in range(3)]


async def test_old_counts_go_and_their_rows_still_count(engine: AsyncEngine) -> None:
    await SqlProjection(engine).apply(SOME)
    later = NOON + timedelta(hours=1) + KEPT_FOR
    await Counting(engine, now=lambda: later).round()
    assert set(await counted(engine)) == spans_of([stored(at(3600))])


STEPS = st.lists(
    st.one_of(
        st.just("count"),
        st.just("retain"),
        st.tuples(st.just("forget"), st.integers(0, 5)),
        st.lists(
            st.one_of(
                st.builds(
                    answer,
                    st.integers(0, 5),
                    st.integers(-5, 130),
                    source=st.sampled_from(["CACHE", "API", "STALE_CACHE"]),
                ),
                st.builds(failure, st.integers(0, 5), st.integers(-5, 130)),
                st.builds(
                    attempt,
                    st.integers(0, 5),
                    st.integers(-5, 130),
                    tried=st.just(2),
                    waiters=st.integers(0, 3),
                    duration_ms=st.integers(0, 4),
                    status=st.sampled_from(["SUCCESS", "FAILED"]),
                ),
            ),
            min_size=1,
            max_size=4,
        ),
    ),
    max_size=12,
)


async def take(engine: AsyncEngine, counting: Counting, step: Any) -> None:
    if step == "count":
        await counting.round()
    elif step == "retain":
        aging = READ_MODEL.aging() if READ_MODEL.aging else {}
        await Retention(engine, aging, timedelta(), now=lambda: at(33)).sweep()
    elif isinstance(step, tuple):
        erasures = [READ_MODEL.erase] if READ_MODEL.erase else []
        await MarkProjection(engine, erasures).apply([mark(step[1], 70)])
    else:
        await SqlProjection(engine).apply(step)


def test_counts_equal_the_rows_after_any_steps(tmp_path: Path) -> None:
    async def steps_of(number: int, steps: Sequence[Any]) -> None:
        async with database(DATABASES[-1], tmp_path / str(number)) as url:
            engine = create_engine(url)
            await make_tables(engine)
            try:
                counting = Counting(engine)
                for step in steps:
                    await take(engine, counting, step)
                    await check(engine)
            finally:
                await engine.dispose()

    with asyncio.Runner() as runner:
        numbers = iter(range(10_000))

        @settings(
            max_examples=most(100),
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(STEPS)
        def holds(steps: Sequence[Any]) -> None:
            runner.run(steps_of(next(numbers), steps))

        holds()
