"""The pages of the baskets as an operator's browser gets them."""

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from agents.baskets import PLUGIN
from agents.baskets.events.writing import NAMES
from agents.baskets.pages.wording import TITLES
from agents.baskets.till_events import AnyEvent
from posstream.domain.errors import PublishFailed
from tests.component.basket_copies import (
    PURCHASE,
    copy_of,
    identified,
    item,
    paid,
    refunded,
    started,
)
from tests.component.basket_web import project, running_basket_web
from tests.component.sql_databases import found
from tests.component.sql_web import SqlWebView
from tests.component.test_console_basket import in_order
from tests.component.test_console_lookups import KEYED, VIEWER, bearer
from tests.component.test_console_try_it import FORM


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[SqlWebView]:
    async with running_basket_web(tmp_path) as view:
        yield view


async def test_the_page_of_a_basket_shows_what_was_bought_beside_its_lookups(
    view: SqlWebView,
) -> None:
    await view.project(found("a1", basket="b1", fetched=3))
    await project(view, copy_of("b1", *PURCHASE, refunded(20, "1")))
    page = await view.page("/baskets/b1")
    assert page.titles == ["b1"]
    assert in_order(
        page.text,
        "The till's answer",
        "John Doe",
        "What was bought",
        "paid",
        "5.23 EUR",
        "CUST_001",
        "Till t1, employee 7",
        "Highlighter",
        "3.98",
        "payment-9",
        "2.23 EUR",
        "refund-20 (given back)",
        "At the till",
        "08:00:00.000",
        "The basket was started",
        "A customer was found",
        "+1******890",
        "An item was scanned",
        "unit price 1.99",
        "A payment was made",
        "Money was given back",
        "Step by step",
    )
    assert page.links["CUST_001"] == "/customers/CUST_001"
    assert "1234567890" not in page.text
    full = await view.page("/baskets/b1?reveal=1")
    assert "+1234567890" in full.text


async def test_a_basket_without_a_lookup_has_a_page(view: SqlWebView) -> None:
    await project(view, copy_of("b1", item(1, "1")))
    page = await view.page("/baskets/b1")
    assert "What was bought" in page.text
    assert "Nothing was seen" not in page.text
    page = await view.page("/baskets/b2", 404)
    assert "Nothing was seen of this basket" in page.text
    assert "What was bought" not in page.text


def test_every_event_of_a_basket_has_a_title() -> None:
    assert {NAMES[kind] for kind in get_args(AnyEvent)} == TITLES.keys()


async def test_the_list_shows_the_newest_baskets_by_filter(view: SqlWebView) -> None:
    await project(
        view,
        copy_of("b1", *PURCHASE),
        copy_of("b2", started(10, terminal_id="t2"), item(11, "1.50")),
    )
    page = await view.page("/till-baskets")
    assert page.rows == [
        ["2026-01-31 08:00:10", "b2", "open", "t2", "7", "", "1", "1.50", "0.00"],
        ["2026-01-31 08:00:00", "b1", "paid", "t1", "7", "CUST_001", "2", "5.23 EUR", "5.23"],
    ]
    assert (page.links["b1"], page.links["Baskets"]) == ("/baskets/b1", "/till-baskets")
    paid_ones = "/till-baskets?status=PAID&terminal=t1&employee=7&customer=CUST_001&to=2026-02-01"
    page = await view.page(paid_ones)
    assert [row[1] for row in page.rows] == ["b1"]
    assert (page.values["status"], page.values["customer"]) == ("PAID", "CUST_001")
    assert "Nothing matches" in (await view.page("/till-baskets?status=VOIDED")).text


async def test_an_older_page_follows_the_newest_one(view: SqlWebView) -> None:
    await project(view, *(copy_of(f"b{number:02}", started(number)) for number in range(52)))
    newest = await view.page("/till-baskets?terminal=t1")
    assert (newest.rows[0][1], len(newest.rows)) == ("b51", 50)
    older = await view.page(newest.links["Older"])
    assert [row[1] for row in older.rows] == ["b01", "b00"]
    assert older.links["Newest"] == "/till-baskets?terminal=t1"
    assert (await view.page("/till-baskets?after=broken")).rows == newest.rows


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("status=GONE", {"status": "Choose one of the list."}),
        ("terminal=%07", {"terminal": "1 to 256 printable characters."}),
        ("from=soon", {"from": "Write a time like 2026-01-31 08:15, in UTC."}),
        ("from=2026-02-01&to=2026-01-01", {"to": "This is not after the start."}),
    ],
)
async def test_a_filter_without_sense_is_said_at_its_field(
    view: SqlWebView, query: str, errors: dict[str, str]
) -> None:
    page = await view.page(f"/till-baskets?{query}", 400)
    assert page.errors == errors


