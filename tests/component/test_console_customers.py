"""The customers as an operator's browser gets them: the list, one of them, and the buttons."""

import csv
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import orjson
import pytest

from posstream.domain.access_key import read_access_keys
from posstream.forgetting.marks import Trail
from posstream.settings import Settings
from tests.component.html_page import HtmlPage
from tests.component.sql_databases import JOHN, at, failed, found, logged
from tests.component.sql_web import SqlWebView, running_sql_web

VIEWER, SUPPORT, OPERATOR = "viewer-key-01234", "support-key-0123", "operator-key-012"
KEYED = Settings(
    named_keys=read_access_keys(
        f"viewer:{VIEWER}:vera;support:{SUPPORT}:sam;operator:{OPERATOR}:olga"
    )
)
JANE = {
    **JOHN,
    "customer_id": "CUST_002",
    "first_name": "Jane",
    "last_name": "Smith",
    "email": "jane@example.com",
    "phone": "+0987654321",
    "tier": "PLATINUM",
}
NAME, ID, TIER, POINTS, PHONE, EMAIL = range(6)


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[SqlWebView]:
    async with running_sql_web(tmp_path) as view:
        yield view


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[SqlWebView]:
    async with running_sql_web(tmp_path, KEYED) as view:
        await two_customers(view)
        yield view


async def two_customers(view: SqlWebView) -> None:
    await view.project(
        found("e1"),
        found("e2", identifier="john@example.com", basket="till 1/7", source="CACHE", fetched=20),
        found("e3", identifier="+0987654321", basket="basket_3", customer=JANE),
    )


def bearer(key: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {key}", "Accept": "text/html"}}


async def press(
    view: SqlWebView, path: str, status: int, *, follow: bool = True, **options: Any
) -> HtmlPage:
    response = await view.web.client.post(path, allow_redirects=follow, **options)
    assert response.status == status
    return HtmlPage.of(await response.text())


def commands(view: SqlWebView) -> list[dict[str, Any]]:
    return [orjson.loads(record.value or b"") for record in view.web.publisher.records]


# -- the list


async def test_a_customer_is_a_row_with_a_link_and_masked_identifiers(view: SqlWebView) -> None:
    await two_customers(view)
    page = await view.page("/customers")
    assert [row[:7] for row in page.rows] == [
        ["John Doe", "CUST_001", "GOLD", "1,250", "+1******890", "jo******com", "2"],
        ["Jane Smith", "CUST_002", "PLATINUM", "1,250", "+0******321", "ja******com", "1"],
    ]
    assert len(view.statements) <= 3
    there = await view.page(page.links["Jane Smith"])
    assert there.titles == ["Jane Smith PLATINUM"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=ane+smi", ["CUST_002"]),
        ("search=567890", ["CUST_001"]),
        ("search=JANE@", ["CUST_002"]),
        ("tier=GOLD", ["CUST_001"]),
        ("search=example&tier=PLATINUM", ["CUST_002"]),
        ("search=Doe,+John", ["CUST_001"]),
        ("search=smith,ja", ["CUST_002"]),
        ("search=John,+Doe", []),
        ("search=cust_00", ["CUST_001", "CUST_002"]),
        ("search=CUST_002", ["CUST_002"]),
        ("search=%2B1+(234)+567-890", ["CUST_001"]),
        ("search=001234567890", ["CUST_001"]),
        ("search=nobody", []),
    ],
)
async def test_search_and_tier_stand_in_the_url_and_in_their_fields(
    view: SqlWebView, query: str, expected: list[str]
) -> None:
    await two_customers(view)
    page = await view.page(f"/customers?{query}")
    assert [row[ID] for row in page.rows] == expected
    asked = dict(parse_qsl(query))
    assert page.values["search"] == asked.get("search", "")
    assert page.values["tier"] == asked.get("tier", "")


