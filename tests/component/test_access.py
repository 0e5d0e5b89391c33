"""Who may do what on the web view: keys, roles, sessions, forms, and what is written down."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientPayloadError, ClientResponse, WSMsgType

from posstream.domain.access_key import read_access_keys
from posstream.settings import Settings
from tests.component.fakes import FixedClock
from tests.component.web_client import WebView, running_web
from tests.manual_clock import ManualClock
from web.access.guard import COOKIE, FORM_TOKEN
from web.access.guessing import WRONG_KEYS_PER_MINUTE
from web.access.session import SESSION_SECONDS, Sessions
from web.graphql.websocket import PROTOCOL

VIEWER, SUPPORT, OPERATOR = "viewer-key-01234", "support-key-0123", "operator-key-0123"
KEYS = f"viewer:{VIEWER}:vera;support:{SUPPORT}:sam;operator:{OPERATOR}:olga"
SETTINGS = Settings(named_keys=read_access_keys(KEYS))
BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
JOHN = '{ customer(customerId: "CUST_001") { firstName email phone identifiers } }'
FULL = {
    "firstName": "John",
    "email": "john@example.com",
    "phone": "+1234567890",
    "identifiers": ["+1234567890", "john@example.com"],
}
START = 'mutation { startBasket(employeeId: 1, terminalId: "t1") { success } }'
BREAKER = "mutation { controlBreaker(action: OPEN) { success } }"
CONFIGURE = 'mutation { updatePluginConfiguration(name: "customer_lookup", enabled: false) '
CONFIGURE += "{ success } }"
EVICT_ONE = 'mutation { evictCustomer(identifier: "+1234567890") { success } }'


@pytest.fixture
async def locked() -> AsyncIterator[WebView]:
    async with running_web(SETTINGS) as view:
        yield view


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "posstream.audit")
    return caplog


def lines(audit: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in audit.records if record.name == "posstream.audit"]


async def ask(web: WebView, query: str, key: str | None = None) -> dict[str, Any]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    response = await web.post({"query": query}, **headers)
    assert response.status == 200, await response.text()
    return await response.json()


def origin(web: WebView) -> str:
    return f"http://{web.client.host}:{web.client.port}"


async def log_in(web: WebView, key: str = OPERATOR, **headers: str) -> ClientResponse:
    return await web.client.post(
        "/login", data={"key": key}, headers=BROWSER | headers, allow_redirects=False
    )


# -- roles


@pytest.mark.parametrize("key", [SUPPORT, OPERATOR])
async def test_support_and_operators_read_identifiers_in_full(locked: WebView, key: str) -> None:
    assert await ask(locked, JOHN, key) == {"data": {"customer": FULL}}


async def test_a_viewer_reads_identifiers_masked(locked: WebView) -> None:
    masked = {
        "firstName": "John",
        "email": "jo******com",
        "phone": "+1******890",
        "identifiers": ["+1******890", "jo******com"],
    }
    assert await ask(locked, JOHN, VIEWER) == {"data": {"customer": masked}}


async def test_without_keys_identifiers_are_in_full_and_everything_is_allowed() -> None:
    async with running_web() as web:
        assert await ask(web, JOHN) == {"data": {"customer": FULL}}
        assert (await ask(web, BREAKER))["data"] == {"controlBreaker": {"success": True}}


@pytest.mark.parametrize(
    ("mutation", "allowed"),
    [
        (START, {SUPPORT, OPERATOR}),
        (EVICT_ONE, {SUPPORT, OPERATOR}),
        ('mutation { evictCustomer(prefix: "+1") { success } }', {OPERATOR}),
        ("mutation { evictCustomer(all: true) { success } }", {OPERATOR}),
        (BREAKER, {OPERATOR}),
        (CONFIGURE, {OPERATOR}),
    ],
)
@pytest.mark.parametrize("key", [VIEWER, SUPPORT, OPERATOR])
async def test_a_mutation_is_for_the_roles_of_the_table(
    locked: WebView, mutation: str, allowed: set[str], key: str
) -> None:
    answer = await ask(locked, mutation, key)
    (data,) = answer["data"].values()
    if key in allowed:
        assert data == {"success": True}
    else:
        assert data is None
        assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN"}
        assert (locked.publisher.records, locked.topic.published) == ([], [])


async def test_an_alias_and_a_fragment_are_no_way_round(locked: WebView) -> None:
    query = "mutation { customer: controlBreaker(action: OPEN) { success } ...f } "
    query += "fragment f on Mutation { b: controlBreaker(action: OPEN) { success } }"
    answer = await ask(locked, query, SUPPORT)
    assert answer["data"] == {"customer": None, "b": None}
    assert locked.breaker.admits


async def test_an_edit_of_the_configuration_is_by_the_name_of_the_key(locked: WebView) -> None:
    await ask(locked, CONFIGURE, OPERATOR)
    assert [version.updated_by for version in locked.topic.published] == ["olga"]


# -- login and sessions


async def test_a_browser_without_a_session_is_led_to_the_login_and_back(locked: WebView) -> None:
    first = await locked.client.get("/metrics?a=b%26c", headers=BROWSER, allow_redirects=False)
    assert first.status == 303
    assert first.headers["Location"] == "/login?next=/metrics%3Fa%3Db%2526c"
    page = await locked.client.get(first.headers["Location"])
    assert 'name="next" value="/metrics?a=b%26c"' in await page.text()
    form = {"key": OPERATOR, "next": "/metrics?a=b%26c"}
    entered = await locked.client.post("/login", data=form, allow_redirects=False)
    assert (entered.status, entered.headers["Location"]) == (303, "/metrics?a=b%26c")
    assert (await locked.client.get("/metrics", headers=BROWSER)).status == 200


async def test_whoever_is_no_browser_gets_the_answer_of_today(locked: WebView) -> None:
    response = await locked.client.get("/metrics", allow_redirects=False)
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "evil",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/a\r\nSet-Cookie: x=y",
        "/ü",
        "",
    ],
)
async def test_a_login_never_leads_elsewhere(locked: WebView, path: str) -> None:
    response = await locked.client.post(
        "/login", data={"key": OPERATOR, "next": path}, allow_redirects=False
    )
    assert (response.status, response.headers["Location"]) == (303, "/")
    page = await locked.client.get("/login", params={"next": path})
    assert 'name="next" value="/"' in await page.text()


async def test_the_login_page_runs_nothing_and_shows_no_markup_of_others(locked: WebView) -> None:
    response = await locked.client.get("/login", params={"next": '/"><script>alert(1)</script>'})
    page = await response.text()
    assert "<script" not in page
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "script-src" not in policy


async def test_the_cookie_is_for_this_site_alone_and_no_script(locked: WebView) -> None:
    cookie = (await log_in(locked)).headers["Set-Cookie"]
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert parts == {"HttpOnly", f"Max-Age={SESSION_SECONDS}", "Path=/", "SameSite=Strict"}
    assert OPERATOR not in cookie


async def test_behind_tls_the_cookie_is_secure_and_the_transport_strict(locked: WebView) -> None:
    response = await log_in(locked, **{"X-Forwarded-Proto": "https"})
    assert "; Secure" in response.headers["Set-Cookie"]
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_without_tls_no_transport_is_promised(locked: WebView) -> None:
    assert "Strict-Transport-Security" not in (await log_in(locked)).headers


async def test_a_wrong_key_gets_the_page_again_with_a_message(
    locked: WebView, audit: pytest.LogCaptureFixture
) -> None:
    response = await log_in(locked, "wrong-key-of-16-chars")
    assert response.status == 401
    assert '<p role="alert">There is no such key.</p>' in await response.text()
    assert "Set-Cookie" not in response.headers
    assert lines(audit) == ["login refused from 127.0.0.1: no such key"]


async def test_a_client_may_log_in_by_json(locked: WebView) -> None:
    wrong = await locked.client.post("/login", json={"key": "no"})
    assert (wrong.status, (await wrong.json())["error"]["code"]) == (401, "UNAUTHORIZED")
    entered = await locked.client.post("/login", json={"key": f" {SUPPORT} "})
    assert (entered.status, await entered.json()) == (200, {"name": "sam", "role": "support"})
    assert (await locked.client.get("/metrics")).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"key": 1}', b"\xff", b"{}"])
async def test_a_login_that_is_none_is_a_bad_request(locked: WebView, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await locked.client.post("/login", data=body, headers=headers)).status == 400


async def test_guessing_is_slowed_down_for_a_minute() -> None:
    clock = ManualClock()
    async with running_web(SETTINGS, clock=clock) as web:
        for _ in range(WRONG_KEYS_PER_MINUTE):
            assert (await log_in(web, "guess")).status == 401
        # The right key, too: else a guess could be told from a hit.
        refused = await log_in(web)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
        clock.advance(60)
        assert (await log_in(web)).status == 303


async def test_a_session_has_the_role_of_its_key(locked: WebView) -> None:
    await log_in(locked, VIEWER)
    response = await locked.post({"query": BREAKER}, Origin=origin(locked))
    assert (await response.json())["errors"][0]["extensions"] == {"code": "FORBIDDEN"}


async def test_a_session_ends() -> None:
    clock = ManualClock()
    async with running_web(SETTINGS, clock=clock) as web:
        await log_in(web)
        assert (await web.client.get("/metrics")).status == 200
        clock.advance(SESSION_SECONDS)
        assert (await web.client.get("/metrics")).status == 401


@pytest.fixture
async def nearly_over() -> AsyncIterator[WebView]:
    """A view with a session that ends in a moment."""
    clock = ManualClock()
    async with running_web(SETTINGS, clock=clock) as web:
        await log_in(web)
        clock.advance(SESSION_SECONDS - 0.3)
        yield web


async def test_a_websocket_ends_with_its_session(nearly_over: WebView) -> None:
    options = {"protocols": (PROTOCOL,), "headers": {"Origin": origin(nearly_over)}}
    async with nearly_over.client.ws_connect("/graphql/", **options) as socket:
        await socket.send_json({"type": "connection_init"})
        async with asyncio.timeout(5):
            assert await socket.receive_json() == {"type": "connection_ack"}
            end = await socket.receive()
    assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 4401, "the session is over")


@pytest.mark.parametrize(
    "path", ["/console/live", "/graphql/?query=subscription{customerAnswered{eventId}}"]
)
async def test_an_event_stream_ends_with_its_session(nearly_over: WebView, path: str) -> None:
    response = await nearly_over.client.get(path, headers={"Accept": "text/event-stream"})
    assert response.status == 200
    async with asyncio.timeout(5):
        with pytest.raises(ClientPayloadError):
            await response.read()


async def test_a_stream_that_a_key_opened_outlives_any_session(nearly_over: WebView) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    opened = nearly_over.client.ws_connect("/graphql/", protocols=(PROTOCOL,), headers=headers)
    async with opened as socket, asyncio.timeout(5):
        await test_a_websocket_ends_with_its_session(nearly_over)
        await socket.send_json({"type": "ping"})
        assert await socket.receive_json() == {"type": "pong"}


async def test_a_logout_clears_the_cookie(locked: WebView, audit: pytest.LogCaptureFixture) -> None:
    await log_in(locked)
    headers = {"Origin": origin(locked)}
    response = await locked.client.post("/logout", json={}, headers=headers)
    assert response.status == 200
    assert (await locked.client.get("/metrics")).status == 401
    assert lines(audit) == ["login by olga (operator) from 127.0.0.1", "logout by olga (operator)"]


async def test_a_wrong_key_in_the_header_is_refused_whatever_the_cookie_says(
    locked: WebView,
) -> None:
    await log_in(locked)
    response = await locked.client.get("/metrics", headers={"Authorization": "Bearer wrong"})
    assert response.status == 401


async def test_without_keys_there_is_no_login() -> None:
    async with running_web() as web:
        assert (await web.client.get("/login")).status == 404


async def test_the_redirect_to_the_login_stays_here(locked: WebView) -> None:
    url = origin(locked) + "//evil.example/"
    response = await locked.client.session.get(url, headers=BROWSER, allow_redirects=False)
    where = urlsplit(response.headers["Location"])
    assert (where.netloc, where.path) == ("", "/login")


# -- pages of others (CSRF)


async def test_with_a_cookie_a_page_of_ours_may_change_things(locked: WebView) -> None:
    await log_in(locked)
    response = await locked.post({"query": START}, Origin=origin(locked))
    assert await response.json() == {"data": {"startBasket": {"success": True}}}


@pytest.mark.parametrize("sent", [None, "http://evil.example", "null"])
async def test_with_a_cookie_nothing_changes_without_our_origin(
    locked: WebView, sent: str | None
) -> None:
    await log_in(locked)
    headers = {} if sent is None else {"Origin": sent}
    response = await locked.post({"query": START}, **headers)
    assert (response.status, (await response.json())["error"]["code"]) == (403, "FORBIDDEN")
    assert locked.publisher.records == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b'{"query": "{__typename}"}'),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/x-www-form-urlencoded", b""),
        ("application/x-www-form-urlencoded", b"form_token=wrong"),
        ("application/x-www-form-urlencoded", b"form_token=%FF"),
    ],
)
async def test_with_a_cookie_a_form_without_its_token_changes_nothing(
    locked: WebView, content_type: str, body: bytes
) -> None:
    await log_in(locked)
    headers = {"Content-Type": content_type, "Origin": origin(locked)}
    response = await locked.client.post("/logout", data=body, headers=headers)
    assert response.status == 403
    assert (await locked.client.get("/metrics")).status == 200


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded; charset=nope", b"key=1"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"key=+2AA-&form_token=+2AA-"),
        ("application/x-www-form-urlencoded", b"key=\xff"),
        ("application/x-www-form-urlencoded", b"&".join(b"key=1" for _ in range(3000))),
    ],
)
async def test_a_form_that_cannot_be_read_is_a_bad_request_and_no_fault_of_ours(
    locked: WebView, content_type: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    paths = ("/login", "/try", "/drill", "/configuration", "/dead-letters/1/1/replay", "/logout")
    await log_in(locked)
    headers = {"Content-Type": content_type, "Origin": origin(locked)}
    for path in paths:
        assert (await locked.client.post(path, data=body, headers=headers)).status == 400, path
    headers["Authorization"] = f"Bearer {OPERATOR}"
    for path in paths[:-1]:
        assert (await locked.client.post(path, data=body, headers=headers)).status == 400, path
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("body", [b"--x broken", b"--x\r\n\r\nzz\r\n--x--\r\n", b"x"])
async def test_a_login_in_parts_is_a_bad_request(locked: WebView, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await locked.client.post("/login", data=body, headers=headers)).status == 400


async def test_a_lone_surrogate_in_a_form_is_replaced(locked: WebView) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await locked.client.post("/login", data=b"key=%ED%A0%80", headers=headers)
    assert response.status == 401


async def test_with_a_cookie_a_form_with_its_token_may_change_things(locked: WebView) -> None:
    token = (await log_in(locked)).cookies[COOKIE].value
    session = Sessions(SETTINGS.access_keys, FixedClock()).read(token)
    assert session is not None
    response = await locked.client.post(
        "/logout",
        data={FORM_TOKEN: session.form_token},
        headers=BROWSER | {"Origin": origin(locked)},
        allow_redirects=False,
    )
    assert (response.status, response.headers["Location"]) == (303, "/login")
    assert (await locked.client.get("/metrics")).status == 401


async def test_another_site_cannot_log_anybody_in(locked: WebView) -> None:
    response = await log_in(locked, Origin="http://evil.example")
    assert response.status == 403
    assert "Set-Cookie" not in response.headers


# -- what is written down


async def test_every_mutation_is_written_down_with_who_and_how_it_ended(
    locked: WebView, audit: pytest.LogCaptureFixture
) -> None:
    await ask(locked, START, SUPPORT)
    await ask(locked, BREAKER, VIEWER)
    await ask(locked, EVICT_ONE, OPERATOR)
    await ask(locked, 'mutation { evictCustomer(prefix: " ") { success } }', OPERATOR)
    locked.publisher.error = RuntimeError("boom")
    await ask(locked, START, SUPPORT)
    told = lines(audit)
    assert told[0] == "startBasket(employee_id=1, terminal_id='t1') by sam (support): done"
    assert told[1] == "controlBreaker(action=OPEN) by vera (viewer): FORBIDDEN"
    assert told[2] == "evictCustomer(identifier=+1******90) by olga (operator): done"
    assert " by olga (operator): refused, " in told[3]
    assert told[4].endswith(" by sam (support): failed")
    assert len(told) == 5


async def test_what_a_caller_sends_cannot_forge_a_line(
    locked: WebView, audit: pytest.LogCaptureFixture
) -> None:
    query = 'mutation { startBasket(employeeId: 1, terminalId: "t\\nlogin by x") { success } }'
    await ask(locked, query, SUPPORT)
    (line,) = lines(audit)
    assert "\n" not in line


async def test_an_answer_with_identifiers_in_full_is_one_line_that_names_none(
    locked: WebView, audit: pytest.LogCaptureFixture
) -> None:
    await ask(locked, f"query WhoIsIt {JOHN}", SUPPORT)
    assert lines(audit) == ["4 identifiers revealed to sam (support) by query WhoIsIt"]
    assert not any(text in audit.text for text in FULL["identifiers"])


async def test_what_shows_no_identifier_in_full_is_no_line(
    locked: WebView, audit: pytest.LogCaptureFixture
) -> None:
    await ask(locked, '{ customer(customerId: "CUST_001") { firstName tier } }', SUPPORT)
    await ask(locked, JOHN, VIEWER)
    assert lines(audit) == []


async def test_without_keys_reading_is_no_line_but_changing_is(
    audit: pytest.LogCaptureFixture,
) -> None:
    async with running_web() as web:
        await ask(web, JOHN)
        await ask(web, BREAKER)
    (line,) = lines(audit)
    assert line.endswith(" by local (operator): done")
