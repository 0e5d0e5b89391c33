"""Lookups, a basket, and *Try it* in a browser: on fakes, and once from scan to answer."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.axe import violations
from tests.browser.conftest import Seen
from tests.browser.dev_worker import running_dev
from tests.component.sql_databases import at, failed, found, logged, started
from tests.component.sql_web import running_sql_web

pytestmark = pytest.mark.browser

#: Pages, each with a text that says that it is there.
PAGES = {
    "/lookups": "Newest answers",
    "/lookups?outcome=FAILED": "This is the oldest.",
    "/lookups?from=yesterday": "Write a time like",
    "/lookups?basket=none": "Nothing matches",
    "/baskets/basket_1": "Step by step",
    "/baskets/basket_2": "Answered without a customer",
    "/baskets/basket_3": "No answer yet",
    "/baskets/nobody": "Nothing was seen of this basket",
    "/baskets": "Which basket?",
    "/try": "Scan a customer",
}
EVENTS = (
    started("basket_1"),
    logged("try1", lookup_id="lookup-a1", status="FAILED", http_status=503, duration_ms=400),
    logged("try2", lookup_id="lookup-a1", attempt=2, request_timestamp=at(11)),
    found("a1", fetched=11, attempts=2, duration_ms=2000),
    failed("a2", basket="basket_2"),
    started("basket_3"),
)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_every_page_fits_and_axe_finds_nothing(
    seen: Seen, tmp_path: Path, theme: str, width: int
) -> None:
    async with running_sql_web(tmp_path) as view:
        await view.project(*EVENTS)
        page = seen.page
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size({"width": width, "height": 900})
        base = f"http://{view.web.client.host}:{view.web.client.port}"
        for path, text in PAGES.items():
            await page.goto(base + path)
            await page.get_by_text(text).first.wait_for()
            for details in await page.locator("details").all():
                await details.locator("summary").click()
            assert await violations(page) == [], path
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        # The browser says of a 400 and a 404 that it was one; that is no fault of the page.
        assert [said for said in seen.errors if "status of 40" not in said] == []
        assert seen.hosts == {urlsplit(base).netloc}


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
        assert await violations(page) == []
        await page.get_by_role("link", name="Lookups").first.click()
        await page.locator("tbody tr").nth(1).wait_for()
        assert await page.locator("tbody .tag").all_inner_texts() == ["cache", "API"]
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url).netloc}
