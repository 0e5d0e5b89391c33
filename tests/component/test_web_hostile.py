"""Requests that are broken in their bytes: each is answered 4xx with a sentence, none is logged."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import orjson
import pytest

from posstream.domain.access_key import read_access_keys
from posstream.settings import Settings
from tests.component.web_client import WebView, application_of
from web.server import WebServer

KEY = "operator-key-0123"
SETTINGS = Settings(named_keys=read_access_keys(f"operator:{KEY}:olga"))
QUERY = b'{"query": "{ __typename }"}'
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
CONFIGURE = """mutation ($config: JSONString) {
  updatePluginConfiguration(name: "customer_lookup", config: $config) { success error { code } }
}"""


class Server:
    """A served view, and raw bytes to it."""

    def __init__(self, port: int, view: WebView) -> None:
        self._port = port
        self.view = view

    async def send(self, sent: bytes) -> tuple[int, bytes]:
        """The status and body of the answer; 0 if there is none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(sent)
        try:
            answer = await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.transport.abort()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body

    async def break_off(self, sent: bytes) -> None:
        """Send this and go."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(sent)
        await writer.drain()
        writer.transport.abort()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    view = WebView()
    made = WebServer(application_of(view, SETTINGS), host="127.0.0.1", port=0)
    await made.start()
    yield Server(made.port, view)
    await made.stop()


def post(
    path: str, body: bytes, content_type: str = JSON, *headers: str, length: bool = True
) -> bytes:
    """A whole request."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Authorization: Bearer {KEY}",
        f"Content-Type: {content_type}",
        *([f"Content-Length: {len(body)}"] if length else []),
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def bare(path: bytes, *headers: bytes) -> bytes:
    lines = (b"GET " + path + b" HTTP/1.1", b"Host: localhost", *headers, b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def get(path: bytes, *headers: bytes) -> bytes:
    return bare(path, b"Authorization: Bearer " + KEY.encode(), *headers)


def chunked(path: str, body: bytes) -> bytes:
    return post(path, body, JSON, "Transfer-Encoding: chunked", length=False)


ENCODED = "Content-Encoding: "
BROKEN = {
    "gzip that is none": (post("/graphql/", QUERY, JSON, ENCODED + "gzip"), 400),
    "deflate that is none": (post("/graphql/", b"\xff" + QUERY, JSON, ENCODED + "deflate"), 400),
    "gzip with more behind": (
        post("/graphql/", gzip.compress(QUERY) + b"more", JSON, ENCODED + "gzip"), 400,
    ),
    "a bomb": (post("/graphql/", gzip.compress(b"0" * 9_000_000), JSON, ENCODED + "gzip"), 413),
    "a bomb for a form": (
        post("/login", gzip.compress(b"0" * 9_000_000), FORM, ENCODED + "gzip"), 413,
    ),
    "an encoding of nobody": (post("/graphql/", QUERY, JSON, ENCODED + "wonders"), 415),
    "Brotli": (post("/graphql/", QUERY, JSON, ENCODED + "br"), 415),
    "gzip twice": (
        post("/graphql/", gzip.compress(gzip.compress(QUERY)), JSON, ENCODED + "gzip, gzip"), 415,
    ),
    "a form in gzip that is none": (post("/login", b"key=x", FORM, ENCODED + "gzip"), 400),
    "a page's form in gzip that is none": (post("/drill", b"a=b", FORM, ENCODED + "gzip"), 400),
    "chunks that are none": (chunked("/graphql/", b"zz\r\n{}\r\n0\r\n\r\n"), 400),
    "a negative chunk": (chunked("/graphql/", b"-1\r\n{\r\n0\r\n\r\n"), 400),
    "two lengths": (post("/graphql/", b"", JSON, "Transfer-Encoding: chunked"), 400),
    "a length that is none": (post("/graphql/", b"", JSON, "Content-Length: x", length=False), 400),
    "a charset of nobody": (post("/graphql/", QUERY, f"{JSON}; charset=klingon"), 415),
    "a form's charset of nobody": (post("/login", b"key=x", f"{FORM}; charset=klingon"), 400),
    "a type that is none": (post("/graphql/", QUERY, ";;;="), 415),
    "a form that is no UTF-8": (post("/login", b"key=\xff", FORM), 400),
    "too many fields": (post("/login", b"&".join(b"a=b" for _ in range(500)), FORM), 400),
    "a multipart form": (post("/try", b"--x", "multipart/form-data; boundary=x"), 400),
    "half of a surrogate pair": (post("/graphql/", rb'{"query": "\ud800"}'), 400),
    "half of a pair as key": (post("/login", rb'{"key": "\udfff"}'), 400),
    "variables too deep": (
        post("/graphql/", b'{"query": "{a}", "variables": {"a": ' + b"[" * 50_000 + b"}}"), 400,
    ),
    "a key that is no text": (
        bare(b"/metrics", b"Authorization: Bearer \xff\xed\xa0\x80"), 401,
    ),
    "a cookie that is no text": (
        bare(b"/metrics", b"Cookie: posstream_session=\xff.\xff.\xff.\xff"), 401,
    ),
    "an origin that is none": (post("/graphql/", QUERY, JSON, "Origin: http://[\xff"), 403),
    "a path that is no UTF-8": (get(b"/customers/%ed%a0%80"), 404),
    "a path in raw bytes": (get(b"/\xff"), 400),
    "a query string that is no UTF-8": (
        get(b"/graphql/?query={__typename}&variables=%ed%a0%80"), 400,
    ),
    "a WebSocket's key that is no text": (
        get(b"/graphql/", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: \xff")
        .replace(b"Connection: close", b"Connection: Upgrade"), 400,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), BROKEN.values(), ids=BROKEN)
async def test_what_is_broken_is_refused_with_a_sentence(
    server: Server, sent: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    found, body = await server.send(sent)
    assert (found, "Traceback" in caplog.text) == (status, False)
    if body.startswith(b"{"):
        answer = orjson.loads(body)
        error = answer["error"] if "error" in answer else answer["errors"][0]
        assert len(error["message"].split()) > 1
    else:
        assert b"<html" in body


@pytest.mark.parametrize(
    "body", [gzip.compress(QUERY), zlib.compress(QUERY)], ids=["gzip", "deflate"]
)
async def test_a_body_may_be_compressed(server: Server, body: bytes) -> None:
    encoding = "gzip" if body.startswith(b"\x1f") else "deflate"
    status, answer = await server.send(post("/graphql/", body, JSON, ENCODED + encoding))
    assert (status, answer) == (200, b'{"data":{"__typename":"Query"}}')


@pytest.mark.parametrize(
    "sent",
    [
        post("/graphql/", QUERY)[:-5],
        post("/login", b"key=x", FORM)[:-2],
        post("/drill", b"key=x", FORM)[:-2],
        chunked("/graphql/", b"5\r\n{\r\n"),
    ],
    ids=["GraphQL", "login", "page", "chunks"],
)
async def test_a_body_that_breaks_off_is_no_error_of_ours(
    server: Server, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await server.break_off(sent)
    metric = "posstream_web_connections"
    async with asyncio.timeout(10):
        while server.view.metrics.registry.get_sample_value(metric):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    status, _ = await server.send(post("/graphql/", QUERY))
    assert (status, caplog.text) == (200, "")


@pytest.mark.parametrize(
    "config",
    [
        '{"api_endpoint": "http://a/\\ud800"}',
        '{"\\ud800": 1}',
        '{"a": {"b": "\\udc00"}}',
        "{",
        "",
        "[" * 50_000,
    ],
)
async def test_a_configuration_that_is_no_json_is_refused_by_name(
    server: Server, config: str, caplog: pytest.LogCaptureFixture
) -> None:
    document = {"query": CONFIGURE, "variables": {"config": config}}
    status, body = await server.send(post("/graphql/", orjson.dumps(document)))
    error = orjson.loads(body)["errors"][0]
    assert (status, error["extensions"]["code"]) == (200, "BAD_REQUEST")
    assert error["message"].endswith("JSONString holds no JSON")
    assert "Traceback" not in caplog.text


async def test_half_of_a_pair_in_a_literal_is_refused(server: Server) -> None:
    query = CONFIGURE.replace("$config: JSONString", "$x: Int").replace(
        "$config", r'"{\"\\ud800\": 1}"'
    )
    _, body = await server.send(post("/graphql/", orjson.dumps({"query": query})))
    assert "JSONString holds no JSON" in orjson.loads(body)["errors"][0]["message"]
