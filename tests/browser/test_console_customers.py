"""Customers and dead letters in a browser: on fakes, and once against a real worker."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiokafka
import pytest

from agents.customer_lookup.topics import CUSTOMER_IDENTIFIED
from tests.browser.axe import violations
from tests.browser.conftest import Seen
from tests.browser.dev_worker import running_dev
from tests.integration.harness import free_port

pytestmark = pytest.mark.browser


async def until_listed(page: Any, url: str, count: int) -> None:
    """Look at the list until it has so many letters."""
    async with asyncio.timeout(30):
        await page.goto(f"{url}/dead-letters")
        while await page.locator("tbody tr").count() < count:
            await page.reload()


async def test_a_customer_is_found_refreshed_and_forgotten(seen: Seen, tmp_path: Path) -> None:
    async with running_dev(tmp_path) as url:
        page = seen.page
        await page.goto(f"{url}/try?identifier=%2B1234567890")
        await page.get_by_role("button", name="Scan").click()
        link = page.get_by_role("link", name="CUST_001").first
        await link.wait_for()
        async with asyncio.timeout(60):  # the read model follows the answers
            while not (await page.request.get(f"{url}/customers/CUST_001")).ok:
                pass
        await link.click()
        await page.get_by_role("heading", name="John Doe").wait_for()
        fetched = page.locator(".entry time").first
        before = await fetched.get_attribute("datetime")
        await page.get_by_role("button", name="Refresh now").click()
        await page.get_by_text("The workers ask the directory").wait_for()
        async with asyncio.timeout(30):
            while await fetched.get_attribute("datetime") == before:
                await page.reload()
        await page.get_by_role("button", name="Evict").click()
        await page.get_by_text("The workers drop the cached entries").wait_for()
        await page.get_by_role("link", name="Forget…").click()
        await page.get_by_role("button", name="Forget this customer").click()
        await page.get_by_role("heading", name="The customer is forgotten").wait_for()
        assert await violations(page) == []
        await page.get_by_role("link", name="All customers").click()
        await page.get_by_text("No customers yet").wait_for()
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url).netloc}


async def test_a_message_that_cannot_be_read_is_found_and_replayed(
    seen: Seen, tmp_path: Path
) -> None:
    port = free_port()
    async with running_dev(tmp_path, dev_broker_port=port) as url:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{port}") as producer:
            await producer.send_and_wait(CUSTOMER_IDENTIFIED, b"call john@example.com")
        page = seen.page
        letters = page.locator("tbody tr")
        await until_listed(page, url, 1)
        await letters.first.get_by_role("link").click()
        assert "jo******com" in await page.locator("pre").inner_text()
        await page.get_by_role("link", name="Replay…").click()
        await page.get_by_role("button", name="Replay").click()
        await page.get_by_text("Written again").wait_for()
        await page.get_by_role("link", name="Replay…").click()
        await page.get_by_text("It was replayed before").wait_for()
        # It still cannot be read, so it is there twice.
        await until_listed(page, url, 2)
        assert await page.locator("tbody .tag").all_inner_texts() == ["NOT_JSON", "NOT_JSON"]
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url).netloc}
