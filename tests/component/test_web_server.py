"""The web view as a whole: keys, headers, errors, and the port."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
from aiohttp import web as aiohttp_web

from posstream.domain.errors import StartRefused
from posstream.settings import Settings
from posstream.startup.hosts import in_url
from tests.component.web_client import WebView, application_of, running_web
from tests.servers import ipv6
from tests.servers.needed import need
from web.server import WebServer

KEY = "a-key-of-some-length"
QUERY = {"query": "{ __typename }"}


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web(Settings(plugin_values={"POSSTREAM_MOCK_DIRECTORY": True})) as view:
        yield view


@pytest.fixture
async def locked() -> AsyncIterator[WebView]:
    async with running_web(
        Settings(api_key=KEY, plugin_values={"POSSTREAM_MOCK_DIRECTORY": True})
    ) as view:
        yield view


async def test_the_front_page_names_the_urls(web: WebView) -> None:
    response = await web.client.get("/")
    page = await response.text()
    assert all(
        url in page
        for url in ("/graphql/", "/api/mock-customer-lookup/", "/health/live", "/health/ready")
    )


@pytest.mark.parametrize("path", ["/", "/graphql/?query={__typename}", "/nothing", "/health/x"])
@pytest.mark.parametrize(
    "authorization",
    [None, "", KEY, f"Basic {KEY}", "Bearer", f"Bearer {KEY}x", "Bearer \u00e9"],
)
async def test_without_the_key_everything_else_is_unauthorized(
    locked: WebView, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = await locked.client.get(path, headers=headers)
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (await response.json())["error"]["code"] == "UNAUTHORIZED"


async def test_with_the_key_graphql_answers(locked: WebView) -> None:
    response = await locked.post(QUERY, Authorization=f"Bearer {KEY}")
    assert await response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "path",
    [
        "/health/live",
        "/health/ready",
        "/api/mock-customer-lookup/+1234567890/",
        "/api/mock-customer-lookup/+1234567890",
    ],
)
async def test_probes_and_the_mock_need_no_key(locked: WebView, path: str) -> None:
    response = await locked.client.get(path)
    assert response.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/graphql/",
        "/nothing",
        "/health/live",
        "/api/mock-customer-lookup/+1234567890/?body=html",
    ],
)
async def test_every_answer_has_safe_headers_and_no_banner(web: WebView, path: str) -> None:
    response = await web.client.get(path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in response.headers["Permissions-Policy"]
    assert "Server" not in response.headers
    assert "Strict-Transport-Security" not in response.headers


async def test_an_unknown_path_is_404_in_json(web: WebView) -> None:
    response = await web.client.get("/nothing")
    assert response.status == 404
    assert await response.json() == {"error": {"code": "NOT_FOUND", "message": "Not Found"}}


async def test_a_wrong_method_is_405_in_json_and_names_the_right_ones(web: WebView) -> None:
    response = await web.client.post("/health/live")
    assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")
    assert (await response.json())["error"]["code"] == "METHOD_NOT_ALLOWED"


async def test_an_unexpected_error_shows_only_a_reference_that_is_in_the_log(
    web: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    web.health.live = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with caplog.at_level(logging.ERROR):
        response = await web.client.get("/health/live")
    answer = await response.json()
    assert response.status == 500
    assert answer["error"].pop("reference") in caplog.text
    assert answer == {"error": {"code": "INTERNAL", "message": "Internal error"}}
    assert "ZeroDivisionError" in caplog.text


async def test_a_server_answers_from_start_to_stop() -> None:
    application = aiohttp_web.Application()

    async def hello(_: aiohttp_web.Request) -> aiohttp_web.Response:
        return aiohttp_web.Response(text="hello")

    application.add_routes([aiohttp_web.get("/", hello)])
    server = WebServer(application, host="127.0.0.1", port=0)
    await server.start()
    url = f"http://127.0.0.1:{server.port}/"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            assert await response.text() == "hello"
        await server.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
        (b"GET /+491701234567\x00 HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"+491701234567" * 1000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: wonders\r\n\r\n", 417),
    ],
)
async def test_what_is_no_http_gets_json_with_safe_headers_and_no_banner(
    sent: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = WebServer(application_of(WebView()), host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    answer = (await asyncio.wait_for(reader.read(), 10)).decode()
    writer.close()
    await writer.wait_closed()
    await server.stop()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.split()[1] == str(status)
    assert "X-Content-Type-Options: nosniff" in head
    assert not any(banner in answer for banner in ("aiohttp", "Python"))
    assert "491701234567" not in answer + caplog.text
    if status == 400:
        message = "the request is no HTTP that can be read, or its header is too long"
        assert orjson.loads(body) == {"error": {"code": "BAD_REQUEST", "message": message}}


async def test_an_address_beyond_loopback_is_refused_without_a_key() -> None:
    server = WebServer(application_of(WebView()), host="0.0.0.0", port=0)
    with pytest.raises(StartRefused, match="POSSTREAM_API_KEY"):
        await server.start()


async def test_an_address_beyond_loopback_is_fine_with_a_key() -> None:
    application = application_of(WebView(), Settings(api_key=KEY))
    server = WebServer(application, host="0.0.0.0", port=0)
    await server.start()
    assert server.port > 0
    await server.stop()


async def test_a_port_in_use_refuses_the_start_and_says_what_to_do() -> None:
    first = WebServer(aiohttp_web.Application(), host="127.0.0.1", port=0)
    await first.start()
    port = first.port
    second = WebServer(aiohttp_web.Application(), host="127.0.0.1", port=port)
    with pytest.raises(StartRefused) as refused:
        await second.start()
    await first.stop()
    assert str(refused.value) == (
        f"port {port} on 127.0.0.1 is in use: "
        "stop the program that has it or set POSSTREAM_WEB_PORT"
    )


async def test_an_address_of_another_machine_refuses_the_start() -> None:
    server = WebServer(aiohttp_web.Application(), host="192.0.2.1", port=0)
    with pytest.raises(StartRefused, match="POSSTREAM_WEB_HOST"):
        await server.start()


@pytest.mark.parametrize("host", ["::1", "[::1]", "::", "localhost"])
async def test_the_view_listens_to_ipv6(host: str) -> None:
    need(ipv6)
    server = WebServer(application_of(WebView(), Settings(api_key=KEY)), host=host, port=0)
    await server.start()
    addresses = server.addresses
    async with aiohttp.ClientSession() as session:
        for address, port in addresses:
            where = {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(address, address)
            async with session.get(f"http://{in_url(where)}:{port}/health/live") as response:
                assert response.status == 200
    await server.stop()
    families = {"::": {"::", "0.0.0.0"}, "localhost": {a for a, _ in addresses}}
    assert families.get(host, {"::1"}) == {address for address, _ in addresses}


async def test_without_a_key_a_view_on_ipv6_answers_this_machine() -> None:
    need(ipv6)
    server = WebServer(application_of(WebView(), Settings(web_host="::1")), host="::1", port=0)
    await server.start()
    url = f"http://[::1]:{server.port}/graphql/?query={{__typename}}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
    await server.stop()


async def test_a_server_that_never_started_can_be_stopped() -> None:
    await WebServer(aiohttp_web.Application(), host="127.0.0.1", port=0).stop()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("[0:0:0:0:0:0:0:1]:8000", 200),
        ("[::ffff:127.0.0.1]:8000", 200),
        ("LOCALHOST.:8000", 200),
        ("[::2]:8000", 421),
        ("[::ffff:10.0.0.1]:8000", 421),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("[", 421),
        ("[::1", 421),
    ],
)
async def test_without_a_key_only_requests_to_this_machine_by_name_are_answered(
    host: str, status: int
) -> None:
    async with running_web() as view:
        response = await view.client.get("/", headers={"Host": host})
        assert response.status == status


async def test_with_a_key_the_name_does_not_matter() -> None:
    key = "0123456789abcdef"
    async with running_web(Settings(api_key=key)) as view:
        headers = {"Host": "till.example", "Authorization": f"Bearer {key}"}
        assert (await view.client.get("/", headers=headers)).status == 200
