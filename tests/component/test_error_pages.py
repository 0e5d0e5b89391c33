"""Every error that a browser can meet is a page with the navigation; programs get JSON."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from posstream.domain.access_key import read_access_keys
from posstream.domain.errors import ReadModelBusy
from posstream.settings import Settings
from tests.component.web_client import WebView, running_web
from web.graphql.view import MAX_BODY_BYTES

BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
KEY = "operator-key-0123"
KEYS = Settings(named_keys=read_access_keys(f"operator:{KEY}:olga"))
LONG = {"identifier": "1" * MAX_BODY_BYTES}
FORM = "application/x-www-form-urlencoded"

#: Method, path, what is sent, and the status and a part of the text that come back.
ERRORS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "/configuration/rollback", {"data": {"to": "x"}}, 400, "Go back, and try again."),
    ("POST", "/try", {"data": b"{}", "headers": {"Content-Type": "text/x"}}, 400, FORM),
    ("POST", "/try", {"headers": {"Origin": "http://evil.example"}}, 403, "another origin"),
    ("GET", "/nowhere", {}, 404, "There is no such page"),
    ("DELETE", "/lookups", {}, 405, "Choose a page of the navigation."),
    ("POST", "/try", {"data": LONG}, 413, "Go back, and send less."),
    ("GET", "/customers/CUST_001", {}, 500, "under the reference"),
    ("GET", "/customers", {}, 503, "Ask for less."),
]


@pytest.fixture
async def view() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


def fails(view: WebView) -> None:
    """One question to the read model raises, and another is too much for it."""

    async def breaks(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret")

    async def is_busy(*_: Any, **__: Any) -> None:
        raise ReadModelBusy("ask for less")

    vars(view.read_model).update(customer_history=breaks, next_customers=is_busy)


@pytest.mark.parametrize(("method", "path", "sent", "status", "told"), ERRORS)
async def test_an_error_is_a_page_for_a_browser_and_json_for_a_program(
    view: WebView, method: str, path: str, sent: dict[str, Any], status: int, told: str
) -> None:
    fails(view)
    headers = sent.get("headers", {})
    response = await view.client.request(method, path, **(sent | {"headers": headers | BROWSER}))
    text = await response.text()
    assert (response.status, response.content_type) == (status, "text/html")
    assert '<nav aria-label="Pages">' in text
    assert told in text
    assert "secret" not in text
    program = await view.client.request(method, path, **sent)
    assert program.status == status
    assert {"code", "message"} <= (await program.json())["error"].keys()


async def test_a_method_that_is_not_allowed_names_those_that_are(view: WebView) -> None:
    response = await view.client.delete("/lookups", headers=BROWSER)
    assert response.headers["Allow"] == "GET,HEAD"


async def test_a_form_that_is_sent_after_the_session_is_over_leads_to_the_login() -> None:
    async with running_web(KEYS) as view:
        response = await view.client.post("/try", data={"identifier": "1"}, headers=BROWSER)
        text = await response.text()
    assert response.status == 401
    assert "Log in, and send the form again." in text
    assert 'name="key"' in text


async def test_a_form_without_its_token_is_refused_on_a_page() -> None:
    async with running_web(KEYS) as view:
        origin = f"http://{view.client.host}:{view.client.port}"
        await view.client.post("/login", json={"key": KEY})
        headers = BROWSER | {"Origin": origin}
        response = await view.client.post("/try", data={"identifier": "1"}, headers=headers)
        text = await response.text()
    assert response.status == 403
    assert "Open the page from the navigation" in text
    assert "olga" in text


async def test_too_many_guesses_are_told_to_a_browser_on_the_login() -> None:
    async with running_web(KEYS) as view:
        for _ in range(100):
            headers = BROWSER | {"Authorization": "Bearer wrong-key-of-16-chars"}
            response = await view.client.get("/lookups", headers=headers)
            if response.status == 429:
                break
        text = await response.text()
    assert response.status == 429
    assert "Retry-After" in response.headers
    assert "Too many attempts from your address" in text


async def test_what_is_not_there_yet_is_looked_for_again(view: WebView) -> None:
    for path in ("/customers/nobody", "/baskets/nobody"):
        text = await (await view.client.get(path, headers=BROWSER)).text()
        assert 'data-retry-while="404"' in text
    # The id of a customer that is a phone is not asked for again and again.
    text = await (await view.client.get("/customers/+4915112345678", headers=BROWSER)).text()
    assert "data-retry-while" not in text
