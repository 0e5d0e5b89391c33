"""The console's first page in a browser."""

from urllib.parse import urlsplit

import pytest

from agents.customer_lookup.read_model.records import LookupStatistics
from posstream.resilience.clock import Clock
from tests.browser.axe import violations
from tests.browser.conftest import Seen
from tests.component.web_client import WebView, running_web

pytestmark = pytest.mark.browser


def url(web: WebView) -> str:
    return f"http://{web.client.host}:{web.client.port}/"


def busy(web: WebView) -> None:
    web.read_model.statistics = LookupStatistics(
        {("CACHE", None): 812_345, ("API", None): 9123, (None, "CIRCUIT_OPEN"): 17},
        {"SUCCESS": 9123, "TIMEOUT": 230},
        38,
        212,
        640,
    )
    web.lookup_metrics.answers.labels("CACHE", "NONE").inc(5)
    web.lookup_metrics.answers.labels("NONE", "TIMEOUT").inc(1)


async def test_it_lives_can_be_paused_and_goes_on(seen: Seen) -> None:
    async with running_web(beat_seconds=0.02, clock=Clock()) as web:
        page = seen.page
        await page.goto(url(web))
        await page.get_by_text("live", exact=True).wait_for()
        web.lookup_metrics.events_in_flight.set(7)
        await page.get_by_text("7 events").wait_for()
        await page.get_by_role("button", name="Pause").click()
        await page.get_by_text("paused", exact=True).wait_for()
        web.lookup_metrics.events_in_flight.set(8)
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_text("8 events").wait_for()
        # What was drawn is still there on a new page.
        await page.reload()
        assert await page.locator("#this-worker polyline").count() > 0
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url(web)).netloc}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_it_fits_and_axe_finds_nothing(seen: Seen, theme: str, width: int) -> None:
    async with running_web(beat_seconds=0.02, clock=Clock()) as web:
        page = seen.page
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size({"width": width, "height": 900})
        await page.goto(url(web))
        busy(web)
        await page.get_by_text("6 lookups").wait_for()
        await page.get_by_role("button", name="Pause").click()
        assert await violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.errors == []
