"""Every page of the console, with all plugins and a row of everything, in one walk."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from agents.customer_lookup.drills.drill import Drill, Fault
from tests.browser.conftest import Seen
from tests.browser.sound import faults
from tests.component.fakes import NOW_MS
from tests.component.whole_web import pages_of, running_whole_web

pytestmark = pytest.mark.browser

OPEN_ALL: Final = "document.querySelectorAll('details').forEach((it) => (it.open = true))"
#: What pages can show beside what the router knows, each with a text that says so.
OTHERS: Final = {
    "/lookups?outcome=FAILED": "This is the oldest.",
    "/lookups?from=yesterday": "Write a time like",
    "/lookups?basket=none": "Nothing matches",
    "/lookups?nothing=1": "There is no filter",
    "/baskets/b2": "At the till",
    "/baskets/basket_2": "Answered without a customer",
    "/baskets/basket_3": "No answer yet",
    "/baskets/b3?done=tried": "The purchase is on its way",
    "/customers?search=nobody": "Nobody matches",
    "/customers?search=%07": "At most 256 printable",
    "/customers/CUST_001?done=refreshed": "What tills were told",
    "/dead-letters?reason=NONE": "",
    "/dead-letters/0/2/replay": "It cannot be replayed",
    "/dead-letters/replay?reason=MISSING_FIELD": "",
    "/till-baskets?status=VOIDED": "Nothing matches",
    "/fraud/alerts?rule=void_ratio": "Nothing matches",
    "/fraud/alerts/a2?done=verdict&judged=9999999999999": "Your verdict is on its way",
    "/nowhere": "There is no such page",
}


async def test_every_page_is_sound_on_a_phone_and_a_desk_light_and_dark(
    seen: Seen, tmp_path: Path
) -> None:
    async with running_whole_web(tmp_path, beat_seconds=60) as whole:
        web, page = whole.view.web, seen.page
        web.drills.newest = Drill(  # its banner is above every page
            fault=Fault.LATENCY,
            percent=30,
            milliseconds=2000,
            started_at_ms=NOW_MS - 60_000,
            ends_at_ms=NOW_MS + 60_000,
            started_by="anna",
        )
        base = f"http://{web.client.host}:{web.client.port}"
        paths = dict.fromkeys(pages_of(web.client.server.app), "") | OTHERS
        found: dict[str, list[str]] = {}
        for path, text in paths.items():
            await page.goto(base + path)
            await page.get_by_text(text or "posstream").first.wait_for()
            await page.evaluate(OPEN_ALL)
            if wrong := await faults(page, path.strip("/").replace("/", "-") or "overview"):
                found[path] = wrong
        assert found == {}
        # The browser says of a 400 and a 404 that it was one; that is no fault of the page.
        assert [said for said in seen.errors if "status of 40" not in said] == []
        assert seen.hosts == {urlsplit(base).netloc}
