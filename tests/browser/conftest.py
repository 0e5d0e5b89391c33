"""One chromium per test, and what its pages said and asked for."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

#: Where Debian's package puts it, by any of its names.
NAMES = ("chromium", "chromium-browser", "google-chrome")


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


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    """A page without history; its errors and requests are collected."""
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
        page = await browser.new_page()
        page.set_default_timeout(15_000)
        watched = Seen(page)
        page.on("console", lambda said: said.type == "error" and watched.errors.append(said.text))
        page.on("pageerror", lambda error: watched.errors.append(str(error)))
        page.on("request", lambda request: watched.asked.append(request.url))
        page.on("websocket", lambda socket: watched.asked.append(socket.url))
        yield watched
        await browser.close()
