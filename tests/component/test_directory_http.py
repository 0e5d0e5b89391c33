"""The directory client against a real server on loopback: what is sent, and each answer judged."""

import asyncio
import contextlib
import gzip
import json
import logging
import socket
import tracemalloc
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from yarl import URL

from agents.customer_lookup.answers import AttemptOutcome, AttemptRequest
from agents.customer_lookup.directory.credentials import Credentials, read_authorization
from agents.customer_lookup.directory.http import MAX_BODY_BYTES, HttpDirectory
from agents.customer_lookup.directory.response_mapping import ResponseMapping
from agents.customer_lookup.directory.session import RefusedAddress, _Resolver, same_origin
from agents.customer_lookup.reasons import AttemptStatus, Reason
from posstream.json.writing import write_json
from posstream.resilience.clock import Clock
from tests.component.directory_server import serving

IDENTIFIER = "+1234567890"
TOKEN = "correct-horse-battery"
JOHN = {"customer_id": "CUST_001", "first_name": "John", "tier": "GOLD"}


async def ask(
    endpoint: str,
    *,
    auth: Credentials | None = None,
    mapping: str | None = None,
    timeout_seconds: float = 30,
    traceparent: str | None = None,
    **options: Any,
) -> AttemptOutcome:
    directory = HttpDirectory(
        clock=Clock(),
        card_guard=True,
        auth=auth,
        mapping=ResponseMapping() if mapping is None else ResponseMapping.parse(mapping),
        **options,
    )
    await directory.open()
    try:
        return await directory.attempt(
            AttemptRequest(IDENTIFIER, endpoint, timeout_seconds, 1, traceparent)
        )
    finally:
        await directory.close()


async def answer_to(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None, **options: Any
) -> AttemptOutcome:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, status=status, headers=headers)

    async with serving(handler) as endpoint:
        return await ask(endpoint, **options)


def bearer(endpoint: str) -> Credentials:
    return Credentials(read_authorization(f"bearer {TOKEN}"), endpoint)


def judgement(outcome: AttemptOutcome) -> tuple[Reason | None, bool, bool]:
    assert (outcome.customer is None) == (outcome.reason is not None)
    return outcome.reason, outcome.retryable, outcome.healthy


# -- answers judged


async def test_a_customer_is_believed() -> None:
    outcome = await answer_to(json.dumps({**JOHN, "shoe_size": 43}).encode())
    assert judgement(outcome) == (None, False, True)
    assert outcome.customer is not None
    assert outcome.customer.first_name == "John"
    assert outcome.customer.attributes == {"shoe_size": 43}
    assert outcome.attempt.status is AttemptStatus.SUCCESS
    assert outcome.attempt.http_status == 200
    assert outcome.attempt.response_data == {**JOHN, "shoe_size": 43}


@pytest.mark.parametrize(
    ("status", "reason", "retryable", "healthy"),
    [
        (204, Reason.NOT_FOUND, False, True),
        (302, Reason.INVALID_RESPONSE, False, False),
        (400, Reason.API_ERROR, False, True),
        (401, Reason.API_ERROR, False, True),
        (403, Reason.API_ERROR, False, True),
        (404, Reason.NOT_FOUND, False, True),
        (408, Reason.API_ERROR, True, False),
        (410, Reason.API_ERROR, False, True),
        (429, Reason.API_ERROR, True, False),
        (500, Reason.API_ERROR, True, False),
        (501, Reason.API_ERROR, False, False),
        (503, Reason.API_ERROR, True, False),
    ],
)
async def test_a_status_has_its_meaning(
    status: int,
    reason: Reason,
    retryable: bool,  # noqa: FBT001
    healthy: bool,  # noqa: FBT001
) -> None:
    outcome = await answer_to(b"" if status == 204 else b'{"customer_id": "C"}', status)
    assert judgement(outcome) == (reason, retryable, healthy)
    assert outcome.attempt.http_status == status


