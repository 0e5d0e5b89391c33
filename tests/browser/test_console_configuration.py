"""The configuration and the outage drill in a browser, on fakes behind a real view."""

from urllib.parse import urlsplit

import pytest

from posstream.configuration.version import ConfigurationChange, ConfigurationVersion
from tests.browser.conftest import Seen
from tests.browser.sound import faults
from tests.component.fakes import NOW
from tests.component.web_client import WebView, running_web

pytestmark = pytest.mark.browser


def url(web: WebView, path: str) -> str:
    return f"http://{web.client.host}:{web.client.port}{path}"


def a_history(web: WebView) -> None:
    old = ConfigurationVersion(0)
    for number in range(1, 4):
        config = {"retry_attempts": number, "api_endpoint": "https://crm.example.com/" + "v" * 90}
        new = ConfigurationVersion(number, True, config, "slow CRM", NOW, "anna")
        web.store.changes[number] = ConfigurationChange(new, old.enabled, old.config)
        old = new
    web.read_model.by_version = {1: {("CACHE", None): 90}, 2: {(None, "TIMEOUT"): 3}}


async def test_a_change_is_previewed_saved_and_rolled_back_by_keyboard(seen: Seen) -> None:
    async with running_web() as web:
        page = seen.page
        await page.goto(url(web, "/configuration"))
        await page.get_by_label("Attempts", exact=True).fill("4")
        await page.keyboard.press("Enter")
        save = page.get_by_role("button", name="Save version 1")
        await save.focus()
        await page.keyboard.press("Enter")
        await page.get_by_text("Saved.").wait_for()
        assert web.topic.published[-1].config == {"retry_attempts": 4}
        await page.get_by_role("button", name="Roll back to the defaults").focus()
        await page.keyboard.press("Enter")
        await page.get_by_text("Rolled back").wait_for()
        assert web.topic.published[-1].config == {}
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url(web, "/")).netloc}


async def test_a_drill_is_started_and_stopped(seen: Seen) -> None:
    async with running_web() as web:
        page = seen.page
        page.on("dialog", lambda dialog: dialog.accept())
        await page.goto(url(web, "/drill"))
        await page.get_by_label("Timeouts").check()
        await page.get_by_label("Of the calls").fill("25")
        await page.get_by_role("button", name="Start the drill").click()
        await page.get_by_text("25 % of the API calls get no answer, by").wait_for()
        await page.get_by_role("button", name="Stop the drill now").click()
        await page.get_by_text("The last drill").wait_for()
        assert [web.publisher.value(number)["stopped_by"] for number in (0, 1)] == [
            None,
            "console",
        ]
        assert seen.errors == []
        assert seen.hosts == {urlsplit(url(web, "/")).netloc}


async def test_each_step_of_a_change_is_sound(seen: Seen) -> None:
    async with running_web() as web:
        page = seen.page
        a_history(web)
        await page.goto(url(web, "/configuration"))
        assert await faults(page) == []
        await page.get_by_label("Timeout", exact=True).fill("soon")
        await page.get_by_role("button", name="Preview the change").click()
        await page.get_by_role("alert").wait_for()
        assert await faults(page) == []
        await page.get_by_label("Timeout", exact=True).fill("8")
        await page.get_by_role("button", name="Preview the change").click()
        await page.get_by_role("heading", name="Before you save").wait_for()
        assert await faults(page) == []
        await page.get_by_label("Phone, e-mail or card").fill("+49301234567")
        await page.get_by_role("button", name="Try it").click()
        await page.get_by_role("heading", name="One call, for +4******567").wait_for()
        assert await faults(page) == []
        await page.goto(url(web, "/configuration/rollback?to=1"))
        assert await faults(page) == []
        assert seen.errors == []
