"""The list of baskets and the page of a basket in a browser, on fakes."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.axe import violations
from tests.browser.conftest import Seen
from tests.component.basket_copies import PURCHASE, copy_of, item, refunded, started
from tests.component.basket_web import project, running_basket_web
from tests.component.sql_databases import found

pytestmark = pytest.mark.browser

#: Pages, each with a text that says that it is there.
PAGES = {
    "/till-baskets": "Newest baskets",
    "/till-baskets?status=VOIDED": "Nothing matches",
    "/till-baskets?from=yesterday": "Write a time like",
    "/baskets/b1": "What was bought",
    "/baskets/b2": "At the till",
    "/baskets/b3?done=tried": "The purchase is on its way",
    "/try": "Then it buys two items",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_every_page_fits_and_axe_finds_nothing(
    seen: Seen, tmp_path: Path, theme: str, width: int
) -> None:
    async with running_basket_web(tmp_path) as view:
        await view.project(found("a1", basket="b1"))
        long = item(11, "1.50", product_id="4006381333931" * 4, product_name="Very long " * 20)
        await project(
            view, copy_of("b1", *PURCHASE, refunded(20, "1")), copy_of("b2", started(10), long)
        )
        page = seen.page
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size({"width": width, "height": 900})
        base = f"http://{view.web.client.host}:{view.web.client.port}"
        for path, text in PAGES.items():
            await page.goto(base + path)
            await page.get_by_text(text).first.wait_for()
            assert await violations(page) == [], path
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        # The browser says of a 400 that it was one; that is no fault of the page.
        assert [said for said in seen.errors if "status of 40" not in said] == []
        assert seen.hosts == {urlsplit(base).netloc}


async def test_a_purchase_that_is_on_its_way_is_shown_when_it_is_there(
    seen: Seen, tmp_path: Path
) -> None:
    async with running_basket_web(tmp_path) as view:
        await view.project(found("a1", basket="b1"))
        page = seen.page
        base = f"http://{view.web.client.host}:{view.web.client.port}"
        await page.goto(f"{base}/baskets/b1?done=tried")
        await page.get_by_role("heading", name="The purchase is on its way").wait_for()
        await project(view, copy_of("b1", *PURCHASE))
        await page.get_by_role("heading", name="What was bought").wait_for()
        assert page.url == f"{base}/baskets/b1"
        assert seen.errors == []