async def test_a_404_is_a_right_answer_whatever_its_body() -> None:
    outcome = await answer_to(b"<html>" + b"x" * MAX_BODY_BYTES, 404)
    assert judgement(outcome) == (Reason.NOT_FOUND, False, True)
    assert outcome.attempt.status is AttemptStatus.NOT_FOUND


async def test_retry_after_is_handed_on() -> None:
    outcome = await answer_to(b"", 503, {"Retry-After": "7"})
    assert outcome.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "not JSON"),
        (b'{"customer_id": "C"', "not JSON"),
        (b"<!doctype html><p>John", "not JSON"),
        (b'{"customer_id": "\xff"}', "not JSON"),
        (b'{"customer_id": "\\ud800"}', "not JSON"),
        (b'{"customer_id": "C", "x": NaN}', "not JSON"),
        (b'{"customer_id": "C", "x": Infinity}', "not JSON"),
        (b'{"customer_id": "C", "x": 1e99999999999999999999}', "not JSON"),
        (b'{"customer_id": "C", "x": 01}', "not JSON"),
        (b'{"customer_id": "C", "x": ' + b"[" * 400 + b"]" * 400 + b"}", "not JSON"),
        (b'{"customer_id": "C", "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "not JSON"),
        (b'[{"customer_id": "C"}]', "not a JSON object"),
        (b"7", "not a JSON object"),
        (b'{"first_name": "John"}', "customer_id is missing"),
        (b'{"customer_id": {"id": "C"}}', "customer_id is missing"),
        (b'{"customer_id": false}', "customer_id is missing"),
        (b'{"customer_id": 1.50}', "customer_id is missing"),
    ],
    ids=range(17),
)
async def test_what_is_no_customer_is_an_invalid_response(body: bytes, error: str) -> None:
    outcome = await answer_to(body)
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)
    assert outcome.attempt.status is AttemptStatus.FAILED
    assert error in (outcome.attempt.error_message or "")


async def test_of_two_fields_of_one_name_the_last_counts() -> None:
    outcome = await answer_to(b'{"customer_id": "A", "customer_id": "B"}')
    assert outcome.customer is not None
    assert outcome.customer.customer_id == "B"


async def test_a_body_of_the_largest_size_is_read_and_a_longer_one_is_not() -> None:
    frame = len(b'{"customer_id": "C", "x": ""}')
    for size, reason in [
        (MAX_BODY_BYTES, None),
        (MAX_BODY_BYTES + 1, Reason.INVALID_RESPONSE),
    ]:
        body = b'{"customer_id": "C", "x": "' + b"a" * (size - frame) + b'"}'
        assert len(body) == size
        assert (await answer_to(body)).reason is reason


async def test_a_long_answer_is_not_kept_for_the_audit() -> None:
    outcome = await answer_to(json.dumps({**JOHN, "x": "a" * 5000}).encode())
    assert outcome.customer is not None
    assert outcome.attempt.response_data == {"truncated": True}


async def test_a_card_number_for_an_id_is_no_customer_and_is_masked_in_the_audit() -> None:
    card = "4111111111111111"
    outcome = await answer_to(json.dumps({"id": card}).encode(), mapping="id -> customer_id")
    assert outcome.reason is Reason.INVALID_RESPONSE
    assert outcome.attempt.error_message == "invalid answer: customer_id is a payment-card number"
    assert card not in str(outcome.attempt)


async def test_a_byte_order_mark_is_no_part_of_the_answer() -> None:
    outcome = await answer_to(b'\xef\xbb\xbf{"customer_id": "C"}')
    assert outcome.customer is not None


@pytest.mark.parametrize("charset", ["ISO-8859-1", "windows-1252", "Shift_JIS", "utf-16"])
async def test_an_answer_in_another_charset_is_read_as_it_says(charset: str) -> None:
    name = "山田" if charset == "Shift_JIS" else "Müller"
    body = json.dumps({**JOHN, "last_name": name}, ensure_ascii=False).encode(charset)
    content_type = f'application/json; charset="{charset}"'
    outcome = await answer_to(body, headers={"Content-Type": content_type})
    assert outcome.customer is not None
    assert outcome.customer.last_name == name


