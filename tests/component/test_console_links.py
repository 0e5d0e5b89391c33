"""Ids of any signs: every link of the console leads to the page that it names, for every role."""

import html
import json
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from yarl import URL

from posstream.domain.access_key import read_access_keys
from posstream.settings import Settings
from tests.component.sql_databases import JOHN, found
from tests.component.sql_web import SqlWebView, running_sql_web

VIEWER, SUPPORT, OPERATOR = "viewer-key-01234", "support-key-0123", "operator-key-012"
KEYED = Settings(
    named_keys=read_access_keys(
        f"viewer:{VIEWER}:vera;support:{SUPPORT}:sam;operator:{OPERATOR}:olga"
    )
)
#: May stand in an id of either kind.
PRINTABLE = (
    *("a+b", "a b", "a@b", "a/b", "/a", "a/", "a//b", "a%b", "a%2Fb", "%2e%2e", "a%25", "a?b=c"),
    *("a#b", "..", ".", "a/../b", "~a", "~", "a&b=c", "a;b", 'a"b', "a'b", "<b>", "a\\b", "a:b"),
    *(
        "J\u00f6rg",
        "\u5c71\u7530",
        "e\u0301",
        "\U0001f6d2",
        "{{a}}",
        "refresh",
        "a|b",
        "a=b",
        "+",
        "a,b",
    ),
)
UNPRINTABLE = ("a\nb", "a\tb", "\x1b[31m", "a\u200bb", "a\u2028b", "\u202eab", "a\x7fb", "a\u00a0b")
PERSONAL = ("jane@example.com", "+4930123456", "004930123456", "030123456", "o'brien@example.com")


#: One view serves all tests: each begins with an empty database.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_view(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SqlWebView]:
    async with running_sql_web(tmp_path_factory.mktemp("view")) as view:
        yield view


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keyed_view(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SqlWebView]:
    async with running_sql_web(tmp_path_factory.mktemp("keyed"), KEYED) as view:
        yield view


@pytest_asyncio.fixture(loop_scope="module")
async def view(open_view: SqlWebView) -> SqlWebView:
    await open_view.clear()
    return open_view


@pytest_asyncio.fixture(loop_scope="module")
async def keyed(keyed_view: SqlWebView) -> SqlWebView:
    await keyed_view.clear()
    return keyed_view


