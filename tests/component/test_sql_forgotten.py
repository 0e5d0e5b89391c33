"""Marks of forgotten customers in SQL: what is from before goes, whichever came first."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.customer_trail import CustomerTrails
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.written_answers import read_found
from posstream.domain.times import parse_utc, to_ms
from posstream.forgetting.forgotten import known_marks
from posstream.forgetting.marks import (
    Forgotten,
    Trail,
    subject_of_customer,
    subject_of_identifier,
)
from posstream.forgetting.record import forgotten
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.read_model.engine import create_engine
from posstream.read_model.projection import ProjectedEvent
from tests.component.sql_databases import (
    DATABASES,
    JOHN,
    BothProjections,
    at,
    database,
    failed,
    found,
    logged,
    make_tables,
    started,
)
from tests.component.test_sql_projection import clear, everything, jane
from tests.examples import most

PHONE, MAIL = "+1234567890", "john@example.com"
TRAIL = Trail((MAIL, PHONE), ("CUST_001",))
#: The seconds in which John is forgotten and comes back.
FORGOTTEN, BACK = 25, 30


def second(number: int) -> int:
    moment = parse_utc(at(number))
    assert moment is not None
    return to_ms(moment)


def mark(subject: str, when: int = FORGOTTEN, cache_entries: int = 0) -> ProjectedEvent:
    """A mark as the owner of the cache entry writes it."""
    record = forgotten(Forgotten(subject, second(when), cache_entries))
    return ProjectedEvent(CUSTOMER_FORGOTTEN, orjson.loads(record.value or b""))


def marks(when: int = FORGOTTEN, trail: Trail = TRAIL) -> list[ProjectedEvent]:
    return [mark(subject, when) for subject in sorted(trail.subjects)]


#: What makes rows that must go.
BEFORE = (
    found("b1", fetched=10),
    found("b2", fetched=20, identifier=MAIL, source="CACHE"),
    found("b3", fetched=21, basket="basket_2"),
    # An alias that SQL did not have yet when John was forgotten.
    found("b4", fetched=22, identifier="CARD_9", basket="basket_3"),
    # Answered after he was forgotten, with what had been asked before.
    found("b5", fetched=24, basket="basket_4", occurred_at=at(29)),
    failed("b6", identified=26, customer_identifier=PHONE, duration_ms=2500, occurred_at=at(27)),
    logged("b7"),
    logged("b8", attempt=2, call_started_at=at(24), request_timestamp=at(27)),
    # His record, by an identifier that is Jane's now, and by one that nobody is known by.
    logged("b9", customer_identifier="CARD_9"),
    logged("b10", customer_identifier="CARD_7", status="FAILED", request_timestamp=at(9)),
    # The directory calls the id otherwise: the event names him beside the response.
    logged("b11", customer_identifier="CARD_7", response_data={"no": 1}, customer_id="CUST_001"),
)
#: What stays: others, and John once he is back.
AFTER = (
    started("basket_2"),
    found("a1", fetched=BACK, identifier=MAIL, basket="basket_5"),
    found("a2", fetched=BACK + 1, basket="basket_6", customer={**JOHN, "tier": "BRONZE"}),
    found("a3", fetched=15, identifier="+0987654321", basket="basket_4", customer=jane()),
    # The identifier was Jane's once, and is again.
    found("a4", fetched=5, identifier="CARD_9", basket="basket_7", customer=jane()),
    found("a5", fetched=12, identified=1, identifier="CARD_8", basket="basket_2", customer=jane()),
    failed("a6", identified=28, customer_identifier=PHONE, basket="basket_8"),
    failed("a7", identified=8, basket="basket_8"),
    logged("a8", call_started_at=at(BACK), request_timestamp=at(BACK)),
    logged("a9", customer_identifier="+0987654321", response_data={"customer_id": "CUST_002"}),
    logged("a10", customer_identifier="CARD_7", request_timestamp=at(BACK)),
)


async def project(engine: AsyncEngine, *given: ProjectedEvent) -> dict[str, list[dict[str, Any]]]:
    await BothProjections(engine).apply(given)
    rows = await everything(engine)
    rows.pop("forgotten_subjects")
    return rows


@pytest.mark.parametrize("kind", DATABASES)
def test_whatever_came_first_and_how_often_the_rows_are_those_of_what_is_not_forgotten(
    kind: str, tmp_path: Path
) -> None:
    with asyncio.Runner() as runner:
        where = database(kind, tmp_path)
        engine = create_engine(runner.run(where.__aenter__()))

        async def rows_of(given: Sequence[ProjectedEvent], size: int) -> Any:
            await clear(engine)
            for start in range(0, len(given), size):
                await BothProjections(engine).apply(given[start : start + size])
            rows = await everything(engine)
            for row in rows["customer_identifiers"]:
                del row["answer_digest"]  # it only tells what need not be written again
            return rows

        runner.run(make_tables(engine))
        # Without what was before, and again with an older mark that changes nothing.
        expected = runner.run(rows_of([*AFTER, *marks()], 100))
        history = [*BEFORE, *AFTER, *marks(), *marks(3)]

        @settings(
            max_examples=most(25), deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
        @given(st.permutations(history), st.sampled_from([1, 4, 100]), st.sampled_from([1, 2]))
        def replay(given: Sequence[ProjectedEvent], size: int, times: int) -> None:
            assert runner.run(rows_of(given * times, size)) == expected

        try:
            replay()
        finally:
            runner.run(engine.dispose())
            runner.run(where.__aexit__(None, None, None))


async def test_rows_that_were_made_ready_before_a_mark_are_not_written_after_it(
    engine: AsyncEngine,
) -> None:
    projection, known = SqlProjection(engine), found("b0", fetched=10)
    await projection.apply([known])
    answer = read_found(orjson.dumps(found("b1", fetched=10, source="CACHE").value))
    waiting = [structs.replace(known, value=answer)]
    await projection.prepare(waiting)
    await project(engine, *marks())
    await projection.apply(waiting)
    assert (await project(engine))["lookup_answers"] == []


async def test_nothing_of_a_forgotten_customer_is_left_anywhere(engine: AsyncEngine) -> None:
    await project(engine, *BEFORE, started())
    rows = await project(engine, *marks())
    assert {name: len(left) for name, left in rows.items() if left} == {"baskets": 1}
    assert rows["baskets"][0]["basket_id"] == "basket_1"
    assert rows["baskets"][0]["customer_id"] is None
    everywhere = str(await everything(engine))
    assert [name for name in (PHONE, MAIL, "CARD_9", "CUST_001", "Doe") if name in everywhere] == []


async def test_a_record_that_another_identifier_brought_is_counted_and_goes(
    engine: AsyncEngine,
) -> None:
    moved = found("j1", fetched=15, identifier="CARD_9", customer=jane())
    await project(engine, found("m1", identifier="CARD_9"), moved, found("m2"))
    attempts = [
        logged("l1", customer_identifier="CARD_9"),
        logged("l2", customer_identifier="CARD_7", status="FAILED"),
        logged("l3", customer_identifier="CARD_9", response_data={"customer_id": "CUST_002"}),
    ]
    await project(engine, *attempts)
    trail = await CustomerTrails(engine).trail(PHONE)
    assert (await CustomerTrails(engine).rows(trail))["customer_lookup_logs"] == 2
    rows = await project(engine, *marks(trail=trail))
    assert [row["event_id"] for row in rows["customer_lookup_logs"]] == ["l3"]


async def test_a_customer_whose_identifiers_are_another_s_now_is_forgotten_alone(
    engine: AsyncEngine,
) -> None:
    hers = [
        found("j1", fetched=20, customer=jane(), basket="basket_2"),
        logged("l2", response_data={"customer_id": "CUST_002"}),
    ]
    expected = await project(engine, *hers)
    await project(engine, found("e1", fetched=10), logged("l1"))
    trail = await CustomerTrails(engine).trail_of_customer("CUST_001")
    assert trail == Trail((), ("CUST_001",))
    rows = await project(engine, *marks(trail=trail))
    for table in ("customer_identifiers", "customer_lookup_logs", "lookup_answers"):
        assert len(rows[table]) == len(expected[table]), table
    assert "CUST_001" not in str(rows)


async def test_others_keep_every_row(engine: AsyncEngine) -> None:
    others = [found("o1", customer=jane(), identifier="+0987654321"), failed("o2"), started("b9")]
    expected = await project(engine, *others)
    await project(engine, *BEFORE)
    assert await project(engine, *marks()) == expected


async def test_an_identifier_that_no_customer_is_known_by_is_forgotten_too(
    engine: AsyncEngine,
) -> None:
    await project(engine, failed("f1"), logged("l1", customer_identifier="+999", status="TIMEOUT"))
    rows = await project(engine, mark(subject_of_identifier("+999")))
    assert not any(rows.values())


async def test_a_mark_of_the_same_name_is_of_the_identifier_or_of_the_customer(
    engine: AsyncEngine,
) -> None:
    expected = await project(engine, *BEFORE)
    others = Trail((*TRAIL.customer_ids, "+555"), TRAIL.identifiers)
    assert await project(engine, *marks(trail=others)) == expected


async def test_a_mark_that_cannot_be_read_is_skipped(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ({}, {"subject": "s"}, {"forgotten_at": at(1)}, {"subject": 7, "forgotten_at": at(1)})
    given = [ProjectedEvent(CUSTOMER_FORGOTTEN, value) for value in bad]
    rows = await project(engine, *given, started())
    assert len(rows["baskets"]) == 1
    assert len(caplog.records) == len(bad)


async def test_more_rows_than_a_statement_has_room_for_are_forgotten(engine: AsyncEngine) -> None:
    many = [found(f"m{n}", basket=f"basket-{n}") for n in range(3_000)]
    await project(engine, *many, *BEFORE)
    assert not any((await project(engine, *marks())).values())


async def test_a_row_and_its_mark_written_at_the_same_time_leave_nothing(url: str) -> None:
    """Two workers: one has the event, the other the mark; each begins before the other ends."""
    engines = [create_engine(url) for _ in range(2)]
    try:
        await make_tables(engines[0])
        events_of, marks_of = (BothProjections(engine) for engine in engines)
        for round_ in range(40):
            identifier = f"+4915{round_:04}"
            row = found(f"e{round_}", identifier=identifier, basket=f"b{round_}")
            trail = Trail((identifier,))
            await asyncio.gather(events_of.apply([row]), marks_of.apply(marks(trail=trail)))
        assert (await everything(engines[0]))["lookup_answers"] == []
    finally:
        for engine in engines:
            await engine.dispose()


# -- what SQL knows of somebody


async def test_the_trail_has_every_alias_and_the_given_identifier_last(engine: AsyncEngine) -> None:
    await project(engine, *BEFORE[:3], *AFTER)
    erasure = CustomerTrails(engine)
    assert await erasure.trail(PHONE) == TRAIL
    assert await erasure.trail(MAIL) == Trail((PHONE, MAIL), ("CUST_001",))


async def test_the_trail_of_a_customer_has_every_identifier(engine: AsyncEngine) -> None:
    await project(engine, *BEFORE[:3], *AFTER)
    trail = await CustomerTrails(engine).trail_of_customer("CUST_001")
    assert trail == Trail((PHONE, MAIL), ("CUST_001",))


async def test_an_unknown_identifier_is_all_of_its_trail(engine: AsyncEngine) -> None:
    assert await CustomerTrails(engine).trail("+999") == Trail(("+999",))


async def test_rows_are_counted_by_table(engine: AsyncEngine) -> None:
    erasure = CustomerTrails(engine)
    await project(engine, found("e1"), found("e2", identifier=MAIL), failed("e3"), logged("l1"))
    await project(engine, started("basket_2"))
    assert await erasure.rows(TRAIL) == {
        "customers": 1,
        "customer_identifiers": 2,
        "baskets": 1,
        "customer_lookup_logs": 1,
        "lookup_answers": 2,
    }
    await project(engine, *marks())
    assert set((await erasure.rows(TRAIL)).values()) == {0}


async def test_marks_are_those_of_the_last_time(engine: AsyncEngine) -> None:
    subject = subject_of_customer("CUST_001")
    await project(engine, mark(subject, 20, cache_entries=1), mark(subject, 10))
    await project(engine, mark(subject, 15))
    assert await known_marks(engine, [subject, "another"]) == {
        subject: Forgotten(subject, second(20), cache_entries=1)
    }