async def test_an_unknown_charset_is_an_invalid_response_with_its_name() -> None:
    headers = {"Content-Type": "application/json; charset=x-unheard-of"}
    outcome = await answer_to(json.dumps(JOHN).encode(), headers=headers)
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)
    error = "the charset x-unheard-of of the answer is unknown"
    assert outcome.attempt.error_message == error


@pytest.mark.parametrize("card", ["4111111111111111", "x-4111-1111-1111-1111"])
async def test_a_payment_card_for_a_charset_is_not_said_again(card: str) -> None:
    headers = {"Content-Type": f"application/json; charset={card}"}
    outcome = await answer_to(json.dumps(JOHN).encode(), headers=headers)
    error = "the charset that its Content-Type says of the answer is unknown"
    assert error == outcome.attempt.error_message


@pytest.mark.parametrize(
    ("status", "body", "mapping"),
    [
        (204, b"", None),
        (200, b"[]", None),
        (200, b"null", None),
        (200, b" {} ", None),
        (200, b'{"data": []}', "data.0.id -> customer_id"),
        (200, b'{"data": [{}], "total": 1}', "data.0.id -> customer_id"),
        (200, b'{"data": {"customer": null}}', "data.customer.id -> customer_id"),
    ],
)
async def test_an_empty_answer_is_an_unknown_customer_unless_that_is_switched_off(
    status: int, body: bytes, mapping: str | None
) -> None:
    outcome = await answer_to(body, status, mapping=mapping)
    assert judgement(outcome) == (Reason.NOT_FOUND, False, True)
    assert outcome.attempt.status is AttemptStatus.NOT_FOUND
    outcome = await answer_to(body, status, mapping=mapping, empty_means_unknown=False)
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)


async def test_an_odd_field_is_kept_as_an_attribute() -> None:
    body = b'{"customer_id": "C", "tier": ["GOLD"], "loyalty_points": 18446744073709551616}'
    outcome = await answer_to(body)
    assert outcome.customer is not None
    assert outcome.customer.odd_fields == ("tier", "loyalty_points")
    odd = {"tier": ["GOLD"], "loyalty_points": 18446744073709551616}
    assert outcome.customer.attributes == odd


async def test_numbers_are_kept_as_they_were_sent() -> None:
    numbers = b'{"a":12345678901234567890123,"b":10.10,"c":1e400,"d":[0.1000000000000000055]}'
    body = b'{"customer_id":98765432109876543210987,"total_purchases":10.125,"x":' + numbers + b"}"
    outcome = await answer_to(body)
    assert outcome.customer is not None
    assert outcome.customer.customer_id == "98765432109876543210987"
    assert str(outcome.customer.total_purchases) == "10.13"
    assert numbers in write_json(outcome.customer.as_document())
    assert write_json(outcome.attempt.response_data) == body


# -- bounded in time and memory


async def test_headers_of_32_kb_are_read_and_longer_ones_are_not() -> None:
    for size, reason in [(32 * 1024, None), (40 * 1024, Reason.INVALID_RESPONSE)]:
        outcome = await answer_to(json.dumps(JOHN).encode(), headers={"X-Long": "a" * size})
        assert outcome.reason is reason
    assert "32 KB" in (outcome.attempt.error_message or "")
    many = {f"X-{number}": "a" * 150 for number in range(200)}
    assert (await answer_to(json.dumps(JOHN).encode(), headers=many)).customer is not None


async def test_a_body_that_never_ends_in_time_is_a_timeout() -> None:
    over = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"customer_id": ')
        await over.wait()
        return response

    async with serving(handler) as endpoint:
        outcome = await ask(endpoint, timeout_seconds=0.2)
        over.set()
    assert judgement(outcome) == (Reason.TIMEOUT, True, False)
    assert outcome.attempt.status is AttemptStatus.TIMEOUT
    assert outcome.attempt.http_status == 200
    assert 200 <= outcome.attempt.duration_ms < 5000