def bearer(key: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {key}", "Accept": "text/html"}}


async def got(view: SqlWebView, path: str, **options: Any) -> str:
    """A page by an address as it stands in a page."""
    response = await view.web.client.get(URL(path, encoded=True), **options)
    assert response.status == 200, path
    return await response.text()


def links(page: str, start: str) -> list[str]:
    found = map(html.unescape, re.findall(r'(?:href|action)="([^"]+)"', page))
    return list(dict.fromkeys(link for link in found if link.startswith(start)))


async def scanned(view: SqlWebView, *, basket: str = "b1", customer: str = "C-1") -> None:
    await view.project(
        found("e1", basket=basket, customer={**JOHN, "customer_id": customer, "email": "x@y.de"})
    )


@pytest.mark.parametrize("basket", PRINTABLE)
async def test_every_link_to_a_basket_opens_it(view: SqlWebView, basket: str) -> None:
    await scanned(view, basket=basket)
    for where in ("/lookups", "/customers/C-1"):
        (link,) = links(await got(view, where), "/baskets/")
        page = await got(view, link)
        assert f"<h1>{html.escape(basket, quote=True)}</h1>" in page.replace(
            "&#34;", "&quot;"
        ).replace("&#39;", "&#x27;")
        for again in links(page, "/baskets/"):
            assert "step by step" in (await got(view, again)).lower()


@pytest.mark.parametrize("basket", PRINTABLE)
async def test_the_search_leads_to_the_basket_that_was_typed(view: SqlWebView, basket: str) -> None:
    await scanned(view, basket=basket)
    response = await view.web.client.get(
        "/baskets", params={"basket": basket}, allow_redirects=False
    )
    assert response.status == 303
    assert "step by step" in (await got(view, response.headers["Location"])).lower()


@pytest.mark.parametrize("customer", [*PRINTABLE, *UNPRINTABLE, *PERSONAL])
async def test_every_link_to_a_customer_opens_them(view: SqlWebView, customer: str) -> None:
    await scanned(view, customer=customer)
    for where in ("/customers", "/baskets/b1"):
        (link,) = links(await got(view, where), "/customers/")
        page = await got(view, link)
        assert "<dt>Customer id</dt>" in page
        for action in links(page, "/customers/"):
            further = action
            path = further.partition("?")[0]
            if path.endswith(("/refresh", "/evict")) and path != link:
                response = await view.web.client.post(
                    URL(further, encoded=True), allow_redirects=False
                )
                assert response.status == 303
                further = response.headers["Location"]
            await got(view, further)


async def test_a_list_goes_on_behind_an_id_of_any_signs(view: SqlWebView) -> None:
    ids = [f"a\n{number:03}" for number in range(51)] + [f"b{n:03}@c.de" for n in range(51)]
    await view.project(
        *(
            found(f"e{n}", identifier=f"+1{n}", customer={**JOHN, "customer_id": one})
            for n, one in enumerate(ids)
        )
    )
    where, seen = "/customers", 0
    while where:
        page = await got(view, where)
        seen += len(links(page, "/customers/"))
        further = re.search(r'rel="next" href="([^"]+)"', page)
        where = html.unescape(further[1]) if further else ""
    assert seen == len(ids)


@pytest.mark.parametrize("customer", PERSONAL)
async def test_a_viewer_never_sees_an_id_that_is_a_phone_or_an_email_and_can_open_it(
    keyed: SqlWebView, customer: str, caplog: pytest.LogCaptureFixture
) -> None:
    await scanned(keyed, customer=customer)
    viewer = bearer(VIEWER)
    (link,) = links(await got(keyed, "/customers", **viewer), "/customers/")
    for where in ("/customers", link, "/baskets/b1", "/lookups.csv"):
        page = html.unescape(await got(keyed, where, **viewer))
        assert customer not in page
        assert customer.partition("@")[0] not in page
    with caplog.at_level(logging.INFO, "posstream.audit"):
        await keyed.web.client.post(URL(f"{link}/refresh", encoded=True), **viewer)
        await keyed.web.client.post(URL(f"{link}/refresh", encoded=True), **bearer(SUPPORT))
    assert "refreshCustomer" in caplog.text
    assert customer not in caplog.text


@pytest.mark.parametrize("customer", [*UNPRINTABLE, *PERSONAL, "..", "~a", "C-1"])
async def test_graphql_takes_back_each_id_that_it_gave(keyed: SqlWebView, customer: str) -> None:
    await scanned(keyed, customer=customer)
    for key in (VIEWER, OPERATOR):
        given = await asked(keyed, key, '{ basket(basketId: "b1") { customerId } }')
        reference = given["basket"]["customerId"]
        taken = await asked(
            keyed,
            key,
            f"{{ customer(customerId: {json.dumps(reference)}) {{ firstName customerId }} }}",
        )
        assert taken["customer"] == {"firstName": JOHN["first_name"], "customerId": reference}
        assert (reference == customer) == (key == OPERATOR or customer not in PERSONAL)
    by_itself = await asked(
        keyed, OPERATOR, f"{{ customer(customerId: {json.dumps(customer)}) {{ customerId }} }}"
    )
    assert by_itself["customer"] == {"customerId": customer}


async def asked(view: SqlWebView, key: str, query: str) -> Any:
    response = await view.web.client.post(
        "/graphql/", json={"query": query}, headers={"Authorization": f"Bearer {key}"}
    )
    return (await response.json())["data"]


async def test_a_page_shows_no_payment_card_that_its_address_says(view: SqlWebView) -> None:
    for where in (
        "/customers?search=4111111111111111",
        "/baskets?basket=4111%201111%201111%201111",
        "/baskets/4111111111111111",
        "/lookups?identifier=4111-1111-1111-1111",
    ):
        response = await view.web.client.get(URL(where, encoded=True))
        text = await response.text()
        assert "1111111111" not in re.sub(r"[^0-9A-Za-z]|%20", "", text)
