"""The page of a basket as an operator's browser gets it."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posstream.json.reading import read_json_exactly
from tests.component.sql_databases import at, failed, found, logged, started
from tests.component.sql_web import SqlWebView, running_sql_web
from tests.component.test_console_lookups import KEYED, SUPPORT, VIEWER, bearer


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[SqlWebView]:
    async with running_sql_web(tmp_path) as view:
        yield view


def in_order(text: str, *parts: str) -> bool:
    """Whether the parts come one after the other."""
    rest = text
    for part in parts:
        _before, found_, rest = rest.partition(part)
        if not found_:
            return False
    return True


async def test_the_steps_stand_in_the_order_of_cause_with_their_offsets(view: SqlWebView) -> None:
    await view.project(
        started("basket_1", second=5),
        logged("try1", lookup_id="lookup-a1", status="FAILED", http_status=503, duration_ms=400),
        logged("try2", lookup_id="lookup-a1", attempt=2, request_timestamp=at(11), duration_ms=90),
        found("a1", fetched=11, identified=9, attempts=2, duration_ms=2000),
    )
    page = await view.page("/baskets/basket_1")
    assert page.titles == ["basket_1"]
    assert in_order(
        page.text,
        "The till's answer",
        "API",
        "John Doe",
        "CUST_001",
        "Step by step",
        "+0 ms",
        "08:00:05.000",
        "The basket was started",
        "+4,000 ms",
        "A customer was identified",
        "+1******890",
        "Read as a phone number",
        "Nothing fresh in the cache",
        "+5,000 ms",
        "Attempt 1: FAILED",
        "HTTP 503",
        "400 of 2,000 ms",
        "+6,000 ms",
        "Attempt 2: SUCCESS",
        "HTTP 200",
        "90 of 2,000 ms",
        "+7,000 ms",
        "08:00:12.000",
        "Answered by the directory",
        "The basket has its customer in SQL",
    )
    assert "1234567890" not in page.text


async def test_why_there_was_no_customer_is_said_first(view: SqlWebView) -> None:
    await view.project(
        failed("a1", reason="CIRCUIT_OPEN", attempts=0, error_message="the breaker is open")
    )
    page = await view.page("/baskets/basket_1")
    assert in_order(
        page.text,
        "The till's answer",
        "circuit open",
        "the breaker is open",
        "Step by step",
        "The circuit breaker was open: no call",
        "Answered without a customer: CIRCUIT_OPEN",
    )


async def test_a_basket_that_was_scanned_twice_shows_each_identifier_and_the_newest_answer(
    view: SqlWebView,
) -> None:
    await view.project(
        failed("a1", identified=10, reason="NOT_FOUND", customer_identifier="CARD_999999"),
        found("a2", fetched=20, identifier="john@example.com", source="CACHE"),
    )
    text = (await view.page("/baskets/basket_1?reveal=1")).text
    assert in_order(text, "The till's answer", "cache", "john@example.com", "Step by step")
    assert in_order(text, "Step by step", "CARD_999999", "NOT_FOUND", "john@example.com")


async def test_the_record_behind_a_step_is_there_as_json_masked_as_the_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    async with running_sql_web(tmp_path, KEYED) as view:
        phone = {"phones": ["+1234567890"]}
        await view.project(logged("try1", lookup_id="lookup-a1", response_data=phone), found("a1"))
        masked = await view.page("/baskets/basket_1?reveal=1", **bearer(VIEWER))
        assert '"http_status": 200' in masked.text
        assert "1234567890" not in masked.text
        assert "john@example.com" not in masked.text
        assert caplog.messages == []
        full = await view.page("/baskets/basket_1?reveal=1", **bearer(SUPPORT))
        assert '"+1234567890"' in full.text
        assert "john@example.com" in full.text
    (line,) = caplog.messages
    assert line.endswith("revealed to sam (support) by the page basket")


async def test_the_record_has_numbers_of_the_directory_as_they_were_sent(view: SqlWebView) -> None:
    response = read_json_exactly(b'{"points": 12345678901234567890123, "sum": 10.10}')
    await view.project(logged("try1", lookup_id="lookup-a1", response_data=response), found("a1"))
    text = (await view.page("/baskets/basket_1?reveal=1")).text
    assert in_order(text, '"points": 12345678901234567890123', '"sum": 10.10')


async def test_a_basket_that_nobody_saw_says_what_to_do(view: SqlWebView) -> None:
    page = await view.page("/baskets/basket_x", 404)
    assert page.titles == ["basket_x"]
    assert "Nothing was seen of this basket" in page.text
    assert "dead letters" in page.links
    assert page.values["basket"] == ""


async def test_a_basket_that_was_only_started_waits_for_its_answer(view: SqlWebView) -> None:
    await view.project(started("basket_1"))
    page = await view.page("/baskets/basket_1")
    assert in_order(page.text, "No answer yet", "The basket was started")
    assert (await view.page(page.links["Look again"])).titles == ["basket_1"]


async def test_whatever_a_till_writes_is_text_on_the_page(view: SqlWebView) -> None:
    name = "a/b?c#<script>alert(1)</script>"
    await view.project(failed("a1", basket=name, error_message="<b>bold</b>"))
    found_by_search = await view.page("/baskets", params={"basket": f" {name} "})
    assert found_by_search.titles == [name]
    assert "<b>bold</b>" in found_by_search.text


async def test_the_search_leads_to_a_basket_or_says_what_is_wrong(view: SqlWebView) -> None:
    assert (await view.page("/baskets")).titles == ["Which basket?"]
    page = await view.page("/baskets", 400, params={"basket": "b" * 257})
    assert "1 to 256" in page.errors["basket"]
    assert page.values["basket"] == "b" * 257
    # What could be no id was never seen.
    await view.page("/baskets/%00", 404)
