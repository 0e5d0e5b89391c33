"""Customers and baskets are read back as they were projected."""

import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import BasketRow, CustomerRow
from agents.customer_lookup.read_model.schema import CUSTOMERS
from posstream.domain.times import iso_utc
from posstream.read_model.engine import create_engine
from tests.component.sql_databases import DATABASES, JOHN, at, database, found, make_tables, started

JANE = {
    **JOHN,
    "customer_id": "CUST_002",
    "first_name": "Jane",
    "last_name": "Smith_100%",
    "email": "jane@example.com",
    "phone": "+0987654321",
    "tier": "PLATINUM",
}
EMILE = {
    **JOHN,
    "customer_id": "CUST_003",
    "first_name": "Émile",
    "last_name": "Straße",
    "email": "",
    "phone": "",
    "tier": "DIAMOND",
}


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        yield engine
        await engine.dispose()


@pytest.fixture
async def model(engine: AsyncEngine) -> SqlReadModel:
    await SqlProjection(engine).apply(
        [
            found("e1", fetched=10),
            found("e2", fetched=20, identifier="john@example.com"),
            found("e3", basket="basket_2", identifier="+0987654321", customer=JANE),
            found("e4", basket="basket_3", identifier="CARD_77", customer=EMILE),
            started("basket_1"),
        ]
    )
    return SqlReadModel(engine)


async def ids(model: SqlReadModel, **filters: Any) -> list[str]:
    return [row.customer_id for row in await model.next_customers(**{"first": 100} | filters)]


async def test_a_customer_is_read_by_id_with_every_field(model: SqlReadModel) -> None:
    assert await model.customer("CUST_001") == CustomerRow(
        customer_id="CUST_001",
        identifier="john@example.com",
        first_name="John",
        last_name="Doe",
        email="john@example.com",
        phone="+1234567890",
        loyalty_points=1250,
        tier="GOLD",
        total_purchases=Decimal("1234.50"),
        last_purchase_date=datetime(2026, 1, 30, 10, tzinfo=UTC),
        created_at=datetime(2026, 1, 31, 8, 0, 10, tzinfo=UTC),
        updated_at=datetime(2026, 1, 31, 8, 0, 20, tzinfo=UTC),
        identifiers=("+1234567890", "john@example.com"),
    )


async def test_money_keeps_its_two_places(model: SqlReadModel) -> None:
    row = await model.customer("CUST_001")
    assert str(row.total_purchases) == "1234.50"


@pytest.mark.parametrize("identifier", ["+1234567890", "john@example.com"])
async def test_both_aliases_lead_to_cust_001(model: SqlReadModel, identifier: str) -> None:
    assert (await model.customer_by_identifier(identifier)).customer_id == "CUST_001"


@pytest.mark.parametrize("unknown", ["", "nobody", "a\0b", "\ud800", "'; --"])
async def test_what_is_not_there_is_none(model: SqlReadModel, unknown: str) -> None:
    assert await model.customer(unknown) is None
    assert await model.customer_by_identifier(unknown) is None
    assert await model.baskets_by_ids([unknown]) == {}


async def test_all_customers_come_by_id(model: SqlReadModel) -> None:
    assert await ids(model) == ["CUST_001", "CUST_002", "CUST_003"]


async def test_the_limit_is_kept_between_1_and_1000(model: SqlReadModel) -> None:
    assert await ids(model, first=2) == ["CUST_001", "CUST_002"]
    assert await ids(model, first=-5) == ["CUST_001"]
    assert len(await ids(model, first=10**9)) == 3


async def test_a_tier_is_matched_exactly(model: SqlReadModel) -> None:
    assert await ids(model, tier="PLATINUM") == ["CUST_002"]
    assert await ids(model, tier="DIAMOND") == ["CUST_003"]
    assert await ids(model, tier="platinum") == []


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("JOHN", ["CUST_001"]),
        ("doe", ["CUST_001"]),
        ("ohn do", ["CUST_001"]),
        ("EXAMPLE.com", ["CUST_001", "CUST_002"]),
        ("09876", ["CUST_002"]),
        ("card_7", ["CUST_003"]),
        ("éMILE", ["CUST_003"]),
        ("STRASSE", ["CUST_003"]),
        ("0%", ["CUST_002"]),
        ("h_1", ["CUST_002"]),
        ("%", ["CUST_002"]),
        ("j_hn", []),
        ("/", []),
        ("doe\0", []),
        ("", ["CUST_001", "CUST_002", "CUST_003"]),
        ("  ", ["CUST_001", "CUST_002", "CUST_003"]),
    ],
)
async def test_a_search_finds_a_part_of_a_name_address_or_identifier(
    model: SqlReadModel, search: str, expected: list[str]
) -> None:
    assert await ids(model, search=search) == expected


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("JOHN", ["CUST_001"]),
        ("ohn do", ["CUST_001"]),
        ("STRASSE", ["CUST_003"]),
        ("h_1", ["CUST_002"]),
        ("0%", ["CUST_002"]),
        ("j_hn", []),
        ("/", []),
        ("example", []),
        ("john@", []),
        ("09876", []),
        ("CARD_7", []),
        ("doe\njohn", []),
    ],
)
async def test_a_search_of_names_alone_finds_nobody_by_anything_else(
    model: SqlReadModel, search: str, expected: list[str]
) -> None:
    assert await ids(model, search=search, names_only=True) == expected


