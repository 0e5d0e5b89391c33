"""GraphiQL from the files of its extra, as a browser asks for them."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.component.web_client import WebView, running_web
from web.graphql.graphiql import GraphiQL

BROWSER = {"Accept": "text/html"}


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    found = GraphiQL.find()
    assert found is not None, "the extra graphiql belongs to the set-up of the tests"
    async with running_web(graphiql=found) as view:
        yield view


async def test_the_page_names_no_other_host_and_each_of_its_files_is_there(web: WebView) -> None:
    page = await (await web.client.get("/graphql/", headers=BROWSER)).text()
    assert not re.search(r"(?:https?:|wss?:|=\")//", page)
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(files) == 5
    for file in files:
        response = await web.client.get(file)
        assert response.status == 200
        assert response.content_type == ("text/css" if ".css" in file else "text/javascript")
        assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_only_scripts_with_the_nonce_of_this_one_answer_may_run(web: WebView) -> None:
    nonces = set()
    for _ in range(2):
        response = await web.client.get("/graphql/", headers=BROWSER)
        (nonce,) = set(re.findall(r'nonce="([^"]+)"', await response.text()))
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert f"script-src 'nonce-{nonce}'" in policy
        assert "default-src 'none'" in policy
        nonces.add(nonce)
    assert len(nonces) == 2


async def test_the_examples_are_the_quick_test(web: WebView) -> None:
    page = await (await web.client.get("/graphql/", headers=BROWSER)).text()
    for operation in ("startBasket", "identifyCustomer", "customer(customerId:"):
        assert operation in page


@pytest.mark.parametrize(
    "name", ["nothing.js", "fetch.umd.js", "..%2f__init__.py", "%2e%2e/views.py", ""]
)
async def test_no_other_file_is_given(web: WebView, name: str) -> None:
    page = await (await web.client.get("/graphql/", headers=BROWSER)).text()
    folder = re.findall(r'src="(/graphql/static/[^"]+/)', page)[0]
    assert (await web.client.get(folder + name)).status == 404


async def test_a_client_that_is_no_browser_still_gets_json(web: WebView) -> None:
    response = await web.client.get("/graphql/", params={"query": "{ __typename }"})
    assert await response.json() == {"data": {"__typename": "Query"}}


def test_without_the_extra_there_are_no_files() -> None:
    assert GraphiQL.find("no-such-distribution-of-ours") is None
