"""Guessing on the web view: wrong keys by address, and identifiers by key."""

import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import ClientResponse

from posstream.domain.access_key import read_access_keys
from posstream.domain.roles import LOCAL, Caller, Role
from posstream.metrics import Metrics
from posstream.settings import Settings
from tests.component.web_client import WebView, running_web
from tests.manual_clock import ManualClock
from web.access.guard import COOKIE
from web.access.guessing import WRONG_KEYS_PER_MINUTE, Doorkeeper, LookupBudget, TooManyGuesses
from web.access.session import Sessions
from web.graphql.connections import cursor_of

VIEWER, SUPPORT, OPERATOR = "viewer-key-01234", "support-key-0123", "operator-key-0123"
KEYS = read_access_keys(f"viewer:{VIEWER}:vera;support:{SUPPORT}:sam;operator:{OPERATOR}:olga")
SETTINGS = Settings(named_keys=KEYS, lookups_per_minute=20)
TYPENAME = {"query": "{ __typename }"}
SCAN = """mutation ($id: String!) {
  identifyCustomer(basketId: "b1", customerIdentifier: $id) { success error { code } }
}"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def web(clock: ManualClock) -> AsyncIterator[WebView]:
    async with running_web(SETTINGS, clock=clock) as view:
        yield view


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "posstream.audit")
    return caplog


def lines(audit: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in audit.records if record.name == "posstream.audit"]


async def ask(web: WebView, query: str, key: str, **variables: object) -> ClientResponse:
    document = {"query": query, "variables": variables}
    return await web.post(document, Authorization=f"Bearer {key}")


async def status(web: WebView, key: str) -> int:
    return (await ask(web, "{ __typename }", key)).status


async def guess(web: WebView) -> None:
    for _ in range(WRONG_KEYS_PER_MINUTE):
        assert await status(web, "wrong-key-01234567") == 401


# -- keys


async def test_wrong_keys_of_an_address_are_bounded_and_written_down(
    web: WebView, audit: pytest.LogCaptureFixture
) -> None:
    answers = [await ask(web, "{ __typename }", f"wrong-key-{n:08}") for n in range(300)]
    many = 300 - WRONG_KEYS_PER_MINUTE
    assert [a.status for a in answers] == [401] * WRONG_KEYS_PER_MINUTE + [429] * many
    assert answers[-1].headers["Retry-After"] == "60"
    assert lines(audit) == [
        *["request refused from 127.0.0.1: no such key"] * WRONG_KEYS_PER_MINUTE,
        "request refused from 127.0.0.1: too many attempts",
    ]
    assert "wrong-key" not in audit.text
    assert web.metrics.registry.get_sample_value("posstream_wrong_keys_total") == 300


async def test_a_guess_cannot_be_told_from_a_hit_then(web: WebView, clock: ManualClock) -> None:
    await guess(web)
    assert await status(web, VIEWER) == 429
    clock.advance(60)
    assert await status(web, VIEWER) == 200


async def test_a_key_that_the_address_has_used_before_is_not_locked_out(web: WebView) -> None:
    assert await status(web, VIEWER) == 200
    await guess(web)
    assert await status(web, VIEWER) == 200
    assert await status(web, SUPPORT) == 429


async def test_a_key_of_another_address_is_not_locked_out(web: WebView) -> None:
    await guess(web)
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    headers = {"Authorization": f"Bearer {VIEWER}"}
    async with (
        aiohttp.ClientSession(connector=connector) as other,
        other.post(web.client.make_url("/graphql/"), json=TYPENAME, headers=headers) as response,
    ):
        assert response.status == 200


async def test_logins_and_requests_are_counted_together(web: WebView) -> None:
    await guess(web)
    response = await web.client.post("/login", json={"key": "wrong-key-01234567"})
    assert response.status == 429


async def test_made_up_sessions_are_counted(web: WebView, audit: pytest.LogCaptureFixture) -> None:
    statuses = [
        (await web.client.get("/metrics", headers={"Cookie": f"{COOKIE}=made-up-{n}"})).status
        for n in range(WRONG_KEYS_PER_MINUTE + 1)
    ]
    assert statuses == [401] * WRONG_KEYS_PER_MINUTE + [429]
    assert lines(audit)[-1] == "session refused from 127.0.0.1: too many attempts"


def test_a_session_that_is_over_is_no_guess() -> None:
    clock = ManualClock()
    sessions = Sessions(KEYS, clock)
    token = sessions.open(VIEWER) or ""
    clock.advance(13 * 3600)
    assert sessions.read(token) is None
    assert not sessions.is_forged(token)


def test_a_session_of_a_key_that_has_gone_is_no_guess() -> None:
    clock = ManualClock()
    token = Sessions(KEYS, clock).open(VIEWER) or ""
    assert not Sessions(KEYS[1:], clock).is_forged(token)


def test_a_session_that_nobody_signed_is_a_guess() -> None:
    sessions = Sessions(KEYS, ManualClock())
    token = sessions.open(VIEWER) or ""
    assert sessions.is_forged(f"x{token[1:]}") is False
    assert sessions.is_forged(f"{token}x")
    assert sessions.is_forged("made up")


async def test_a_request_without_a_key_is_no_guess(web: WebView) -> None:
    for _ in range(WRONG_KEYS_PER_MINUTE + 1):
        assert (await web.client.get("/metrics")).status == 401


async def test_a_socket_counts_like_a_request(web: WebView) -> None:
    await guess(web)
    headers = {"Authorization": "Bearer wrong-key-01234567"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await web.client.ws_connect("/graphql/", headers=headers)
    assert refused.value.status == 429


def test_addresses_of_one_ipv6_network_are_one() -> None:
    clock = ManualClock()
    keeper = Doorkeeper(Sessions(KEYS, clock), clock, Metrics())
    for number in range(WRONG_KEYS_PER_MINUTE):
        assert keeper.caller("wrong", f"2001:db8::{number:x}", "request") is None
    assert keeper.caller("wrong", "2001:db8::ffff", "request") == TooManyGuesses(60)
    assert keeper.caller("wrong", "2001:db8:0:1::1", "request") is None


# -- identifiers


def aliases(count: int, first: int = 0) -> str:
    tried = (
        f'a{n}: customerByIdentifier(identifier: "+49170{n:07}") {{ customerId }}'
        for n in range(first, first + count)
    )
    return f"query Spray {{ {' '.join(tried)} }}"


async def test_identifiers_are_counted_and_not_requests(
    web: WebView, audit: pytest.LogCaptureFixture
) -> None:
    answer = await (await ask(web, aliases(20), SUPPORT)).json()
    assert "errors" not in answer
    answer = await (await ask(web, aliases(2, first=20), SUPPORT)).json()
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TOO_MANY_LOOKUPS"] * 2
    assert lines(audit) == [
        "20 identifiers looked up by sam (support) by query Spray",
        (
            "look-ups of sam (support) refused, the last by customerByIdentifier: "
            "more than 20 identifiers in a minute"
        ),
    ]
    assert web.metrics.registry.get_sample_value("posstream_lookups_refused_total") == 2


async def test_a_viewer_may_look_up_a_tenth(web: WebView, clock: ManualClock) -> None:
    answer = await (await ask(web, aliases(3), VIEWER)).json()
    assert len(answer["errors"]) == 1
    clock.advance(60)
    assert "errors" not in await (await ask(web, aliases(2), VIEWER)).json()


async def test_one_key_does_not_use_up_another_s(web: WebView) -> None:
    await ask(web, aliases(20), SUPPORT)
    assert "errors" not in await (await ask(web, aliases(20), OPERATOR)).json()


@pytest.mark.parametrize(
    "query",
    [
        '{ allCustomers(search: "+49") { customerId } }',
        '{ customers(search: "+49") { edges { cursor } } }',
        '{ lookupLogs(identifier: "+491701234567") { edges { cursor } } }',
        '{ customer(customerId: "+491701234567") { tier } }',
        '{ customer(customerId: "00491701234567") { tier } }',
        '{ customer(customerId: "0170 1234567") { tier } }',
        'mutation { forgetCustomer(identifier: "+491701234567") { success } }',
    ],
)
async def test_every_way_to_try_an_identifier_counts(web: WebView, query: str) -> None:
    await ask(web, aliases(20), OPERATOR)
    answer = await (await ask(web, query, OPERATOR)).json()
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TOO_MANY_LOOKUPS"]


async def test_a_place_in_the_list_of_customers_that_nobody_gave_out_counts(web: WebView) -> None:
    await ask(web, aliases(20), OPERATOR)
    query = "query ($after: String) { customers(after: $after) { edges { cursor } } }"
    for place, codes in (("+491701234567", ["TOO_MANY_LOOKUPS"]), ("C-1", [])):
        answer = await ask(web, query, OPERATOR, after=cursor_of("customers", place))
        errors = (await answer.json()).get("errors", [])
        assert [error["extensions"]["code"] for error in errors] == codes


@pytest.mark.parametrize(
    "path",
    [
        "/customers?search=%2B49",
        "/customers?after=%2B491701234567",
        "/customers/%2B491701234567",
        "/customers/ann%40example.com?reveal=1",
        "/customers/0170-1234567/forget",
        "/lookups?identifier=%2B491701",
        "/lookups.csv?identifier=%2B491",
    ],
)
async def test_the_pages_count_too(web: WebView, path: str) -> None:
    await ask(web, aliases(20), OPERATOR)
    response = await web.client.get(path, headers={"Authorization": f"Bearer {OPERATOR}"})
    assert (response.status, response.headers["Retry-After"]) == (429, "60")
    assert "tried too many identifiers" in await response.text()


async def test_the_buttons_of_a_customer_s_page_count_too(
    web: WebView, audit: pytest.LogCaptureFixture
) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    for action, outcome in (("refresh", 404), ("evict", 404), ("forget", 404)):
        path = f"/customers/%2B491701234567/{action}"
        assert (await web.client.post(path, headers=headers)).status == outcome
    looked_up = "1 identifiers looked up by olga (operator) by the page customer"
    assert lines(audit).count(looked_up) == 3


@pytest.mark.parametrize(
    "query",
    ["{ allCustomers { customerId } }", '{ customers(search: "John") { edges { cursor } } }'],
)
async def test_a_viewer_s_search_of_names_and_plain_lists_count_nothing(
    web: WebView, query: str
) -> None:
    for _ in range(5):
        assert "errors" not in await (await ask(web, query, VIEWER)).json()


async def test_scans_of_tills_have_ten_times_as_many(web: WebView) -> None:
    for number in range(200):
        answer = await (await ask(web, SCAN, SUPPORT, id=f"+49170{number:07}")).json()
        assert answer["data"]["identifyCustomer"]["success"]
    answer = await (await ask(web, SCAN, SUPPORT, id="+491701234567")).json()
    assert answer["data"]["identifyCustomer"]["error"] == {"code": "TOO_MANY_LOOKUPS"}
    assert len(web.publisher.records) == 200


def test_without_keys_nothing_is_counted() -> None:
    budget = LookupBudget(ManualClock(), Metrics(), per_minute=1)
    assert all(budget.allows(LOCAL, "customerByIdentifier") for _ in range(100))


def test_a_key_has_its_budget_whatever_it_asks() -> None:
    budget = LookupBudget(ManualClock(), Metrics(), per_minute=1)
    caller = Caller("sam", Role.SUPPORT)
    assert [budget.allows(caller, what) for what in ("search", "lookupLogs")] == [True, False]
