"""The pages for people in a real browser, on fakes behind a real view."""

import asyncio
import contextlib
from typing import Any

import pytest

from posstream.domain.access_key import read_access_keys
from posstream.settings import Settings
from tests.browser.conftest import TIMEOUT_MS, Seen
from tests.component.web_client import WebView, running_web
from web.graphql.graphiql import GraphiQL

pytestmark = pytest.mark.browser

KEY = "operator-key-0123"


def url(web: WebView, path: str) -> str:
    return f"http://{web.client.host}:{web.client.port}{path}"


def graphiql() -> GraphiQL:
    found = GraphiQL.find()
    assert found is not None, "the extra graphiql is not installed"
    return found


def assert_quiet(seen: Seen, web: WebView) -> None:
    assert seen.errors == []
    assert seen.hosts == {f"{web.client.host}:{web.client.port}"}


async def result(page: Any, text: str) -> str:
    """What the result pane shows, once it shows `text`."""
    pane = page.locator(".result-window", has_text=text)
    await pane.wait_for()
    return str(await pane.inner_text())


async def executed(page: Any, text: str) -> str:
    """Execute the query until the result has `text`: a click is lost while GraphiQL loads."""
    from playwright.async_api import TimeoutError as NotYet

    async with asyncio.timeout(TIMEOUT_MS / 1000):
        while True:
            await page.get_by_role("button", name="Execute query").click()
            pane = page.locator(".result-window", has_text=text)
            with contextlib.suppress(NotYet):
                await pane.wait_for(timeout=5_000)
                return str(await pane.inner_text())


async def test_graphiql_opens_with_the_quick_test_and_runs_its_query(seen: Seen) -> None:
    async with running_web(graphiql=graphiql()) as web:
        page = seen.page
        # The editor asks for the schema; its tabs are there before that.
        async with page.expect_response(lambda it: it.request.method == "POST"):
            await page.goto(url(web, "/graphql/"))
        tabs = page.get_by_role("tab")
        await tabs.nth(2).wait_for()
        assert await tabs.count() == 3
        await tabs.nth(2).click()
        editor = page.locator(".graphiql-query-editor .CodeMirror-lines")
        await editor.filter(has_text="loyaltyPoints").wait_for()
        shown = await executed(page, "loyaltyPoints")
        assert '"firstName": "John"' in shown
        assert '"loyaltyPoints": 1250' in shown
        # The schema was read, so the documentation is there.
        await page.get_by_role("button", name="Show Documentation Explorer").click()
        await page.get_by_text("Root Types").wait_for()
        assert_quiet(seen, web)


async def test_graphiql_works_for_whoever_logged_in_and_is_written_down_as_they_are(
    seen: Seen,
) -> None:
    settings = Settings(named_keys=read_access_keys(f"operator:{KEY}:olga"))
    async with running_web(settings, graphiql=graphiql()) as web:
        page = seen.page
        await page.goto(url(web, "/graphql/"))
        assert await page.title() == "posstream: log in"
        await page.get_by_label("Key").fill("wrong-key-of-16-chars")
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("alert").wait_for()
        # The browser says of a 401 that it was one; that is no fault of the page.
        assert [text for text in seen.errors if "401" not in text] == []
        seen.errors.clear()
        await page.get_by_label("Key").fill(KEY)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("button", name="Execute query").click()
        assert '"basketId": "basket_' in await result(page, "basketId")
        assert len(web.publisher.records) == 1
        assert_quiet(seen, web)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_the_login_fits_and_is_quiet(seen: Seen, theme: str, width: int) -> None:
    async with running_web(Settings(api_key=KEY)) as web:
        page = seen.page
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size({"width": width, "height": 700})
        await page.goto(url(web, "/login"))
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
        focused = await page.evaluate("document.activeElement.id")
        assert focused == "key"
        assert_quiet(seen, web)


async def test_graphiql_shows_what_a_subscription_brings(seen: Seen) -> None:
    query = "subscription Answers { customerAnswered { eventId basketId } }"
    async with running_web(graphiql=graphiql()) as web:
        page = seen.page
        async with page.expect_websocket() as opened:
            await page.goto(url(web, "/graphql/"))
            editor = page.locator(".graphiql-query-editor .CodeMirror")
            await editor.evaluate("(it, query) => it.CodeMirror.setValue(query)", query)
            # The editor has read it once its tab is named after it.
            await page.get_by_role("tab", name="Answers").wait_for()
            await page.get_by_role("button", name="Execute query").click()
        socket = await opened.value
        await web.answers.wanted()
        web.answers.take(b"basket_1", b'{"event_id": "e1", "basket_id": "basket_1"}')
        assert '"eventId": "e1"' in await result(page, "eventId")
        assert socket.url == url(web, "/graphql/").replace("http:", "ws:")
        assert_quiet(seen, web)