async def test_a_viewer_finds_a_customer_whose_id_is_a_phone_by_the_seal(tmp_path: Path) -> None:
    async with running_basket_web(tmp_path, KEYED) as view:
        await project(view, copy_of("b1", identified(1, customer="+1234567890")))
        page = await view.page("/till-baskets", **bearer(VIEWER))
        assert "1234567890" not in page.text
        (link,) = (where for where in page.links.values() if where.startswith("/customers/"))
        found_ = await view.page(f"/till-baskets?customer={link.split('/')[-1]}", **bearer(VIEWER))
        assert [row[1] for row in found_.rows] == ["b1"]


async def test_try_it_plays_a_whole_purchase_and_leads_to_what_became_of_it(
    view: SqlWebView,
) -> None:
    form = await view.page("/try")
    assert "Then it buys two items and pays for them." in form.text
    client = view.web.client
    response = await client.post("/try", data=FORM, allow_redirects=False)
    where = response.headers["Location"]
    values = [json.loads(record.value) for record in view.web.publisher.records]
    assert [value["event_type"] for value in values] == [
        "BASKET_STARTED",
        "CUSTOMER_IDENTIFIED",
        "ITEM_ADDED",
        "ITEM_ADDED",
        "PAYMENT_COMPLETED",
    ]
    assert {value["basket_id"] for value in values} == {where[9:].partition("?")[0]}
    assert {(it["terminal_id"], it["employee_id"]) for it in values[2:]} == {("till 3", "7")}
    page = await view.page(where)
    assert in_order(page.text, "The customer was scanned", "The purchase is on its way")
    basket_id = values[0]["basket_id"]
    await project(view, copy_of(basket_id, item(1, "3.19"), paid(2, "3.19")))
    page = await view.page(where)
    assert "The purchase is on its way" not in page.text
    assert in_order(page.text, "What was bought", "paid", "3.19 EUR")


async def test_a_purchase_that_is_not_taken_is_said(view: SqlWebView) -> None:
    publisher = view.web.publisher
    publish = publisher.publish

    async def fail_at_the_till(record: object) -> None:
        if getattr(record, "topic", "") == "pos-events":
            raise PublishFailed("no broker")
        await publish(record)

    publisher.publish = fail_at_the_till
    response = await view.web.client.post("/try", data=FORM, allow_redirects=False)
    assert response.status == 503
    assert "the broker did not acknowledge" in await response.text()


async def test_without_the_baskets_the_page_of_a_basket_says_why_its_part_is_not_there(
    view: SqlWebView,
) -> None:
    await view.project(found("a1", basket="b1"))
    view.web.fails(PLUGIN.name, "its table is gone")
    page = await view.page("/baskets/b1")
    assert in_order(page.text, "The till's answer", "its table is gone", "Step by step")


async def test_the_list_is_a_file_that_is_masked_unless_revealed(view: SqlWebView) -> None:
    await project(view, copy_of("b1", *PURCHASE), copy_of("=1+1", started(10, terminal_id="t2")))
    page = await view.page("/till-baskets?terminal=t1")
    text = await (await view.web.client.get(page.links["CSV"])).text()
    (row,) = csv.DictReader(io.StringIO(text))
    told = {name: row[name] for name in ("started_at", "basket_id", "status", "total", "items")}
    assert told == {
        "started_at": "2026-01-31T08:00:00.000Z",
        "basket_id": "b1",
        "status": "PAID",
        "total": "5.2300",
        "items": "2",
    }
    assert row["customer_identifier"] == "'+1******890"
    text = await (await view.web.client.get("/till-baskets.csv?reveal=1&sort=oldest")).text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["basket_id"] for row in rows] == ["b1", "'=1+1"]
    assert rows[0]["customer_identifier"] == "'+1234567890"


@pytest.mark.parametrize("path", ["/till-baskets", "/till-baskets.csv"])
async def test_what_the_list_does_not_know_is_refused_by_name(view: SqlWebView, path: str) -> None:
    page = await view.page(f"{path}?colour=red&status=OPEN", 400)
    assert "There is no filter “colour”; there are status, basket," in page.text
    assert page.values["status"] == "OPEN"
