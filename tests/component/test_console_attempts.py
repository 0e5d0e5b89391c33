"""The list of HTTP attempts as an operator's browser gets it."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from tests.component.sql_databases import at, logged
from tests.component.sql_web import SqlWebView, running_sql_web
from tests.component.test_console_lookups import KEYED, SUPPORT, VIEWER, bearer

BASKET: Final = 1
LONG: Final = f"http://directory.test/{'x' * 200}/"


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[SqlWebView]:
    async with running_sql_web(tmp_path) as view:
        await view.project(
            logged("a1", basket_id="b1"),
            logged(
                "a2",
                basket_id="b2",
                request_timestamp=at(20),
                status="FAILED",
                http_status=503,
                response_data=None,
                error_message="HTTP 503",
                customer_identifier="john@example.com",
            ),
            logged(
                "a3",
                basket_id="b3",
                request_timestamp=at(30),
                status="TIMEOUT",
                http_status=None,
                response_data={"customer_id": "CUST_003"},
                api_endpoint=LONG,
                duration_ms=5000,
                attempt=2,
            ),
        )
        yield view


async def test_an_attempt_is_a_row_with_a_link_to_its_basket(view: SqlWebView) -> None:
    page = await view.page("/attempts")
    timeout, failure, success = page.rows
    assert timeout[:4] == ["2026-01-31 08:00:30", "b3", "+1******890", "timeout"]
    assert timeout[4:7] == ["none", "2", "5.0 s"]
    assert failure[3:5] + failure[7:] == ["failed", "503", "HTTP 503", "http://directory.test/"]
    assert success[2:6] == ["+1******890", "success", "200", "1"]
    assert "3 in all" in page.text
    assert page.links["b2"] == "/baskets/b2"
    assert page.links["Attempts"] == "/attempts"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=FAILED", ["b2"]),
        ("http=503", ["b2"]),
        ("http=200", ["b1"]),
        ("http=none", ["b3"]),
        ("http=404", []),
        ("endpoint=http://directory.test/", ["b2", "b1"]),
        (f"endpoint={LONG}", ["b3"]),
        (f"endpoint={LONG[:-1]}", []),
        ("identifier=%2B1+(234)+567890", ["b3", "b1"]),
        ("identifier=JOHN@example.com", ["b2"]),
        ("customer=CUST_003", ["b3"]),
        ("basket=b1", ["b1"]),
        ("from=2026-01-31T08:00:20&to=2026-01-31T08:00:30", ["b2"]),
        ("status=SUCCESS&http=503", []),
        ("sort=oldest", ["b1", "b2", "b3"]),
    ],
)
async def test_attempts_are_filtered(view: SqlWebView, query: str, expected: list[str]) -> None:
    page = await view.page(f"/attempts?{query}")
    assert [row[BASKET] for row in page.rows] == expected


@pytest.mark.parametrize("path", ["/attempts", "/attempts.csv"])
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("http=5xx", "Write a status like 503, or “none”"),
        ("status=GOOD", "Choose one of the list."),
        ("reason=TIMEOUT", "There is no filter “reason”; there are status, http, endpoint,"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_name(
    view: SqlWebView, path: str, query: str, said: str
) -> None:
    page = await view.page(f"{path}?{query}", 400)
    assert said in page.text
    assert (page.rows, view.statements) == ([], [])


async def test_the_file_is_masked_unless_revealed(tmp_path: Path) -> None:
    async with running_sql_web(tmp_path, KEYED) as view:
        await view.project(logged("a1", error_message="=1+1"), logged("a2", status="TIMEOUT"))
        page = await view.page("/attempts?status=SUCCESS", **bearer(SUPPORT))
        response = await view.web.client.get(page.links["CSV"], **bearer(SUPPORT))
        (row,) = csv.DictReader(io.StringIO(await response.text()))
        assert (row["event_id"], row["http_status"], row["error_message"]) == ("a1", "200", "'=1+1")
        assert row["customer_identifier"] == "'+1******890"
        for key, shown in ((VIEWER, False), (SUPPORT, True)):
            response = await view.web.client.get("/attempts.csv?reveal=1", **bearer(key))
            assert ("1234567890" in await response.text()) is shown
