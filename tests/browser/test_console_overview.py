"""The console's first page in a browser."""

from urllib.parse import urlsplit

import pytest

from posstream.resilience.clock import Clock
from tests.browser.conftest import Seen
from tests.component.web_client import WebView, running_web

pytestmark = pytest.mark.browser


def url(web: WebView) -> str:
    return f"http://{web.client.host}:{web.client.port}/"


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
