"""What the charts of the overview say under the mouse, under a finger and by keys."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents.customer_lookup.read_model.lookup_counts import LookupCounts
from posstream.resilience.clock import Clock
from tests.browser.conftest import TIMEOUT_MS, Seen
from tests.browser.scrolling import scroll_to
from tests.component.web_client import WebView, running_web

pytestmark = pytest.mark.browser

SAID = "10 per second, 0.5 failed"


@asynccontextmanager
async def overview(seen: Seen, **options: Any) -> AsyncIterator[WebView]:
    async with running_web(beat_seconds=0.05, clock=Clock(), **options) as web:
        web.read_model.counts = LookupCounts(lookups=600, failed=30)
        await seen.page.goto(f"http://{web.client.host}:{web.client.port}/")
        yield web
        assert seen.errors == []


def chart(page: Any, name: str) -> Any:
    return page.locator(f'[data-chart="{name}"]')


def told(page: Any, name: str, words: str) -> Any:
    return chart(page, name).locator("output:not([hidden])", has_text=words)


async def test_a_chart_says_its_value_where_the_mouse_is_also_after_it_is_drawn_again(
    seen: Seen,
) -> None:
    async with overview(seen) as web:
        page = seen.page
        lookups = chart(page, "lookups")
        box = await scroll_to(lookups.locator("input"))
        await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        output = lookups.locator("output")
        await told(page, "lookups", SAID).wait_for()
        first = await output.locator("time").get_attribute("datetime")
        # The panel beside is drawn again, and again; then this one is.
        web.lookup_metrics.events_in_flight.set(7)
        await page.get_by_text("7 events").wait_for()
        await told(page, "lookups", SAID).wait_for()
        await page.mouse.move(box["x"] + 1, box["y"] + box["height"] / 2)
        async with asyncio.timeout(TIMEOUT_MS / 1000):
            while await output.locator("time").get_attribute("datetime") >= first:
                pass
        await page.mouse.move(0, 0)
        await output.wait_for(state="hidden")


async def test_the_arrow_keys_walk_through_a_chart_that_is_drawn_again_meanwhile(
    seen: Seen,
) -> None:
    async with overview(seen) as web:
        page = seen.page
        web.lookup_metrics.events_in_flight.set(7)
        flight = chart(page, "in-flight-now")
        await flight.locator("input:not([hidden])").wait_for()
        await flight.locator("input").focus()
        await told(page, "in-flight-now", "7").wait_for()
        web.lookup_metrics.events_in_flight.set(8)
        await told(page, "in-flight-now", "8").wait_for()
        await page.keyboard.press("ArrowLeft")
        said = await flight.locator("input").get_attribute("aria-valuetext")
        assert said.endswith((" 8", " 7"))
        focused = "document.activeElement.closest('[data-chart]').dataset.chart"
        assert await page.evaluate(focused) == "in-flight-now"


async def test_a_touch_shows_a_value(browser: Any) -> None:
    context = await browser.new_context(
        has_touch=True, viewport={"width": 390, "height": 800}, is_mobile=True
    )
    try:
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        async with overview(Seen(page)):
            await chart(page, "calls").locator("input").tap()
            await told(page, "calls", "0 per second").wait_for()
    finally:
        await context.close()


async def test_a_range_is_chosen_by_a_link_and_stays_while_the_page_lives(seen: Seen) -> None:
    async with overview(seen) as web:
        page = seen.page
        await page.get_by_role("link", name="24 h").click()
        await page.wait_for_url("**/?range=24h#over-time")
        web.lookup_metrics.events_in_flight.set(7)
        await page.get_by_text("7 events").wait_for()
        said = await chart(page, "lookups").get_attribute("data-said")
        assert len(said.split("|")) == 96
