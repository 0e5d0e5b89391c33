"""The list of baskets and the page of a basket in a browser, on fakes."""

from pathlib import Path

import pytest

from tests.browser.conftest import Seen
from tests.component.basket_copies import PURCHASE, copy_of
from tests.component.basket_web import project, running_basket_web
from tests.component.sql_databases import found

pytestmark = pytest.mark.browser


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
