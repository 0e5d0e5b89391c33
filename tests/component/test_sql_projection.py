"""Events become rows, the same ones whatever their order and however often they come."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import Table, delete, event, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.recent_customers import KNOWN_SECONDS
from agents.customer_lookup.read_model.rows import read_basket_started
from agents.customer_lookup.read_model.written_answers import read_found
from posstream.domain.times import iso_utc, parse_utc
from posstream.json.reading import read_json_exactly
from posstream.json.writing import write_json
from posstream.read_model import schema as platform
from posstream.read_model.engine import create_engine
from posstream.read_model.projection import ProjectedEvent
from tests.component.sql_databases import (
    DATABASES,
    JOHN,
    at,
    database,
    failed,
    found,
    logged,
    make_tables,
    migrate,
    started,
)


@pytest.fixture
def projection(engine: AsyncEngine) -> SqlProjection:
    return SqlProjection(engine)


async def rows(engine: AsyncEngine, table: Table) -> list[dict[str, Any]]:
    """The rows of a table by its key, without their numbers: those follow the arrival."""
    columns = [column for column in table.columns if column.name != "id"]
    async with engine.connect() as connection:
        found = await connection.execute(select(*columns).order_by(columns[0]))
        return [dict(row._mapping) for row in found]


#: Of the platform and of the plugin.
TABLES = [*platform.METADATA.sorted_tables, *schema.READ_MODEL]


async def everything(engine: AsyncEngine) -> dict[str, list[dict[str, Any]]]:
    return {table.name: await rows(engine, table) for table in TABLES}


async def only(engine: AsyncEngine, table: Table) -> dict[str, Any]:
    (row,) = await rows(engine, table)
    return row


async def clear(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for table in TABLES:
            await connection.execute(delete(table))


def jane(points: int = 1) -> dict[str, Any]:
    return {**JOHN, "customer_id": "CUST_002", "loyalty_points": points}


HISTORY = (
    found("e1", fetched=10),
    found("e2", fetched=30, customer={**JOHN, "loyalty_points": 1300}),
    found("e2b", fetched=30, customer={**JOHN, "loyalty_points": 1300}, source="CACHE"),
    found("e3", fetched=20, identifier="john@example.com", basket="basket_2"),
    found("e4", fetched=40, identifier="john@example.com", basket="basket_2", customer=jane()),
    found("e5", fetched=30, identifier="john@example.com", identified=41, customer=jane(7)),
    found("e6", fetched=30, identifier="+0987654321", identified=41, customer=jane(8)),
    failed("e7", identified=50),
    failed("e8", identified=9, basket="basket_3"),
    found("e8", identified=9, basket="basket_3"),
    logged("l1"),
    logged("l2", status="TIMEOUT", response_data=None, request_timestamp=at(12)),
    started(second=5),
    started(second=4, terminal_id="t0"),
    started(second=4, employee_id="0", terminal_id="t9"),
    started("basket_4", second=None),
    started("basket_2", second=None, employee_id=3),
    started("basket_2", second=60, employee_id=2),
)


@pytest.mark.parametrize("kind", DATABASES)
def test_a_replay_in_any_order_and_any_batches_gives_identical_rows(
    kind: str, tmp_path: Path
) -> None:
    with asyncio.Runner() as runner:
        where = database(kind, tmp_path)
        engine = create_engine(runner.run(where.__aenter__()))

        async def project(
            events: Sequence[ProjectedEvent], size: int
        ) -> dict[str, list[dict[str, Any]]]:
            await clear(engine)
            step = size or len(events)
            for start in range(0, len(events), step):
                await SqlProjection(engine).apply(events[start : start + step])
            return await everything(engine)

        runner.run(make_tables(engine))
        expected = runner.run(project(HISTORY, 0))

        @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.permutations(HISTORY), st.sampled_from([0, 1, 4]), st.sampled_from([1, 2]))
        def replay(events: Sequence[ProjectedEvent], size: int, times: int) -> None:
            assert runner.run(project(events * times, size)) == expected

        try:
            replay()
        finally:
            runner.run(engine.dispose())
            runner.run(where.__aexit__(None, None, None))


async def test_a_customer_is_kept_as_the_event_says(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("e1")])
    assert await only(engine, schema.CUSTOMERS) == {
        "customer_id": "CUST_001",
        "identifier": "+1234567890",
        "first_name": "John",
        "last_name": "Doe",
        "email": "john@example.com",
        "phone": "+1234567890",
        "loyalty_points": 1250,
        "tier": "GOLD",
        "total_purchases": Decimal("1234.50"),
        "last_purchase_date": datetime(2026, 1, 30, 10, tzinfo=UTC),
        "created_at": datetime(2026, 1, 31, 8, 0, 10, tzinfo=UTC),
        "updated_at": datetime(2026, 1, 31, 8, 0, 10, tzinfo=UTC),
        "attributes": {"favourite": "tea"},
        "fetched_at": datetime(2026, 1, 31, 8, 0, 10, tzinfo=UTC),
        "search_text": "john doe\njohn@example.com\n+1234567890",
    }


async def test_older_data_never_overwrites_newer(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("e2", fetched=20, customer={**JOHN, "tier": "PLATINUM"})])
    await projection.apply([found("e1", fetched=10)])
    row = await only(engine, schema.CUSTOMERS)
    assert (row["tier"], iso_utc(row["updated_at"])) == ("PLATINUM", at(20))


async def test_data_as_old_as_the_stored_writes_nothing(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("e1", fetched=10)])
    await projection.apply([found("e2", fetched=10, customer={**JOHN, "tier": "BRONZE"})])
    assert (await only(engine, schema.CUSTOMERS))["tier"] == "GOLD"


async def test_created_at_never_moves_when_newer_data_comes(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    for second in (10, 20, 30):
        await projection.apply([found(f"e{second}", fetched=second)])
        row = await only(engine, schema.CUSTOMERS)
        assert (iso_utc(row["created_at"]), iso_utc(row["updated_at"])) == (at(10), at(second))


async def test_every_alias_of_a_customer_is_kept(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("e1"), found("e2", identifier="john@example.com")])
    aliases = await rows(engine, schema.CUSTOMER_IDENTIFIERS)
    assert [(row["identifier"], row["customer_id"], row["kind"]) for row in aliases] == [
        ("+1234567890", "CUST_001", "PHONE"),
        ("john@example.com", "CUST_001", "EMAIL"),
    ]


async def test_an_identifier_follows_to_another_customer_by_newer_data_only(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("e2", fetched=20, customer=jane())])
    await projection.apply([found("e1", fetched=10)])
    alias = await only(engine, schema.CUSTOMER_IDENTIFIERS)
    assert (alias["customer_id"], iso_utc(alias["first_seen_at"])) == ("CUST_002", at(10))


async def test_a_start_after_the_identification_keeps_the_customer(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("e1")])
    await projection.apply([started()])
    row = await only(engine, schema.BASKETS)
    assert (row["employee_id"], row["terminal_id"]) == ("1", "t1")
    assert (row["customer_id"], row["identified_by"]) == ("CUST_001", "e1")


async def test_the_earliest_start_wins(engine: AsyncEngine, projection: SqlProjection) -> None:
    await projection.apply([started(second=5)])
    await projection.apply([started(second=9, employee_id=9)])
    await projection.apply([started(second=3, employee_id=3)])
    row = await only(engine, schema.BASKETS)
    assert (row["employee_id"], iso_utc(row["started_at"])) == ("3", at(3))


async def test_a_failed_lookup_never_erases_the_customer_but_is_kept(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("e1")])
    await projection.apply([failed("e2", identified=50)])
    assert (await only(engine, schema.BASKETS))["customer_id"] == "CUST_001"
    history = await rows(engine, schema.LOOKUP_ANSWERS)
    assert [(row["customer_id"], row["reason"]) for row in history] == [
        ("CUST_001", None),
        (None, "TIMEOUT"),
    ]


async def test_the_last_identification_of_a_basket_wins(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("e2", identified=20, customer=jane())])
    await projection.apply([found("e1", identified=19, fetched=30)])
    assert (await only(engine, schema.BASKETS))["customer_id"] == "CUST_002"


async def test_identifications_at_one_time_are_settled_by_event_id(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([found("b", identified=20, customer=jane())])
    await projection.apply([found("a", identified=20)])
    assert (await only(engine, schema.BASKETS))["identified_by"] == "b"


async def test_an_attempt_is_logged_once(engine: AsyncEngine, projection: SqlProjection) -> None:
    await projection.apply([logged("l1"), logged("l1")])
    await projection.apply([logged("l1")])
    row = await only(engine, schema.CUSTOMER_LOOKUP_LOGS)
    assert (row["status"], row["http_status"], row["response_data"]) == (
        "SUCCESS",
        200,
        {"customer_id": "CUST_001"},
    )


async def test_the_log_numbers_its_rows_upwards(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([logged("l1"), logged("l2")])
    async with engine.connect() as connection:
        numbers = (await connection.scalars(select(schema.CUSTOMER_LOOKUP_LOGS.c.id))).all()
    assert len(set(numbers)) == 2


async def test_missing_optional_fields_become_null(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    bare = ("event_id", "request_timestamp", "customer_identifier")
    value = {name: item for name, item in logged("l1").value.items() if name in bare}
    await projection.apply([ProjectedEvent("customer-lookup-logged", value)])
    assert (await only(engine, schema.CUSTOMER_LOOKUP_LOGS))["http_status"] is None


BAD_VALUES = (
    None,
    [],
    "text",
    {},
    {"basket_id": "b", "employee_id": 1},
    {"basket_id": 7, "employee_id": 1, "terminal_id": "t"},
    {"basket_id": "b\0", "employee_id": 1, "terminal_id": "t"},
    {"basket_id": "b", "employee_id": True, "terminal_id": "t"},
    {"basket_id": "b", "employee_id": 1.5, "terminal_id": "t"},
    {"basket_id": "b", "employee_id": 10**5000, "terminal_id": "t"},
    {"basket_id": "b", "employee_id": 1, "terminal_id": " "},
    {"basket_id": "b" * 257, "employee_id": 1, "terminal_id": "t"},
    {"basket_id": "\ud800", "employee_id": 1, "terminal_id": "t"},
    {"basket_id": "b", "employee_id": 1, "terminal_id": "t", "event_type": "BASKET_CLOSED"},
    {"basket_id": "b", "employee_id": 1, "terminal_id": "t", "event_type": ["BASKET_STARTED"]},
)


@pytest.mark.parametrize("value", BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_a_malformed_start_is_not_believed(value: object) -> None:
    assert read_basket_started(value) is None


@pytest.mark.parametrize("employee", [1, "1"])
def test_an_employee_id_may_be_a_number_or_text(employee: object) -> None:
    start = read_basket_started(
        {"basket_id": "b", "employee_id": employee, "terminal_id": "t", "more": 1}
    )
    assert start is not None
    assert (start["employee_id"], start["started_at"]) == ("1", None)


@pytest.mark.parametrize("moment", ["yesterday", 12, [], None])
def test_a_start_at_a_time_that_cannot_be_read_has_none(moment: object) -> None:
    value = {"basket_id": "b\u00a01", "employee_id": 7.0, "terminal_id": "t", "occurred_at": moment}
    assert read_basket_started(value) == {
        "basket_id": "b\u00a01",
        "employee_id": "7",
        "terminal_id": "t",
        "started_at": None,
    }


async def test_one_bad_event_fails_no_batch_and_leaks_nothing(
    engine: AsyncEngine, projection: SqlProjection, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [ProjectedEvent("basket-started", value) for value in BAD_VALUES] + [
        found("SECRET", customer=None),
        found("SECRET", customer={**JOHN, "total_purchases": "9999999999999.999"}),
        found("SECRET", customer={**JOHN, "loyalty_points": "SECRET"}),
        found("SECRET", fetched_at="SECRET"),
        found("SECRET", fetched_at=None),
        found("SECRET", basket_id=["SECRET"]),
        found("SECRET", customer={**JOHN, "attributes": {"x": {"SECRET"}}}),
        failed("SECRET", occurred_at=None, identified_at=None),
        failed(""),
        logged("SECRET", request_timestamp=None),
        ProjectedEvent("customer-lookup-logged", None),
        ProjectedEvent("another-topic", {"x": "SECRET"}),
    ]
    with caplog.at_level(logging.WARNING):
        await projection.apply([*bad, started(), *bad])
    assert await everything(engine) == {
        **{table.name: [] for table in TABLES},
        "baskets": [await only(engine, schema.BASKETS)],
    }
    assert len(caplog.records) == 2 * len(bad)
    assert "SECRET" not in caplog.text


async def test_numbers_are_stored_as_they_were_sent(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    sent = b'{"a":12345678901234567890123,"b":10.10,"c":[0.1000000000000000055,1.5,7],"d":-0.00}'
    numbers = read_json_exactly(sent)
    await projection.apply(
        [
            found("e1", customer={**JOHN, "attributes": numbers}),
            logged("l1", response_data=numbers),
        ]
    )
    stored = [
        (await only(engine, schema.CUSTOMERS))["attributes"],
        (await only(engine, schema.CUSTOMER_LOOKUP_LOGS))["response_data"],
    ]
    zero = b"0.00" if engine.dialect.name == "postgresql" else b"-0.00"
    assert [write_json(each) for each in stored] == [sent.replace(b"-0.00", zero)] * 2


async def test_a_number_that_a_database_cannot_hold_spoils_no_row(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    numbers = read_json_exactly(b'{"a":1e400,"b":1e200000,"c":1e-20000}')
    await projection.apply([found("e1", customer={**JOHN, "attributes": numbers})])
    stored = (await only(engine, schema.CUSTOMERS))["attributes"]
    assert Decimal(str(stored["a"])) == Decimal("1e400")
    assert (stored["b"], stored["c"]) == ("1e200000", "1e-20000")


async def test_awkward_but_valid_values_are_stored(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    awkward = {
        **JOHN,
        "first_name": "Jo\0hn\ud800",
        "loyalty_points": -(2**63 - 1),
        "total_purchases": "-9999999999999.99",
        "attributes": {"a\0": ["\0", "\udfff", float("nan"), None, True, {"b": 1.5}]},
    }
    await projection.apply(
        [
            found("e1", customer=awkward, attempts="many", duration_ms=2**70, more="x"),
            logged("l1", error_message="x\0" * 5000, response_data="\0text", http_status=2**64),
            started(second=None, occurred_at="0001-01-01T00:00:00Z"),
            started("basket_9", second=None, occurred_at="9999-12-31T23:59:59.999999Z"),
        ]
    )
    row = await only(engine, schema.CUSTOMERS)
    assert row["first_name"] == "John?"
    assert row["total_purchases"] == Decimal("-9999999999999.99")
    assert row["attributes"] == {"a": ["", "?", None, None, True, {"b": 1.5}]}
    log = await only(engine, schema.CUSTOMER_LOOKUP_LOGS)
    assert (log["response_data"], log["http_status"]) == ("text", None)
    assert len(await rows(engine, schema.BASKETS)) == 2


async def test_card_numbers_of_foreign_writers_are_masked(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    attributes = {"note": "4111 1111 1111 1111", "number": 4111111111111111, "points": 5}
    await projection.apply(
        [
            found("e1", customer={**JOHN, "attributes": attributes}),
            failed("e2", error_message="no answer for 4111111111111111"),
            logged(
                "l1",
                api_endpoint="http://directory.test/4111111111111111/",
                error_message="4111-1111-1111-1111",
                response_data={"customer_id": "CUST_001", "card": 4111111111111111},
            ),
        ]
    )
    (customer,) = await rows(engine, schema.CUSTOMERS)
    answers = {row["event_id"]: row for row in await rows(engine, schema.LOOKUP_ANSWERS)}
    log = await only(engine, schema.CUSTOMER_LOOKUP_LOGS)
    assert customer["attributes"] == {
        "note": "4111 11** **** 1111",
        "number": "411111******1111",
        "points": 5,
    }
    assert answers["e2"]["error_message"] == "no answer for 411111******1111"
    assert log["api_endpoint"] == "http://directory.test/411111******1111/"
    assert log["error_message"] == "4111-11**-****-1111"
    assert log["response_data"] == {"customer_id": "CUST_001", "card": "411111******1111"}
    assert log["customer_id"] == "CUST_001"


async def test_an_empty_batch_does_nothing(engine: AsyncEngine, projection: SqlProjection) -> None:
    await projection.apply([])
    assert not any((await everything(engine)).values())


async def test_sixty_concurrent_applies_from_two_engines_lose_nothing(
    url: str, engine: AsyncEngine
) -> None:
    other = create_engine(url)
    projections = [SqlProjection(engine), SqlProjection(other)]

    def batch(number: int) -> list[ProjectedEvent]:
        # All write the shared customer and one another's baskets, each in its own order.
        events = [
            found(f"e{number}-{place}", basket=f"basket_{place}", fetched=number)
            for place in range(5)
        ] + [started(f"basket_{number % 5}", second=number), logged(f"l{number}")]
        return events if number % 2 else events[::-1]

    try:
        await asyncio.gather(
            *(projections[number % 2].apply(batch(number)) for number in range(60))
        )
    finally:
        await other.dispose()
    assert len(await rows(engine, schema.LOOKUP_ANSWERS)) == 300
    assert len(await rows(engine, schema.CUSTOMER_LOOKUP_LOGS)) == 60
    customer = await only(engine, schema.CUSTOMERS)
    assert (iso_utc(customer["created_at"]), iso_utc(customer["updated_at"])) == (at(0), at(59))
    baskets = await rows(engine, schema.BASKETS)
    assert [row["identified_by"] for row in baskets] == [f"e59-{place}" for place in range(5)]
    assert [iso_utc(row["started_at"]) for row in baskets] == [at(place) for place in range(5)]


async def test_money_adds_no_dust(engine: AsyncEngine, projection: SqlProjection) -> None:
    amounts = ["0.10", "0.29", "1234567890123.45", "0.00"]
    for second, amount in enumerate(amounts):
        customer = {**JOHN, "total_purchases": amount}
        await projection.apply([found(f"e{second}", fetched=second, customer=customer)])
        assert str((await only(engine, schema.CUSTOMERS))["total_purchases"]) == amount


class Written:
    """A projection and the tables that each batch writes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.now = 0.0
        self.engine = engine
        self._projection = SqlProjection(engine)
        self._projection._customers.now = lambda: self.now
        self._tables: list[str] = []
        event.listen(engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._tables += re.findall(r"^INSERT INTO (\w+)", statement)

    async def by(self, *events: ProjectedEvent) -> list[str]:
        self._tables.clear()
        await self._projection.apply(events)
        return [*self._tables]


#: The tables that every answer with a customer writes.
NARROW = ["baskets", "lookup_answers", "lookup_counts"]
PERSON = ["customers", "customer_identifiers"]


@pytest.fixture
def written(engine: AsyncEngine) -> Written:
    return Written(engine)


async def test_an_answer_from_the_cache_writes_no_row_of_the_customer(written: Written) -> None:
    assert await written.by(found("e1", fetched=10)) == [*PERSON, *NARROW]
    assert await written.by(found("e2", fetched=10, source="CACHE")) == NARROW
    assert await written.by(found("e3", fetched=9)) == [*PERSON, *NARROW], "it was seen earlier"
    assert await written.by(found("e4", fetched=11)) == [*PERSON, *NARROW]
    assert await written.by(found("e5", fetched=11, customer=jane())) == [*PERSON, *NARROW]


def as_posstream_reads_it(answer: ProjectedEvent) -> ProjectedEvent:
    read = read_found(write_json(answer.value))
    assert read is not None
    return structs.replace(answer, value=read)


@pytest.mark.parametrize("as_read", [lambda it: it, as_posstream_reads_it])
async def test_after_a_minute_the_customer_is_written_again(
    written: Written, as_read: Callable[[ProjectedEvent], ProjectedEvent]
) -> None:
    """Rows may be gone: an operator restored a backup, or made the tables anew."""
    await written.by(as_read(found("e1", fetched=10)))
    await clear(written.engine)
    written.now = 59
    assert await written.by(as_read(found("e2", fetched=10))) == NARROW
    written.now = 60
    assert await written.by(as_read(found("e3", fetched=10))) == [*PERSON, *NARROW]
    assert len(await rows(written.engine, schema.CUSTOMERS)) == 1


async def test_a_new_process_does_not_write_what_the_database_has(
    engine: AsyncEngine,
) -> None:
    first, again = (as_posstream_reads_it(found(it, fetched=10)) for it in ("e1", "e2"))
    assert await Written(engine).by(first) == [*PERSON, *NARROW]
    assert await Written(engine).by(again) == NARROW
    (one, other) = await rows(engine, schema.LOOKUP_ANSWERS)
    assert one["customer_id"] == other["customer_id"] == JOHN["customer_id"]
    for other_telling in (
        found("e3", fetched=11),
        found("e4", fetched=10, customer={**JOHN, "tier": "BRONZE"}),
        found("e5", fetched=10, customer_identifier="john@example.com", identifier_kind="EMAIL"),
    ):
        answer = as_posstream_reads_it(other_telling)
        assert await Written(engine).by(answer) == [*PERSON, *NARROW]


@pytest.mark.parametrize("table", [schema.CUSTOMERS, schema.CUSTOMER_IDENTIFIERS])
async def test_a_row_of_a_customer_that_is_gone_is_written_again(
    engine: AsyncEngine, table: Table
) -> None:
    await Written(engine).by(as_posstream_reads_it(found("e1", fetched=10)))
    async with engine.begin() as connection:
        await connection.execute(delete(table))
    answer = as_posstream_reads_it(found("e2", fetched=10))
    assert await Written(engine).by(answer) == [*PERSON, *NARROW]
    assert len(await rows(engine, table)) == 1


async def test_a_row_that_was_made_again_from_an_older_answer_gets_the_newer_one(
    engine: AsyncEngine,
) -> None:
    """As after one of the identifiers was forgotten."""
    newer, older = (
        as_posstream_reads_it(found(name, fetched=at, customer_identifier=name))
        for name, at in (("CARD_1", 15), ("CARD_2", 10))
    )
    await Written(engine).by(newer)
    async with engine.begin() as connection:
        await connection.execute(delete(schema.CUSTOMERS))
    await Written(engine).by(older)
    again = as_posstream_reads_it(found("e3", fetched=15, customer_identifier="CARD_1"))
    assert await Written(engine).by(again) == [*PERSON, *NARROW]
    assert iso_utc((await only(engine, schema.CUSTOMERS))["fetched_at"]) == at(15)


async def test_an_answer_keeps_its_customer_where_an_older_posstream_changed_the_identifier(
    engine: AsyncEngine,
) -> None:
    """It changes the row and leaves the digest, which it does not know."""
    await Written(engine).by(as_posstream_reads_it(found("e1", fetched=10)))
    changes = {"customer_id": "CUST_002", "fetched_at": parse_utc(at(20))}
    async with engine.begin() as connection:
        await connection.execute(update(schema.CUSTOMER_IDENTIFIERS).values(changes))
        await connection.execute(update(schema.CUSTOMERS).values(changes))
    await Written(engine).by(as_posstream_reads_it(found("e2", fetched=10)))
    answers = await rows(engine, schema.LOOKUP_ANSWERS)
    assert [it["customer_id"] for it in answers] == [JOHN["customer_id"]] * 2


async def test_a_customer_whom_an_older_posstream_wrote_is_written_once_more(
    engine: AsyncEngine,
) -> None:
    events = [as_posstream_reads_it(found(it, fetched=10)) for it in ("e1", "e2", "e3")]
    await Written(engine).by(events[0])
    async with engine.begin() as connection:
        await connection.execute(update(schema.CUSTOMER_IDENTIFIERS).values(answer_digest=None))
    assert await Written(engine).by(events[1]) == [*PERSON, *NARROW]
    assert await Written(engine).by(events[2]) == NARROW


async def test_what_was_made_ready_is_written_as_it_would_have_been_made(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    """And only for its own batch."""
    first = [as_posstream_reads_it(found("e1", fetched=10))]
    others = [
        *[as_posstream_reads_it(found(f"e{it}", basket=f"b{it}", fetched=10)) for it in range(9)],
        started("b2"),
        failed("f1", basket="b3"),
        logged("l1"),
    ]
    projection = SqlProjection(engine)
    await projection.prepare(first)
    await projection.apply(first)
    assert projection._ahead.take(first) is None, "it was used"
    await projection.prepare(others)
    await projection.apply(others[:1])  # another batch
    await projection.apply(others)
    await projection.prepare(others)
    await projection.apply(others)
    async with database("sqlite", tmp_path / "other") as url:
        other = create_engine(url)
        await make_tables(other)
        await SqlProjection(other).apply([*first, *others])
        for table in schema.READ_MODEL:
            assert await rows(engine, table) == await rows(other, table)
        await other.dispose()


async def test_what_is_made_ready_has_no_row_that_the_database_has(
    engine: AsyncEngine,
) -> None:
    answer, again = (as_posstream_reads_it(found(it, fetched=10)) for it in ("e1", "e2"))
    await SqlProjection(engine).apply([answer])
    other, batch = SqlProjection(engine), [again]
    await other.prepare(batch)
    ready = other._ahead.take(batch)
    assert ready is not None
    assert set(ready.rows) == {schema.BASKETS, schema.LOOKUP_ANSWERS}


async def test_nothing_is_read_beside_the_only_connection_of_a_database_in_memory() -> None:
    """The reader's end would roll the writer back."""
    engine = create_engine("sqlite://")
    await migrate(engine)
    projection = SqlProjection(engine)
    batch = [as_posstream_reads_it(found("e1", fetched=10))]
    async with engine.begin() as connection:
        await connection.execute(insert(schema.BASKETS), {"basket_id": "b"})
        await projection.prepare(batch)
    await projection.apply(batch)
    assert {row["basket_id"] for row in await rows(engine, schema.BASKETS)} == {"b", "basket_1"}
    await engine.dispose()


async def test_what_was_made_ready_long_ago_is_made_anew(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database may have been away, and have come back from a backup without the customer."""
    projection, answer = SqlProjection(engine), as_posstream_reads_it(found("e1", fetched=10))
    await projection.apply([answer])
    waiting = [as_posstream_reads_it(found("e2", fetched=10))]
    await projection.prepare(waiting)
    await clear(engine)
    later = time.monotonic() + KNOWN_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    projection._customers.now = time.monotonic
    await projection.apply(waiting)
    assert len(await rows(engine, schema.CUSTOMERS)) == 1


async def test_a_row_with_a_document_that_is_replaced_keeps_its_document(
    engine: AsyncEngine, projection: SqlProjection
) -> None:
    await projection.apply([logged("a", response_data={"name": "John"})])
    earlier = logged("a", response_data={"name": "Jane"}, request_timestamp=at(0))
    await projection.apply([earlier])
    assert (await only(engine, schema.CUSTOMER_LOOKUP_LOGS))["response_data"] == {"name": "Jane"}


async def test_what_was_not_committed_is_written_again(written: Written) -> None:
    def cannot_commit(_: Any) -> None:
        raise OSError("the database is away")

    event.listen(written.engine.sync_engine, "commit", cannot_commit)
    with pytest.raises(OSError, match="away"):
        await written.by(found("e1", fetched=10))
    event.remove(written.engine.sync_engine, "commit", cannot_commit)
    assert await written.by(found("e1", fetched=10)) == [*PERSON, *NARROW]
