"""The tutorial, played as it is written: its commands in a shell, its clicks in a browser.

With POSSTREAM_SCREENSHOTS set, the pictures of the page are written there:
`POSSTREAM_SCREENSHOTS=docs/pictures pytest tests/browser/test_tutorial.py`.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from posstream.kafka.embedded_broker import free_port
from tests.browser.conftest import Seen
from tests.browser.dev_worker import running_dev
from tests.browser.screenshots import keep_screenshot
from tests.browser.scrolling import scroll_to
from tests.integration.harness import environment

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
#: The reader's window.
WINDOW = {"width": 1280, "height": 800}
#: How often and how long a reader looks at a page: the view may be behind the topics.
LOOKS, LOOK_MS = 15, 2_000
#: Where the page says that the console is.
CONSOLE = "<http://127.0.0.1:8000/>"
#: The command that `running_dev` stands for.
START = "make run\n"
#: What is seen after each step, in their order.
SEEN = (
    "2 lookups",
    "Answered by the directory",
    "Highlighter",
    "A payment without a customer",
    "A payment of basket basket_3 with amount 1200.00; the limit is 1000.00.",
    "false positive",
    "The drill runs on every worker within 2 seconds",
    "Answered from the cache",
    "Answered without a customer: API_ERROR",
    "an outage drill runs",
    "From the fresh cache",
    "Answered by the directory",
)
#: A block of code with its language, or a numbered step with the lines that belong to it.
PART = re.compile(
    r"^```(?P<kind>\w+)\n(?P<code>[^`]*)^```$|^\d+\. (?P<step>.+(?:\n+   \S.*)*)", re.MULTILINE
)
#: In a step: what to type into a field, or a name to click.
DEED = re.compile(r"`(?P<text>[^`]+)` into \*\*(?P<field>.+?)\*\*|\*\*(?P<name>.+?)\*\*")
PICTURE = re.compile(r"\]\(pictures/([\w-]+)\.png\)")


class Command(NamedTuple):
    """A command, and some of what it prints."""

    text: str
    printed: Any


def parts() -> Iterator[Command | str]:
    """The commands and steps of the page, in their order."""
    found = list(PART.finditer(PAGE.read_text()))
    for part, after in zip(found, [*found[1:], None], strict=True):
        if part["step"]:
            yield " ".join(part["step"].split())
        elif part["kind"] == "sh" and part["code"] != START:
            shows = after is not None and after["kind"] == "json"
            yield Command(part["code"], json.loads(after["code"]) if shows and after else {})


async def test_the_tutorial_works_as_it_is_written(seen: Seen, tmp_path: Path) -> None:
    broker_port = free_port()
    async with running_dev(tmp_path, dev_broker_port=broker_port) as url:
        settings = environment(
            datadir=tmp_path, dev_broker_port=broker_port, web_port=urlsplit(url).port
        )
        page = seen.page
        await page.set_viewport_size(WINDOW)
        await page.emulate_media(color_scheme="light")
        page.on("dialog", lambda dialog: dialog.accept())
        awaited = iter(SEEN)
        for part in parts():
            if isinstance(part, Command):
                await run(part, url, settings)
            else:
                await follow(page, part, url)
                wanted = page.get_by_text(next(awaited)).filter(visible=True)
                await until(page, wanted)
                for name in PICTURE.findall(part):
                    await scroll_to(wanted.first)
                    await keep_screenshot(page, name, full_page=False)
        assert list(awaited) == []
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url).netloc}


async def run(command: Command, url: str, settings: dict[str, str]) -> None:
    """Run a command as a reader would paste it, but against this test's ports."""
    port = urlsplit(url).port
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", command.text.replace(":8000", f":{port}")),
        cwd=ROOT,
        env=settings,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert holds(json.loads(output), command.printed), output.decode()


def holds(whole: Any, part: Any) -> bool:
    """Whether a document has at least what a part of it has."""
    if isinstance(part, dict):
        return all(name in whole and holds(whole[name], part[name]) for name in part)
    return bool(whole == part)


async def follow(page: Any, step: str, url: str) -> None:
    """Open, type and click what a step says."""
    if CONSOLE in step:
        await page.goto(url)
    for deed in DEED.finditer(step):
        if deed["field"]:
            await page.get_by_label(deed["field"]).fill(deed["text"])
            continue
        named = page.get_by_role("link", name=deed["name"])
        wanted = named.or_(page.get_by_role("button", name=deed["name"])).first
        await until(page, wanted)
        await wanted.click()


async def until(page: Any, wanted: Any) -> None:
    """Look at a page again until it has something: the view follows the topics."""
    from playwright.async_api import TimeoutError as NotThere

    for _ in range(LOOKS):
        try:
            await wanted.first.wait_for(timeout=LOOK_MS)
        except NotThere:
            await page.reload()
        else:
            return
    raise AssertionError(f"{wanted} does not come at {page.url}")
