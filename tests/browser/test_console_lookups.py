"""Lookups, a basket, and *Try it* in a browser: on fakes, and once from scan to answer."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.axe import violations
from tests.browser.conftest import TIMEOUT_MS, Seen
from tests.browser.dev_worker import running_dev
from tests.component.sql_databases import at, failed, found, logged, started
from tests.component.sql_web import running_sql_web

pytestmark = pytest.mark.browser

EVENTS = (
    started("basket_1"),
    logged("try1", lookup_id="lookup-a1", status="FAILED", http_status=503, duration_ms=400),
    logged("try2", lookup_id="lookup-a1", attempt=2, request_timestamp=at(11)),
    found("a1", fetched=11, attempts=2, duration_ms=2000),
    failed("a2", basket="basket_2"),
    started("basket_3"),
)


async def test_a_filter_is_set_and_a_basket_opened_by_keyboard(seen: Seen, tmp_path: Path) -> None:
    async with running_sql_web(tmp_path) as view:
        await view.project(*EVENTS)
        page = seen.page
        await page.goto(f"http://{view.web.client.host}:{view.web.client.port}/lookups")
        await page.get_by_label("Basket").focus()
        await page.keyboard.type("basket_1")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Clear").wait_for()
        rows = page.locator("tbody tr")
        assert await rows.count() == 1
        await rows.get_by_role("link", name="basket_1").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Answered by the directory").wait_for()
        assert seen.errors == []


async def test_who_tries_it_sees_the_answer_arrive_on_the_timeline(
    seen: Seen, tmp_path: Path
) -> None:
    # Slow enough that the page is there before the answer.
    async with running_dev(tmp_path, api_query="?delay_ms=1500") as url:
        page = seen.page
        await page.goto(f"{url}/try")
        await page.get_by_role("link", name="+1234567890").click()
        assert page.url == f"{url}/try"
        await page.get_by_role("button", name="Scan").click()
        await page.get_by_role("heading", name="The customer was scanned").wait_for()
        await page.get_by_role("heading", name="Answered by the directory").wait_for()
        verdict = page.get_by_role("region", name="The till's answer")
        assert "John Doe" in await verdict.inner_text()
        assert "+1******890" in await verdict.inner_text()
        await page.get_by_role("heading", name="Attempt 1: SUCCESS").wait_for()
        bought = page.get_by_role("region", name="What was bought")
        assert "3.19" in await bought.inner_text()
        assert await page.get_by_role("heading", name="A payment was made").count() == 1
        # The same customer again: from the cache, and both are in the list.
        await page.goto(f"{url}/try?identifier=%2B1234567890")
        await page.get_by_role("button", name="Scan").click()
        await page.get_by_role("heading", name="Fresh in the cache").wait_for()
        # The page opens itself again until it has all of the purchase.
        await page.locator("[data-look-again]").first.wait_for(state="detached")
        await page.wait_for_load_state()
        assert await violations(page) == []
        await page.get_by_role("link", name="Lookups").first.click()
        await page.locator("tbody tr").nth(1).wait_for()
        assert await page.locator("tbody .tag").all_inner_texts() == ["cache", "API"]
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url).netloc}


async def test_a_filter_has_the_time_that_its_reader_has_and_asks_for_utc(
    browser: Any, tmp_path: Path
) -> None:
    context = await browser.new_context(timezone_id="Asia/Kolkata")  # 5 h 30 min ahead
    async with running_sql_web(tmp_path) as view:
        await view.project(found("early", fetched=10), found("late", fetched=40, basket="b2"))
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        base = f"http://{view.web.client.host}:{view.web.client.port}"
        await page.goto(f"{base}/lookups")
        shown = await page.locator("tbody time").first.inner_text()
        assert shown == "2026-01-31 13:30:41"
        await page.get_by_label("From", exact=True).fill("2026-01-31T13:30:30")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name="Clear").wait_for()
        assert "from=2026-01-31T08%3A00%3A30" in page.url
        assert await page.locator("tbody tr").count() == 1
        assert await page.get_by_label("From").input_value() == "2026-01-31T13:30:30"
        # One tap, and all of it is in UTC: also what is asked for.
        await page.get_by_role("button", name="Show UTC").click()
        assert await page.get_by_label("From (UTC)").input_value() == "2026-01-31T08:00:30"
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_text("2026-01-31 08:00:41").wait_for()
        assert "from=2026-01-31T08%3A00%3A30" in page.url
    await context.close()


async def test_without_script_a_filter_says_that_it_takes_utc(browser: Any, tmp_path: Path) -> None:
    context = await browser.new_context(java_script_enabled=False, timezone_id="Asia/Kolkata")
    async with running_sql_web(tmp_path) as view:
        await view.project(found("late", fetched=40))
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        base = f"http://{view.web.client.host}:{view.web.client.port}"
        await page.goto(f"{base}/lookups?from=2026-01-31T13:30:30%2B05:30")
        assert await page.get_by_label("From (UTC)").input_value() == "2026-01-31T08:00:30"
        assert await page.locator("tbody time").first.inner_text() == "2026-01-31 08:00:41"
        await page.get_by_text("Times are UTC.").wait_for()
    await context.close()