async def test_an_endless_body_is_left_after_a_little_of_it() -> None:
    hung_up = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65_536)
        finally:
            hung_up.set()

    async with serving(handler) as endpoint:
        with peak_memory() as peak:
            outcome = await ask(endpoint)
        async with asyncio.timeout(10):
            await hung_up.wait()
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)
    assert "longer than 65536 bytes" in (outcome.attempt.error_message or "")
    assert peak() < 8_000_000


async def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(json.dumps(JOHN).encode())
    outcome = await answer_to(body, headers={"Content-Encoding": "gzip"})
    assert outcome.customer is not None


async def test_the_size_counts_after_decompression() -> None:
    bomb = gzip.compress(b" " * 60_000_000)
    assert len(bomb) < MAX_BODY_BYTES
    with peak_memory() as peak:
        outcome = await answer_to(bomb, headers={"Content-Encoding": "gzip"})
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)
    assert "longer than 65536 bytes" in (outcome.attempt.error_message or "")
    assert peak() < 8_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_an_encoding_that_cannot_be_undone_is_an_invalid_response(encoding: str) -> None:
    outcome = await answer_to(b"no such thing", headers={"Content-Encoding": encoding})
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)


async def test_a_connection_that_breaks_off_in_the_answer_is_tried_again() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"customer_id": "C"}')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(handler) as endpoint:
        outcome = await ask(endpoint)
    assert judgement(outcome) == (Reason.API_ERROR, True, False)
    assert "broke off" in (outcome.attempt.error_message or "")


async def test_a_connection_is_kept_and_a_closed_one_is_replaced_in_the_same_attempt() -> None:
    """Servers close kept connections whenever they like, also just as we write."""
    asked: list[int] = []
    body = json.dumps(JOHN).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine, asked[len(asked) :] = len(asked), [0]
        with contextlib.suppress(asyncio.IncompleteReadError):
            while asked[mine] < 2:
                await reader.readuntil(b"\r\n\r\n")
                asked[mine] += 1
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                writer.write(head + body)
            await reader.readuntil(b"\r\n\r\n")  # the third one gets no answer
            asked[mine] += 1
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        directory = HttpDirectory(clock=Clock(), card_guard=True)
        await directory.open()
        for _ in range(3):
            outcome = await directory.attempt(AttemptRequest(IDENTIFIER, endpoint, 30, 1))
            assert outcome.customer is not None
        await directory.close()
    assert asked == [3, 1]


async def test_interim_answers_are_skipped_and_a_body_may_come_in_pieces() -> None:
    body = json.dumps(JOHN).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 10):
            piece = body[at : at + 10]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        outcome = await ask(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert outcome.customer is not None


async def test_what_is_sent_is_one_plain_request() -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.raw_path, dict(request.headers)))
        return web.json_response(JOHN)

    async with serving(handler) as endpoint:
        await ask(f"{endpoint}?generate=1")
        host = URL(endpoint).authority
    ((path, headers),) = seen
    assert path == "/customers/%2B1234567890/?generate=1"
    assert headers.pop("User-Agent").startswith("Python/")
    assert "gzip" in headers.pop("Accept-Encoding")
    assert headers == {"Host": host, "Accept": "application/json"}


async def test_what_speaks_no_http_is_an_invalid_response() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await ask(f"http://127.0.0.1:{port}/")
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)


async def test_nobody_there_is_tried_again() -> None:
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))  # held, and nobody listens
        outcome = await ask(f"http://127.0.0.1:{held.getsockname()[1]}/")
    assert judgement(outcome) == (Reason.API_ERROR, True, False)
    assert outcome.attempt.http_status is None


@pytest.mark.parametrize("endpoint", ["http://a\\b/", "http://ä.example/", "http://" + "a" * 300])
async def test_an_impossible_endpoint_is_an_outcome_too(endpoint: str) -> None:
    outcome = await ask(endpoint)
    assert judgement(outcome) == (Reason.API_ERROR, True, False)
    assert IDENTIFIER not in (outcome.attempt.error_message or "")