async def test_pages_lead_on_by_id_and_keep_the_search(view: SqlWebView) -> None:
    await view.project(
        *(
            found(f"e{n}", identifier=f"CARD_{n}", customer={**JOHN, "customer_id": f"C{n:03}"})
            for n in range(120)
        )
    )
    seen, page = [], await view.page("/customers?search=doe")
    assert "First page" not in page.links
    while True:
        assert page.values["search"] == "doe"
        seen.append([row[ID] for row in page.rows])
        if "Next page" not in page.links:
            break
        page = await view.page(page.links["Next page"])
    assert [len(rows) for rows in seen] == [50, 50, 20]
    assert [one for rows in seen for one in rows] == [f"C{n:03}" for n in range(120)]
    assert [row[ID] for row in (await view.page(page.links["First page"])).rows] == seen[0]


@pytest.mark.parametrize("field", ["search", "tier"])
@pytest.mark.parametrize("text", ["x" * 257, "a\x07b"])
async def test_what_cannot_be_searched_for_is_said_at_its_field_and_kept(
    view: SqlWebView, field: str, text: str
) -> None:
    other = "tier" if field == "search" else "search"
    page = await view.page(f"/customers?{field}={quote(text)}&{other}=GOLD", status=400)
    assert page.errors == {field: "At most 256 printable characters."}
    assert (page.values[field], page.values[other]) == (text, "GOLD")
    assert view.statements == []


async def test_a_broken_place_in_the_list_is_its_beginning(view: SqlWebView) -> None:
    await two_customers(view)
    assert len((await view.page("/customers?after=%07")).rows) == 2


async def test_a_viewer_searches_names_alone(keyed: SqlWebView) -> None:
    for part in ("1234567890", "567", "john@", "example", "card"):
        page = await keyed.page(f"/customers?search={quote(part)}", **bearer(VIEWER))
        assert page.rows == [], part
        page = await keyed.page(f"/customers?search={quote(part)}", **bearer(SUPPORT))
        assert (page.rows != []) == (part != "card"), part
    for part in ("ohn+d", "Doe,+John", "CUST_001"):
        page = await keyed.page(f"/customers?search={part}", **bearer(VIEWER))
        assert [row[ID] for row in page.rows] == ["CUST_001"], part
    assert (await keyed.page("/customers?search=CUST_00", **bearer(VIEWER))).rows == []


async def test_the_customers_by_falling_id_are_a_file_too(keyed: SqlWebView) -> None:
    page = await keyed.page("/customers?search=example.com", **bearer(SUPPORT))
    assert "2 in all" in page.text
    page = await keyed.page(page.links["By id, falling"], **bearer(SUPPORT))
    assert [row[ID] for row in page.rows] == ["CUST_002", "CUST_001"]
    response = await keyed.web.client.get(page.links["CSV"], **bearer(SUPPORT))
    rows = list(csv.DictReader(io.StringIO(await response.text())))
    assert [row["customer_id"] for row in rows] == ["CUST_002", "CUST_001"]
    assert (rows[1]["phone"], rows[1]["identifiers"]) == (
        "'+1******890",
        "'+1******890 jo******com",
    )
    response = await keyed.web.client.get("/customers.csv?reveal=1&search=jane", **bearer(SUPPORT))
    assert "jane@example.com" in await response.text()
    response = await keyed.web.client.get("/customers.csv?reveal=1", **bearer(VIEWER))
    assert "jane@example.com" not in await response.text()


@pytest.mark.parametrize("path", ["/customers", "/customers.csv"])
async def test_what_the_list_does_not_know_is_refused_by_name(view: SqlWebView, path: str) -> None:
    page = await view.page(f"{path}?colour=red&search=doe", 400)
    assert "There is no filter “colour”; there are search, tier." in page.text
    assert (page.values["search"], view.statements) == ("doe", [])


async def test_graphql_s_search_tells_a_viewer_no_more(keyed: SqlWebView) -> None:
    query = """query ($part: String) {
      allCustomers(search: $part) { customerId }
      customers(search: $part) { edges { node { customerId } } }
    }"""

    async def found_by(part: str, key: str) -> dict[str, Any]:
        response = await keyed.web.post(
            {"query": query, "variables": {"part": part}}, Authorization=f"Bearer {key}"
        )
        return dict((await response.json())["data"])

    nothing = {"allCustomers": [], "customers": {"edges": []}}
    assert await found_by("john@ex", VIEWER) == nothing
    assert await found_by("john@ex", SUPPORT) != nothing
    assert await found_by("doe", VIEWER) == await found_by("doe", SUPPORT) != nothing


