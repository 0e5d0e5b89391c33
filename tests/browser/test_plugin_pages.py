"""Every page in the navigation, those of a plugin that was added too, as axe judges it."""

from pathlib import Path

import pytest

from tests.browser.axe import violations
from tests.browser.conftest import Seen
from tests.browser.dev_worker import running_dev
from tests.plugins.checkouts import TOY, copied_checkout

pytestmark = pytest.mark.browser


async def test_each_page_of_each_plugin_is_accessible(seen: Seen, tmp_path: Path) -> None:
    checkout = copied_checkout(tmp_path / "checkout", TOY)
    async with running_dev(tmp_path / "data", cwd=checkout) as url:
        page = seen.page
        await page.goto(f"{url}/")
        links = page.locator("nav a")
        hrefs = {str(await link.get_attribute("href")) for link in await links.all()}
        paths = hrefs - {"/graphql/"}  # GraphiQL is not ours
        assert "/visits" in paths
        for path in sorted(paths):
            await page.goto(f"{url}{path}")
            assert await violations(page) == [], path