@contextlib.contextmanager
def peak_memory() -> Any:
    """How many bytes were allocated at most while the block ran."""
    measured = [0]
    tracemalloc.start()
    try:
        yield lambda: measured[0]
        measured[0] = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# -- credentials


class Recorder:
    """A directory that notes what it was sent."""

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers
        self.requests: list[tuple[str, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        auth = request.headers.get("Authorization")
        self.requests.append((request.path, auth))
        echo = {"customer_id": "C", "echo": auth, "headers": dict(request.headers)}
        return web.json_response(echo, status=self.status, headers=self.headers)


@pytest.mark.parametrize("path", ["", "/other", "/other/?x=1"])
async def test_credentials_are_sent_to_their_origin_whatever_the_path(path: str) -> None:
    recorder = Recorder()
    async with serving(recorder.answer) as endpoint:
        origin = str(URL(endpoint).origin())
        await ask(origin + path, auth=bearer(endpoint))
    assert [auth for _, auth in recorder.requests] == [f"Bearer {TOKEN}"]


async def test_basic_credentials_are_sent_as_such() -> None:
    recorder = Recorder()
    async with serving(recorder.answer) as endpoint:
        auth = Credentials(read_authorization("basic Aladdin:open sesame"), endpoint)
        await ask(endpoint, auth=auth)
    assert recorder.requests[0][1] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


async def test_without_credentials_none_are_sent() -> None:
    recorder = Recorder()
    async with serving(recorder.answer) as endpoint:
        await ask(endpoint)
    assert recorder.requests == [(f"/customers/{IDENTIFIER}/", None)]


async def test_credentials_are_not_sent_to_another_port_or_host() -> None:
    recorder = Recorder()
    async with serving(recorder.answer) as endpoint, serving(Recorder().answer) as own:
        await ask(endpoint, auth=bearer(own))
        await ask(endpoint, auth=bearer(endpoint.replace("127.0.0.1", "localhost")))
        await ask(endpoint, auth=bearer(endpoint.replace("http://", "https://")))
    assert [auth for _, auth in recorder.requests] == [None, None, None]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://crm.example/other?x=1", True),
        ("https://CRM.example:443/", True),
        ("http://crm.example/", False),
        ("http://crm.example:443/", False),
        ("https://crm.example:8443/", False),
        ("https://crm.example.evil.example/", False),
        ("https://evil.example/https://crm.example/", False),
        ("https://evil.crm.example/", False),
        ("https://crm.example./", False),
        ("https://crm.example@evil.example/", False),
        ("https://crm%2eexample/", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(other: str, same: bool) -> None:  # noqa: FBT001
    own = URL("https://crm.example/customers/", encoded=True)
    assert same_origin(URL(other, encoded=True), own) is same


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    elsewhere = Recorder()
    async with serving(elsewhere.answer) as target:
        recorder = Recorder(status, {"Location": f"{target}/"})
        async with serving(recorder.answer) as endpoint:
            outcome = await ask(endpoint, auth=bearer(endpoint))
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)
    assert (len(recorder.requests), elsewhere.requests) == (1, [])


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_said_so(status: int) -> None:
    async with serving(Recorder(status).answer) as endpoint:
        sent = await ask(endpoint, auth=bearer(endpoint))
        unsent = await ask(endpoint)
    error = f"the directory refused our credentials (HTTP {status})"
    assert sent.attempt.error_message == error
    assert unsent.attempt.error_message == f"{error}: none were sent"


@pytest.mark.parametrize("status", [200, 302, 401, 404, 500])
async def test_a_directory_that_repeats_our_credentials_leaks_them_nowhere(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = Recorder(status, {"X-Echo": f"Bearer {TOKEN}", "Retry-After": TOKEN})
    async with serving(recorder.answer) as endpoint:
        outcome = await ask(endpoint, auth=bearer(endpoint))
    assert recorder.requests[0][1] == f"Bearer {TOKEN}"
    assert isinstance(outcome.attempt.response_data, dict)
    assert outcome.attempt.response_data["echo"] == "Bearer ***"
    assert TOKEN not in f"{outcome!r}"
    assert TOKEN not in caplog.text


# -- the mapping


async def test_a_mapping_fills_the_fields_and_keeps_the_rest() -> None:
    document = {
        "customer": {"id": 17, "name": {"first": "John", "last": "Doe"}, "vip": True},
        "contacts": [{"kind": "phone", "value": "+4930"}],
        "tier": "GOLD",
    }
    outcome = await answer_to(
        json.dumps(document).encode(),
        mapping="customer.id -> customer_id; customer.name.first -> first_name; "
        "customer.name.last -> last_name; contacts.0.value -> phone",
    )
    assert outcome.customer is not None
    assert outcome.customer.as_document() == {
        "customer_id": "17",
        "first_name": "John",
        "last_name": "Doe",
        "email": "",
        "phone": "+4930",
        "loyalty_points": 0,
        "tier": "GOLD",
        "total_purchases": "0.00",
        "last_purchase_date": None,
        "attributes": {"customer": {"vip": True}, "contacts": [{"kind": "phone"}]},
    }
    assert outcome.attempt.response_data == document


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"customer_id": "C"}, "customer_id is missing"),
        ({"id": {"customer_id": "C"}}, "customer_id is missing"),
        ([{"id": "C"}], "not a JSON object"),
    ],
)
async def test_a_mapping_that_does_not_fit_is_an_invalid_response(
    document: object, error: str
) -> None:
    outcome = await answer_to(
        json.dumps(document).encode(), mapping="id -> customer_id; name -> first_name"
    )
    assert judgement(outcome) == (Reason.INVALID_RESPONSE, False, False)
    assert error in (outcome.attempt.error_message or "")


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"no": "C1"}, "C1"),
        ({"no": 17}, "17"),
        ({"no": "C1", "loyalty_points": "many"}, "C1"),  # not believed, but kept for the audit
        ({"no": {}}, None),
        ({"error": "unknown"}, None),
        (["C1"], None),
    ],
)
async def test_an_attempt_names_the_customer_that_its_response_tells_of(
    document: object, named: str | None
) -> None:
    outcome = await answer_to(json.dumps(document).encode(), mapping="no -> customer_id")
    assert outcome.attempt.customer_id == named


