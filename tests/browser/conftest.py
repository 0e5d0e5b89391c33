"""One chromium for all, a context without history for each test, and what its pages did."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

#: Where Debian's package puts it, by any of its names.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: How long a page may take for anything, on a machine that does other things too.
TIMEOUT_MS = 60_000


@dataclass
class Seen:
    """A page, and what it must not do."""

    page: Any
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        return {urlsplit(url).netloc for url in self.asked if not url.startswith("data:")}


def _give_up(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The browser belongs to the loop that started it.
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    """A chromium."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        _give_up("the browser tests need the extra browser: make test-browser")
    executable = next((path for path in map(shutil.which, NAMES) if path), None)
    if executable is None:
        _give_up("the browser tests need chromium (Debian package chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def watched_page(browser: Any) -> AsyncIterator[Seen]:
    """A page of somebody who was never here; its errors and requests are collected."""
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    watched = Seen(page)
    page.on("console", lambda said: said.type == "error" and watched.errors.append(said.text))
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("request", lambda request: watched.asked.append(request.url))
    page.on("websocket", lambda socket: watched.asked.append(socket.url))
    try:
        yield watched
    finally:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def seen(browser: Any) -> AsyncIterator[Seen]:
    """A page without history."""
    async with watched_page(browser) as watched:
        yield watched
