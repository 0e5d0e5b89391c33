"""The baskets in SQL: the newest copy of each, read by filters, and forgotten customers."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.baskets import PLUGIN
from agents.baskets.basket import Status
from agents.baskets.read_model.projection import BasketProjection
from agents.baskets.read_model.queries import TillBaskets
from agents.baskets.read_model.records import BasketFilter
from agents.baskets.read_model.rows import stored_events
from agents.baskets.read_model.schema import TILL_BASKETS
from posstream.domain.times import from_ms
from posstream.forgetting.marks import Forgotten, Trail
from posstream.forgetting.projection import MarkProjection
from posstream.forgetting.record import forgotten
from posstream.kafka.record import Record
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.projector import projected
from tables.baskets import BASKET_CHANGELOG
from tests.component.basket_copies import (
    MORNING,
    PHONE,
    PURCHASE,
    copy_of,
    identified,
    item,
    left,
    paid,
    refunded,
    started,
    unknown,
)
from tests.component.sql_databases import DATABASES, database

TRAIL = Trail((PHONE,), ("CUST_001",))


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        assert await upgrade(engine, [PLUGIN]) == {}
        yield engine
        await engine.dispose()


async def rows(engine: AsyncEngine) -> dict[str, dict[str, Any]]:
    async with engine.connect() as connection:
        found = (await connection.execute(select(TILL_BASKETS))).mappings()
        return {row["basket_id"]: dict(row) for row in found}


async def project(engine: AsyncEngine, *events: ProjectedEvent) -> None:
    projection = BasketProjection(engine)
    if len(events) % 2:  # either way gives the same rows
        await projection.prepare(events)
    await projection.apply(events)


async def forget(engine: AsyncEngine, trail: Trail = TRAIL, second: int = 100) -> None:
    assert PLUGIN.read_model is not None
    assert PLUGIN.read_model.erase is not None
    at_ms = MORNING + 1000 * second
    marks = [forgotten(Forgotten(subject, at_ms)) for subject in sorted(trail.subjects)]
    values = [orjson.loads(mark.value or b"") for mark in marks]
    await MarkProjection(engine, [PLUGIN.read_model.erase]).apply(
        [ProjectedEvent(CUSTOMER_FORGOTTEN, value) for value in values]
    )


async def test_a_basket_stands_in_one_row_with_exact_amounts(engine: AsyncEngine) -> None:
    await project(engine, copy_of("b1", *PURCHASE))
    row = (await rows(engine))["b1"]
    assert stored_events(row.pop("events")) == PURCHASE
    assert row == {
        "basket_id": "b1",
        "revision": 6,
        "status": "PAID",
        "employee_id": "7",
        "terminal_id": "t1",
        "customer_id": "CUST_001",
        "customer_identifier": PHONE,
        "tier": "GOLD",
        "identified_at": datetime(2026, 1, 31, 8, 0, 2, tzinfo=UTC),
        "started_at": datetime(2026, 1, 31, 8, 0, 0, tzinfo=UTC),
        "completed_at": datetime(2026, 1, 31, 8, 0, 9, tzinfo=UTC),
        "subtotal": Decimal("5.2300"),
        "discount": Decimal("0.0000"),
        "total": Decimal("5.2300"),
        "paid": Decimal("5.2300"),
        "refunded": Decimal("0.0000"),
        "currency": "EUR",
        "items": [
            {
                "item_id": "item-3",
                "product_id": "product-3",
                "product_name": "Highlighter",
                "category": None,
                "unit_price": "1.99",
                "quantity": "2",
                "discount": "0.00",
                "total": "3.98",
            },
            {
                "item_id": "item-4",
                "product_id": "product-4",
                "product_name": None,
                "category": None,
                "unit_price": "2.495",
                "quantity": "0.5",
                "discount": "0.00",
                "total": "1.25",
            },
        ],
        "payments": [
            {
                "payment_id": "payment-8",
                "amount": "3.00",
                "currency": "EUR",
                "method": "CARD",
                "paid_at": "2026-01-31T08:00:08.000Z",
            },
            {
                "payment_id": "payment-9",
                "amount": "2.23",
                "currency": "EUR",
                "method": "CARD",
                "paid_at": "2026-01-31T08:00:09.000Z",
            },
        ],
        "refunds": [],
    }


async def test_amounts_have_four_places_in_sql(engine: AsyncEngine) -> None:
    await project(engine, copy_of("b1", item(1, "0.0001"), item(2, "999999999999.9999")))
    assert (await rows(engine))["b1"]["total"] == Decimal("1000000000000.0000")
    if engine.dialect.name == "postgresql":
        async with engine.connect() as connection:
            total = await connection.scalar(text("SELECT total::text FROM till_baskets"))
        assert total == "1000000000000.0000"


async def test_a_weight_costs_what_the_till_s_currency_rounded_it_to(engine: AsyncEngine) -> None:
    await project(engine, copy_of("b1", item(4, "2.4950", "0.5"), places=3))
    assert (await rows(engine))["b1"]["total"] == Decimal("1.248")


async def test_the_newest_copy_stays_whatever_comes_again_in_any_order(engine: AsyncEngine) -> None:
    copies = [copy_of("b1", *PURCHASE[:count]) for count in range(1, len(PURCHASE) + 1)]
    await project(engine, *copies)
    whole = await rows(engine)
    chance = random.Random(7)
    for _ in range(5):
        await project(engine, *chance.sample(copies, 3))
    assert await rows(engine) == whole
    assert whole["b1"]["revision"] == len(PURCHASE)


async def test_a_basket_that_left_the_table_stays_in_sql(engine: AsyncEngine) -> None:
    anew = copy_of("b1", refunded(50, "1"))
    await project(engine, copy_of("b1", *PURCHASE), left("b1"), anew)
    await project(engine, left("b1"), anew)
    assert (await rows(engine))["b1"]["revision"] == len(PURCHASE)


async def test_a_copy_that_cannot_be_read_or_held_holds_up_no_other(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    huge = item(1, "999999999999", "999999999999")
    await project(
        engine,
        ProjectedEvent(BASKET_CHANGELOG, b"no msgpack", 0, 1, b"b0"),
        copy_of("b1", huge),
        copy_of("b2", *PURCHASE),
    )
    assert (await rows(engine)).keys() == {"b2"}
    assert "skipped an event" in caplog.text


@pytest.mark.parametrize("value", [b"\x91\xc0", b"", None])
def test_the_changelog_reaches_the_projection_as_it_is(value: bytes | None) -> None:
    record = Record(BASKET_CHANGELOG, b"b1", value)
    message = type("Message", (), {"partition": 3, "offset": 9})
    for name in ("topic", "key", "value"):
        setattr(message, name, getattr(record, name))
    made = projected(message, BasketProjection.decoders)
    assert made == ProjectedEvent(BASKET_CHANGELOG, value or b"", 3, 9, b"b1")


# -- forgotten customers


async def named(engine: AsyncEngine) -> dict[str, tuple[Any, ...]]:
    """What each row says of its customer."""
    columns = ("customer_id", "customer_identifier", "tier", "identified_at")
    return {
        basket_id: (*(row[column] for column in columns), *_names(row["events"]))
        for basket_id, row in (await rows(engine)).items()
    }


def _names(events: Any) -> Sequence[str]:
    found = [getattr(event, "customer_identifier", None) for event in stored_events(events)]
    return [name for name in found if name]


@pytest.mark.parametrize("order", ["mark first", "row first", "replayed"])
async def test_a_forgotten_customer_leaves_the_basket_and_the_money_stays(
    engine: AsyncEngine, order: str
) -> None:
    baskets = (
        copy_of("b1", *PURCHASE),
        # Told before he was forgotten, by a till whose clock is fast.
        copy_of("b2", started(customer_identifier="+1 (234) 567-890"), identified(200, told=50)),
        # Scanned before, and answered after that.
        copy_of("b6", identified(90, told=120)),
        copy_of("b3", unknown(3, PHONE), item(4, "5")),
        # His name is not that of the basket's customer.
        copy_of("b4", identified(1), identified(2, "+0987654321", "CUST_002")),
        # He came back.
        copy_of("b5", identified(1), identified(101)),
    )
    if order != "mark first":
        await project(engine, *baskets)
    await forget(engine)
    if order != "row first":
        await project(engine, *baskets)
    nobody = (None, None, None, None)
    jane = ("CUST_002", "+0987654321", "GOLD", from_ms(MORNING + 2000), "+0987654321")
    again = ("CUST_001", PHONE, "GOLD", from_ms(MORNING + 101_000), PHONE)
    assert await named(engine) == {
        "b1": nobody,
        "b2": nobody,
        "b3": nobody,
        "b4": jane,
        "b5": again,
        "b6": nobody,
    }
    row = (await rows(engine))["b1"]
    assert (row["total"], row["status"], len(row["items"])) == (Decimal("5.23"), "PAID", 2)
    assert len(stored_events(row["events"])) == len(PURCHASE)


async def test_rows_that_were_made_ready_before_a_mark_do_not_name_the_customer(
    engine: AsyncEngine,
) -> None:
    projection, waiting = BasketProjection(engine), [copy_of("b1", *PURCHASE)]
    await projection.prepare(waiting)
    await forget(engine)
    await projection.apply(waiting)
    row = (await rows(engine))["b1"]
    assert (row["customer_id"], row["customer_identifier"], row["status"]) == (None, None, "PAID")


async def test_a_customer_s_baskets_are_found_counted_and_exported(engine: AsyncEngine) -> None:
    forgetting = PLUGIN.forgetting
    assert forgetting is not None
    jane = copy_of("b2", identified(2, "jane@example.com", "CUST_002"), paid(3, "1"))
    await project(engine, copy_of("b1", *PURCHASE), jane, copy_of("b3", item(1, "1")))
    assert await forgetting.trail(engine, PHONE) == TRAIL
    assert await forgetting.trail_of_customer(engine, "CUST_001") == TRAIL
    assert await forgetting.trail(engine, "+1") == Trail(("+1",))
    assert await forgetting.rows(engine, TRAIL) == {"till_baskets": 1}
    exported = await forgetting.export(engine, TRAIL)
    (row,) = exported["till_baskets"]
    assert (row["basket_id"], row["total"]) == ("b1", "5.2300")
    assert b"jane" not in msgspec.json.encode(exported)


# -- the list


def shown(found: Sequence[Any]) -> list[str]:
    return [row.basket_id for row in found]


async def test_the_list_is_read_newest_first_by_filter_and_page_by_page(
    engine: AsyncEngine,
) -> None:
    reading = TillBaskets(engine)
    many = [
        copy_of(f"b{number}", started(number // 2, terminal_id=f"t{number % 3}"))
        for number in range(10)
    ]
    await project(engine, *many, copy_of("paid", *PURCHASE))
    everything = BasketFilter()
    first = await reading.listed(everything, first=3)
    assert shown(first) == ["b9", "b8", "b7"]
    place = (first[-1].started_at, first[-1].basket_id)
    assert shown(await reading.listed(everything, first=3, after=place)) == ["b6", "b5", "b4"]
    filters = {
        ("b8", "b5", "b2"): BasketFilter(terminal_id="t2"),
        ("paid",): BasketFilter(status=Status.PAID),
        ("paid", "b1", "b0"): BasketFilter(until=from_ms(MORNING + 1000)),
        ("b9", "b8"): BasketFilter(since=from_ms(MORNING + 4000)),
        ("b7",): BasketFilter(since=from_ms(MORNING + 3000), terminal_id="t1", employee_id="7"),
        (): BasketFilter(customer_id="\x00"),
    }
    for expected, wanted in filters.items():
        assert shown(await reading.listed(wanted, first=20))[: len(expected) or 1] == list(expected)
    assert shown(await reading.listed(BasketFilter(customer_id="CUST_001"), first=9)) == ["paid"]
    assert (await reading.by_ids(["paid", "\x00", "nobody"])).keys() == {"paid"}