# -- addresses


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "169\u3002254\u3002169\u3002254", "[::ffff:100.100.100.200]"]
)
async def test_an_endpoint_at_a_metadata_address_is_not_called(host: str) -> None:
    outcome = await ask(f"http://{host}:1/", timeout_seconds=2)
    assert judgement(outcome) == (Reason.API_ERROR, False, False)
    error = "the directory is at a link-local or cloud metadata address"
    assert outcome.attempt.error_message == error


async def test_a_name_that_leads_to_a_metadata_address_is_not_resolved() -> None:
    # The resolver folds these full stops, as a name server might answer for any name.
    with pytest.raises(RefusedAddress):
        await _Resolver().resolve("169\u3002254\u3002169\u3002254", 80)
    found = await _Resolver().resolve("127\u30020\u30020\u30021", 80)
    assert [each["host"] for each in found] == ["127.0.0.1"]


async def test_an_endpoint_with_other_letters_is_sent_encoded() -> None:
    paths = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.raw_path)
        return web.json_response(JOHN)

    async with serving(answer) as endpoint:
        outcome = await ask(f"{endpoint}/größe/%C3%BC?filiale=Köln&x=%20")
    assert outcome.customer is not None
    path = f"/customers/gr%C3%B6%C3%9Fe/%C3%BC/{quote(IDENTIFIER)}/?filiale=K%C3%B6ln&x=%20"
    assert paths == [path]


@pytest.mark.parametrize("traceparent", [None, "00-" + "a" * 32 + "-" + "b" * 16 + "-01"])
async def test_the_trace_context_is_handed_on(traceparent: str | None) -> None:
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("traceparent"))
        return web.json_response(JOHN)

    async with serving(answer) as endpoint:
        await ask(endpoint, traceparent=traceparent)
    assert seen == [traceparent]