async def test_identifiers_are_shown_to_whoever_may_and_asks_and_that_is_written_down(
    keyed: SqlWebView, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    for path in ("/customers?reveal=1", "/customers/CUST_001?reveal=1"):
        page = await keyed.page(path, **bearer(VIEWER))
        assert "1234567890" not in page.text
        assert "john@example.com" not in page.text
        assert caplog.messages == []
        page = await keyed.page(path, **bearer(SUPPORT))
        assert "+1234567890" in page.text
        assert "sam (support)" in caplog.messages[0]
        caplog.clear()


# -- one customer


async def test_the_page_has_fields_entries_and_answers(view: SqlWebView) -> None:
    await two_customers(view)
    view.statements.clear()
    page = await view.page("/customers/CUST_001")
    assert len(view.statements) <= 3
    assert page.titles == ["John Doe GOLD"]
    assert [row[1:4] for row in page.rows] == [
        ["till 1/7", "jo******com", "cache"],
        ["basket_1", "+1******890", "API"],
    ]
    assert "1234567890" not in page.text
    assert "fetched 2026-01-31 08:00:10" in page.text
    assert "fresh until 2026-01-31 09:00:10" in page.text
    assert "stale until 2026-02-01 08:00:10" in page.text
    basket = await view.page(page.links["till 1/7"])
    assert basket.titles == ["till 1/7"]


async def test_an_entry_is_as_old_as_the_newest_call_even_without_an_answer(
    view: SqlWebView,
) -> None:
    await view.project(
        found("e1", fetched=10),
        logged("refreshed", request_timestamp=at(30), basket_id=None),
        logged("failed later", request_timestamp=at(40), status="FAILED"),
        logged("somebody else's", request_timestamp=at(50), customer_identifier="+4930"),
    )
    page = await view.page("/customers/CUST_001")
    assert "fetched 2026-01-31 08:00:30" in page.text


async def test_failed_answers_are_told_and_those_with_another_customer_are_not(
    view: SqlWebView,
) -> None:
    moved = {**JANE, "customer_id": "CUST_009"}
    await view.project(
        found("e1", basket="mine", fetched=20),
        found("e2", basket="another_s", fetched=10, customer=moved),
        failed("e3", basket="late", customer_identifier="+1234567890", identified=30),
    )
    page = await view.page("/customers/CUST_001")
    assert [(row[1], row[3]) for row in page.rows] == [("late", "timeout"), ("mine", "API")]


@pytest.mark.parametrize("customer_id", ["nobody", "a\x07b", "x" * 300])
async def test_an_unknown_customer_is_a_page_that_says_so(
    view: SqlWebView, customer_id: str
) -> None:
    page = await view.page(f"/customers/{quote(customer_id)}", status=404)
    assert page.titles == ["No such customer"]


async def test_an_id_of_any_characters_has_its_page(view: SqlWebView) -> None:
    strange = "a/b ?#%<b>"
    await view.project(found("e1", customer={**JOHN, "customer_id": strange}))
    page = await view.page((await view.page("/customers")).links["John Doe"])
    assert strange in page.text


# -- the buttons


async def test_refresh_asks_anew_about_each_identifier(view: SqlWebView) -> None:
    await two_customers(view)
    page = await press(view, "/customers/CUST_001/refresh", 200)
    assert "ask the directory about every identifier" in page.text
    asked = commands(view)
    assert [(it["op"], it["identifier"]) for it in asked] == [
        ("refresh", "+1234567890"),
        ("refresh", "john@example.com"),
    ]
    assert asked[0]["lookup_id"] != asked[1]["lookup_id"]


async def test_evict_drops_the_entry_of_each_identifier(view: SqlWebView) -> None:
    await two_customers(view)
    page = await press(view, "/customers/CUST_001/evict", 200)
    assert "drop the cached entries" in page.text
    assert [(it["op"], it["identifier"]) for it in commands(view)] == [
        ("evict", "+1234567890"),
        ("evict", "john@example.com"),
    ]


@pytest.mark.parametrize("action", ["refresh", "evict"])
async def test_a_broker_that_is_away_is_said_and_the_page_stays(
    view: SqlWebView, action: str
) -> None:
    await two_customers(view)
    view.web.publisher.fail()
    page = await press(view, f"/customers/CUST_001/{action}", 503)
    assert "did not acknowledge" in page.text
    assert page.titles == ["John Doe GOLD"]


async def test_each_button_asks_for_its_role_and_is_written_down(
    keyed: SqlWebView, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    page = await press(keyed, "/customers/CUST_001/evict", 403, **bearer(VIEWER))
    assert page.titles == ["Not for your role"]
    await press(keyed, "/customers/CUST_001/refresh", 403, **bearer(VIEWER))
    await press(keyed, "/customers/CUST_001/forget", 403, **bearer(SUPPORT))
    assert keyed.web.publisher.records == []
    await press(keyed, "/customers/CUST_001/evict", 303, follow=False, **bearer(SUPPORT))
    assert caplog.messages == [
        "evictCustomer(customer_id='CUST_001') by vera (viewer): FORBIDDEN",
        "refreshCustomer(customer_id='CUST_001') by vera (viewer): FORBIDDEN",
        "forgetCustomer(customer_id='CUST_001') by sam (support): FORBIDDEN",
        "evictCustomer(customer_id='CUST_001') by sam (support): done",
    ]
    assert (await keyed.page("/customers/CUST_001/forget", 403, **bearer(SUPPORT))).titles == [
        "Not for your role"
    ]


async def test_nobody_is_offered_what_they_may_not_do(keyed: SqlWebView) -> None:
    offered = {}
    for key in (VIEWER, SUPPORT, OPERATOR):
        page = await keyed.page("/customers/CUST_001", **bearer(key))
        offered[key] = [word for word in ("Evict", "Forget…") if word in page.text]
    assert offered == {VIEWER: [], SUPPORT: ["Evict"], OPERATOR: ["Evict", "Forget…"]}


async def test_forgetting_is_asked_once_more_and_then_reported(view: SqlWebView) -> None:
    await two_customers(view)
    view.web.erasure.known = Trail(("+1234567890", "john@example.com"), ("CUST_001",))
    view.web.erasure.found = {"customers": 1, "baskets": 3}
    asked = await view.page("/customers/CUST_001/forget")
    assert asked.titles == ["Forget John Doe?"]
    assert "all 2 identifiers" in asked.text
    assert view.web.publisher.records == []
    report = await press(view, "/customers/CUST_001/forget", 200)
    assert report.titles == ["The customer is forgotten"]
    assert [it["op"] for it in commands(view)] == ["forget", "forget"]
    for told in ("Identifiers 2", "Customers 1", "Baskets 3"):
        assert told in report.text
    assert ["customer-identified", "2026-02-07 08:00:00"] in report.rows
    assert "John" not in report.text


async def test_forgetting_without_a_broker_is_said_and_can_be_tried_again(
    view: SqlWebView,
) -> None:
    await two_customers(view)
    view.web.publisher.fail()
    page = await press(view, "/customers/CUST_001/forget", 503)
    assert page.titles == ["Forget John Doe?"]
    assert "did not acknowledge" in page.text


async def test_a_customer_to_whom_no_identifier_leads_is_forgotten_without_touching_another(
    view: SqlWebView,
) -> None:
    await view.project(
        found("e1", fetched=10), found("e2", fetched=20, customer={**JANE, "customer_id": "C2"})
    )
    asked = await view.page("/customers/CUST_001/forget")
    assert "no identifier leads to this customer any more" in asked.text
    report = await press(view, "/customers/CUST_001/forget", 200)
    assert report.titles == ["The customer is forgotten"]
    assert commands(view) == [{"op": "forget", "customer_id": "CUST_001", "after_ms": 0}]
