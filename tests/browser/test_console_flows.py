"""The console in a browser, as people with keys use it on one real worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiokafka
import pytest
import pytest_asyncio

from agents.customer_lookup.topics import CUSTOMER_IDENTIFIED
from tests.browser.conftest import Seen, watched_page
from tests.browser.dev_worker import running_dev
from tests.browser.sound import faults
from tests.integration.harness import free_port

pytestmark = pytest.mark.browser

VIEWER, OPERATOR = "viewer-key-01234", "operator-key-0123"
#: How long the read model may be behind.
BEHIND_SECONDS = 30
#: The pages that every role may open.
READABLE = (
    "/",
    "/lookups",
    "/till-baskets",
    "/customers",
    "/configuration",
    "/dead-letters",
    "/fleet",
    "/topics",
)
JANE, BOB = "+0987654321", "CARD_123456"


@dataclass(frozen=True)
class Till:
    """A worker that has answered a scan of Jane's, and could not read a message."""

    url: str
    basket: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def till(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> AsyncIterator[Till]:
    port = free_port()
    async with running_dev(
        tmp_path_factory.mktemp("dev"),
        dev_broker_port=port,
        api_keys=f"viewer:{VIEWER}:vera;operator:{OPERATOR}:olga",
    ) as url:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{port}") as producer:
            await producer.send_and_wait(CUSTOMER_IDENTIFIED, b"call john@example.com")
        async with person(browser, url, OPERATOR) as seen:
            await scan(seen.page, url, JANE)
            await seen.page.get_by_role("heading", name="Answered by the directory").wait_for()
            basket = urlsplit(seen.page.url).path
            for path in ("/customers", "/dead-letters"):
                await until_there(seen.page, url + path, "tbody tr")
        yield Till(url, basket)


@asynccontextmanager
async def person(browser: Any, url: str, key: str) -> AsyncIterator[Seen]:
    """Somebody who logs in; what their page must not do, it did not."""
    async with watched_page(browser) as seen:
        await seen.page.goto(url)
        await seen.page.get_by_label("Key").fill(key)
        await seen.page.get_by_role("button", name="Log in").click()
        await seen.page.get_by_role("button", name="Log out").wait_for()
        yield seen
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url).netloc}


async def scan(page: Any, url: str, identifier: str) -> None:
    await page.goto(f"{url}/try")
    await page.get_by_label("Phone, e-mail or card").fill(identifier)
    await page.get_by_role("button", name="Scan").click()


async def until_there(page: Any, url: str, selector: str) -> None:
    """Open a page until it has something: the view follows the topics."""
    async with asyncio.timeout(BEHIND_SECONDS):
        await page.goto(url)
        while not await page.locator(selector).count():
            await page.reload()


async def verdict(page: Any, text: str) -> None:
    """Wait until the till's answer says so."""
    await page.get_by_role("region", name="The till's answer").get_by_text(text).first.wait_for()


async def test_a_change_is_in_force_for_the_next_lookup_until_one_click_takes_it_back(
    till: Till, browser: Any
) -> None:
    async with person(browser, till.url, OPERATOR) as seen:
        page = seen.page
        await page.goto(f"{till.url}/configuration")
        broken = f"{till.url}/api/mock-customer-lookup/?status=503"
        await page.get_by_label("Address of the directory").fill(broken)
        await page.get_by_role("button", name="Preview the change").click()
        await page.get_by_role("button", name="Save version 1").click()
        await page.get_by_text("Saved.").wait_for()
        await in_force(page, till.url, "Version 1")
        await scan(page, till.url, BOB)
        await verdict(page, "api error")
        await page.goto(f"{till.url}/configuration")
        await page.get_by_role("button", name="Roll back to the defaults").click()
        await page.get_by_text("Rolled back").wait_for()
        await in_force(page, till.url, "Version 2")
        await scan(page, till.url, BOB)
        await verdict(page, "Bob Wilson")


async def in_force(page: Any, url: str, version: str) -> None:
    await until_there(page, f"{url}/configuration", f"h2:has-text('{version}') .tag.good")


async def test_a_viewer_sees_identifiers_masked_and_nothing_that_changes_anything(
    till: Till, browser: Any
) -> None:
    async with person(browser, till.url, VIEWER) as seen:
        page = seen.page
        links = page.get_by_role("navigation", name="Pages").get_by_role("link")
        assert await links.all_inner_texts() == [
            "Overview",
            "Lookups",
            "Attempts",
            "Baskets",
            "Alerts",
            "Rules",
            "Customers",
            "Configuration",
            "Dead letters",
            "Fleet",
            "Topics",
            "GraphQL",
        ]
        for path in (*READABLE, till.basket, "/customers/CUST_002?reveal=1"):
            await page.goto(till.url + path)
            forms = await page.locator("form[method=post]").evaluate_all(
                "forms => forms.map(form => form.getAttribute('action'))"
            )
            assert forms == ["/logout"], path
            assert JANE not in await page.content(), path
        await page.get_by_text("+0******321").first.wait_for()


async def test_an_operator_reveals_an_identifier_and_logs_out(till: Till, browser: Any) -> None:
    async with person(browser, till.url, OPERATOR) as seen:
        page = seen.page
        await page.goto(till.url + till.basket)
        await verdict(page, "+0******321")
        assert JANE not in await page.content()
        await page.get_by_role("link", name="Show identifiers").click()
        await verdict(page, JANE)
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_label("Key").wait_for()
        await page.goto(till.url + till.basket)
        assert urlsplit(page.url).path == "/login"


async def test_the_login_is_sound_in_both_themes_on_a_desk_and_on_a_phone(
    till: Till, seen: Seen
) -> None:
    await seen.page.goto(f"{till.url}/login")
    assert await faults(seen.page, "login") == []
    assert seen.errors == []
    assert seen.hosts == {urlsplit(till.url).netloc}