@pytest.fixture
async def zoe(engine: AsyncEngine, model: SqlReadModel) -> str:
    """Somebody from a system that writes names in NFD and phones for people."""
    customer = {
        **JOHN,
        "customer_id": "CUST_005",
        "first_name": unicodedata.normalize("NFD", "Zoë"),
        "last_name": "IŞIK",
        "email": "zoe@example.org",
        "phone": "+49 (151) 23-45 67",
    }
    await SqlProjection(engine).apply([found("e5", identifier="CARD_5", customer=customer)])
    return "CUST_005"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    "search",
    [
        "Zoë",
        "zoË \N{LATIN SMALL LETTER DOTLESS I}ş\N{LATIN SMALL LETTER DOTLESS I}k",
        "ZOË IŞIK",
        "oË\N{NO-BREAK SPACE} işik",
    ],
)
@pytest.mark.parametrize("names_only", [True, False])
async def test_a_name_is_found_in_every_unicode_form_and_case(
    model: SqlReadModel, zoe: str, search: str, form: str, *, names_only: bool
) -> None:
    typed = unicodedata.normalize(form, search)
    assert await ids(model, search=typed, names_only=names_only) == [zoe]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("names_only", [True, False])
async def test_a_name_is_found_in_a_row_that_an_earlier_release_wrote(
    engine: AsyncEngine, model: SqlReadModel, zoe: str, form: str, *, names_only: bool
) -> None:
    before = unicodedata.normalize("NFD", "Zoë Straße\n\n").casefold()
    async with engine.begin() as connection:
        await connection.execute(
            update(CUSTOMERS).where(CUSTOMERS.c.customer_id == zoe).values(search_text=before)
        )
    typed = unicodedata.normalize(form, "zoë STRASSE")
    assert await ids(model, search=typed, names_only=names_only) == [zoe]


@pytest.mark.parametrize(
    "search", ["+491512345", "+49 151 2345", "0049-151.2345", "(151) 23-45 67"]
)
async def test_a_phone_is_found_in_any_writing(model: SqlReadModel, zoe: str, search: str) -> None:
    assert await ids(model, search=search) == [zoe]
    assert await ids(model, search=search, names_only=True) == []


@pytest.mark.parametrize(
    ("search", "expected"),
    [("+1 (234) 567-890", "CUST_001"), ("card_7 7", "CUST_003"), ("JOHN@Example.com", "CUST_001")],
)
async def test_an_identifier_is_found_in_any_writing(
    model: SqlReadModel, search: str, expected: str
) -> None:
    assert await ids(model, search=search) == [expected]


async def test_a_line_break_in_a_field_does_not_make_it_a_name(
    engine: AsyncEngine, model: SqlReadModel
) -> None:
    broken = {**JOHN, "customer_id": "CUST_004", "email": "secret\n\n@example.com"}
    await SqlProjection(engine).apply([found("e9", identifier="CARD_9", customer=broken)])
    assert await ids(model, search="secret") == ["CUST_004"]
    assert await ids(model, search="secret", names_only=True) == []


async def test_tier_and_search_must_both_hold(model: SqlReadModel) -> None:
    assert await ids(model, tier="GOLD", search="example") == ["CUST_001"]


async def test_a_basket_is_read_with_its_start_and_its_customer(model: SqlReadModel) -> None:
    row = (await model.baskets_by_ids(["basket_1"])).get("basket_1")
    assert row == BasketRow("basket_1", "1", "t1", "CUST_001", row.started_at, row.identified_at)
    assert (iso_utc(row.started_at), iso_utc(row.identified_at)) == (at(5), at(20))


async def test_customers_by_ids_leaves_out_the_unknown(model: SqlReadModel) -> None:
    rows = await model.customers_by_ids(["CUST_002", "nobody", "CUST_001", "CUST_002", "\0"])
    assert sorted(rows) == ["CUST_001", "CUST_002"]
    assert rows["CUST_002"].first_name == "Jane"
    assert await model.customers_by_ids([]) == {}


async def test_a_call_takes_one_statement(engine: AsyncEngine, model: SqlReadModel) -> None:
    seen = []
    event.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda *args: None if args[2].startswith(("BEGIN", "SET ")) else seen.append(args[2]),
    )
    await model.next_customers(first=100, search="o", tier="GOLD")
    assert len(seen) == 1
    seen.clear()
    await model.customer_by_identifier("+1234567890")
    assert len(seen) == 1
