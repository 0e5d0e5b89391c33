"""The way to the directory: proxy, TLS with files of one's own, and tokens by OAuth 2.0."""

import asyncio
import base64
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from yarl import URL

from agents.customer_lookup.answers import AttemptOutcome, AttemptRequest
from agents.customer_lookup.directory.credentials import Credentials, OAuthClient
from agents.customer_lookup.directory.http import HttpDirectory
from agents.customer_lookup.directory.oauth_tokens import OAuthTokens
from agents.customer_lookup.reasons import AttemptStatus, Reason
from posstream.startup.tls_files import TlsFiles
from tests.component.directory_server import serving
from tests.component.proxy_server import proxy
from tests.manual_clock import ManualClock

IDENTIFIER = "+1234567890"
SECRET = "s3cret/with+signs"
JOHN = {"customer_id": "CUST_001"}


@contextlib.asynccontextmanager
async def directory(clock: ManualClock | None = None, **options: Any) -> AsyncIterator[Any]:
    made = HttpDirectory(clock=clock or ManualClock(), card_guard=True, **options)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def attempt(
    made: HttpDirectory, endpoint: str, *, timeout_seconds: float = 30
) -> AttemptOutcome:
    return await made.attempt(AttemptRequest(IDENTIFIER, endpoint, timeout_seconds, number=1))


async def ask(endpoint: str, **options: Any) -> AttemptOutcome:
    async with directory(**options) as made:
        return await attempt(made, endpoint)


async def john(_: web.Request) -> web.Response:
    return web.json_response(JOHN)


# -- proxy


async def test_a_directory_is_called_by_the_proxy_with_its_password() -> None:
    async with serving(john) as behind, proxy(URL(behind).port or 0) as way:
        by = way.url.replace("://", "://till:open%20sesame@")
        outcome = await ask("http://crm.example/customers", proxy=by)
    assert outcome.customer is not None
    basic = base64.b64encode(b"till:open sesame").decode()
    asked = "GET http://crm.example/customers/%2B1234567890/ HTTP/1.1"
    assert way.asked == [(asked, f"Basic {basic}")]


async def test_by_a_proxy_tls_reaches_to_the_directory(authority: "Authority") -> None:
    tls = authority.server("crm.example")
    async with serving(john, tls=tls) as behind, proxy(URL(behind).port or 0) as way:
        outcome = await ask(
            "https://crm.example/customers", proxy=way.url, tls=TlsFiles(authority.file)
        )
    assert outcome.customer is not None
    assert way.asked == [("CONNECT crm.example:443 HTTP/1.1", None)]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_said_so(scheme: str) -> None:
    async with proxy(1, status=407) as way:
        outcome = await ask(f"{scheme}://crm.example/customers", proxy=way.url)
    assert outcome.reason is Reason.API_ERROR
    assert outcome.attempt.error_message == "the proxy refused the call (HTTP 407)"


async def test_this_machine_is_called_without_the_proxy() -> None:
    async with serving(john) as endpoint, proxy(1, status=407) as way:
        outcome = await ask(endpoint, proxy=way.url)
    assert outcome.customer is not None
    assert way.asked == []


async def test_a_proxy_of_the_environment_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy(1, status=407) as way:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, way.url)
        await ask("http://crm.invalid/customers")
    assert way.asked == []


async def test_a_metadata_address_is_not_asked_of_a_proxy() -> None:
    async with proxy(1, status=407) as way:
        for host in ("[fd00:ec2::254]", "metadata.google.internal"):
            outcome = await ask(f"http://{host}/latest", proxy=way.url)
            assert outcome.retryable is False
    assert way.asked == []


# -- TLS


@dataclass
class Authority:
    """An authority of its own, its certificate in a file."""

    file: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def server(self, name: str = "127.0.0.1", *, asks: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        if asks:
            context.verify_mode = ssl.CERT_OPTIONAL
            self.ca.configure_trust(context)
        return context

    def client(self, name: str, to: Path) -> Path:
        issued = self.ca.issue_cert(f"{name}@posstream.example", common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(str(to))
        return to


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "ca.pem")
    made.ca.cert_pem.write_to_path(str(made.file))
    return made


async def who(request: web.Request) -> web.Response:
    """Name whoever showed a certificate."""
    assert request.transport is not None
    shown = request.transport.get_extra_info("peercert") or {}
    names = [
        value for part in shown.get("subject", ()) for key, value in part if key == "commonName"
    ]
    return web.json_response({**JOHN, "seen": names})


def seen(outcome: AttemptOutcome) -> list[str]:
    assert outcome.customer is not None, outcome.attempt.error_message
    return list(outcome.customer.attributes["seen"])


async def test_an_authority_of_one_s_own_is_trusted_if_it_is_named(authority: Authority) -> None:
    async with serving(john, tls=authority.server()) as endpoint:
        assert (await ask(endpoint, tls=TlsFiles(authority.file))).customer is not None
        outcome = await ask(endpoint)
    assert (outcome.reason, outcome.retryable) == (Reason.API_ERROR, True)
    assert "Certificate" in (outcome.attempt.error_message or "")


async def test_a_client_certificate_is_shown_to_its_own_endpoint_alone(
    authority: Authority, tmp_path: Path
) -> None:
    files = TlsFiles(authority.file, authority.client("till", tmp_path / "till.pem"))
    async with (
        serving(who, tls=authority.server(asks=True)) as own,
        serving(who, tls=authority.server(asks=True)) as other,
        directory(tls=files, own_endpoint=own) as made,
    ):
        assert seen(await attempt(made, own)) == ["till"]
        assert seen(await attempt(made, other)) == []


async def test_a_renewed_certificate_is_shown_from_then_on(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = authority.client("old", tmp_path / "till.pem")

    async def hang_up(request: web.Request) -> web.Response:
        response = await who(request)
        response.force_close()
        return response

    async with (
        serving(hang_up, tls=authority.server(asks=True)) as own,
        directory(tls=TlsFiles(authority.file, file), own_endpoint=own) as made,
    ):
        assert seen(await attempt(made, own)) == ["old"]
        file.unlink()
        authority.client("new", file)
        assert seen(await attempt(made, own)) == ["new"]
        file.unlink()
        file.write_text("half a certificate")
        assert [seen(await attempt(made, own)) for _ in range(2)] == [["new"]] * 2
    assert [record.levelname for record in caplog.records if "TLS" in record.message] == ["WARNING"]


# -- OAuth 2.0


@dataclass
class Login:
    """A token endpoint, and the directory that takes its newest token."""

    lifetime: object = 3600
    status: int = 200
    body: bytes | None = None
    gate: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str | None, dict[str, str]]] = field(default_factory=list)
    shown: list[str | None] = field(default_factory=list)
    refuses: bool = False

    @property
    def newest(self) -> str:
        return f"token-number-{len(self.asked)}"

    async def token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append((request.headers.get("Authorization"), form))
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.body is not None or self.status != 200:
            return web.Response(body=self.body, status=self.status)
        answer = {"access_token": self.newest, "token_type": "bearer", "expires_in": self.lifetime}
        return web.json_response(answer)

    async def customer(self, request: web.Request) -> web.Response:
        auth = request.headers.get("Authorization")
        self.shown.append(auth)
        known = auth == f"Bearer {self.newest}" and not self.refuses
        return web.json_response({**JOHN, "echo": auth}, status=200 if known else 401)


@dataclass
class Place:
    """Both, served, and a client of them."""

    login: Login
    clock: ManualClock
    endpoint: str
    made: HttpDirectory

    async def ask(self, **options: Any) -> AttemptOutcome:
        return await attempt(self.made, self.endpoint, **options)


@contextlib.asynccontextmanager
async def place(login: Login | None = None, scope: str | None = None) -> AsyncIterator[Place]:
    login, clock = login or Login(), ManualClock()
    async with serving(login.token) as token_url, serving(login.customer) as endpoint:
        client = OAuthClient(token_url, "post:stream", SECRET, scope, endpoint)
        async with directory(clock, auth=client) as made:
            yield Place(login, clock, endpoint, made)


async def test_a_token_is_asked_for_by_the_client_s_credentials_and_sent() -> None:
    async with place(scope="customers.read") as it:
        outcome = await it.ask()
    assert outcome.customer is not None
    basic = base64.b64encode(b"post%3Astream:s3cret%2Fwith%2Bsigns").decode()
    form = {"grant_type": "client_credentials", "scope": "customers.read"}
    assert it.login.asked == [(f"Basic {basic}", form)]
    assert it.login.shown == ["Bearer token-number-1"]


async def test_a_token_is_kept_until_shortly_before_it_expires() -> None:
    async with place() as it:
        for seconds in (0, 3000, 569):
            it.clock.advance(seconds)
            await it.ask()
        assert len(it.login.asked) == 1
        it.clock.advance(2)
        assert (await it.ask()).customer is not None
    assert len(it.login.asked) == 2


@pytest.mark.parametrize(
    ("lifetime", "kept_seconds"), [("3600", 3569), (20, 9), (None, 269), ("soon", 269), (-1, 269)]
)
async def test_a_token_s_time_may_be_odd(lifetime: object, kept_seconds: float) -> None:
    async with place(Login(lifetime=lifetime)) as it:
        await it.ask()
        it.clock.advance(kept_seconds)
        await it.ask()
        assert len(it.login.asked) == 1
        it.clock.advance(2)
        await it.ask()
    assert len(it.login.asked) == 2


async def test_all_who_need_a_token_share_one_call() -> None:
    login = Login(gate=asyncio.Event())
    async with place(login) as it:
        asking = [asyncio.ensure_future(it.ask()) for _ in range(20)]
        await login.arrived.wait()
        assert login.gate is not None
        login.gate.set()
        outcomes = await asyncio.gather(*asking)
    assert [outcome.reason for outcome in outcomes] == [None] * 20
    assert len(login.asked) == 1


async def test_a_token_that_was_taken_back_is_renewed_once() -> None:
    async with place() as it:
        await it.ask()
        it.login.asked.append((None, {}))  # the directory takes another one from now on
        outcome = await it.ask()
        assert outcome.customer is not None
        assert outcome.attempt.status is AttemptStatus.SUCCESS
        it.login.refuses = True
        it.login.shown.clear()
        outcome = await it.ask()
    assert (outcome.reason, outcome.retryable) == (Reason.API_ERROR, False)
    assert outcome.attempt.http_status == 401
    assert len(it.login.shown) == 2


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error": "invalid_client"}', "answered with HTTP status 400, invalid_client"),
        (401, b'{"error": "SECRET words"}', "answered with HTTP status 401"),
        (503, b"<html>", "answered with HTTP status 503"),
        (302, b"", "answered with HTTP status 302"),
        (200, b"<html>", "answered without a bearer token"),
        (200, b'{"access_token": "a\\nb"}', "answered without a bearer token"),
        (200, b'{"access_token": "x", "token_type": "mac"}', "answered without a bearer token"),
        (200, b" " * 70_000, "answered without a bearer token"),
    ],
    ids=range(8),
)
async def test_without_a_token_an_attempt_fails_and_may_be_tried_again(
    status: int, body: bytes, error: str
) -> None:
    async with place(Login(status=status, body=body)) as it:
        outcome = await it.ask()
    assert (outcome.reason, outcome.retryable, outcome.healthy) == (Reason.API_ERROR, True, False)
    assert outcome.attempt.error_message == f"no access token: the token endpoint {error}"
    assert outcome.attempt.http_status is None
    assert it.login.shown == []


async def test_a_token_endpoint_that_hangs_is_named() -> None:
    async with place(Login(gate=asyncio.Event())) as it:
        outcome = await it.ask(timeout_seconds=0.05)
        assert it.login.gate is not None
        it.login.gate.set()
    error = "no access token: the token endpoint took more than 0.05 s"
    assert (outcome.reason, outcome.attempt.error_message) == (Reason.API_ERROR, error)


async def test_a_token_endpoint_that_is_not_there_or_at_a_metadata_address_is_named() -> None:
    for url in ("http://127.0.0.1:1/token", "http://[fd00:ec2::254]/token"):
        client = OAuthClient(url, "posstream", SECRET, None, "http://127.0.0.1:2/")
        outcome = await ask("http://127.0.0.1:2/", auth=client)
        assert (outcome.reason, outcome.retryable) == (Reason.API_ERROR, True)
        error = "no access token: cannot reach the token endpoint"
        assert (outcome.attempt.error_message or "").startswith(error)


async def test_tokens_go_to_their_own_origin_alone() -> None:
    other = Login()
    async with place() as it, serving(other.customer) as elsewhere:
        await attempt(it.made, elsewhere)
    assert (it.login.asked, other.shown) == ([], [None])


async def test_neither_token_nor_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with place() as it:
        outcome = await it.ask()
    assert json.loads(json.dumps(outcome.attempt.response_data))["echo"] == "Bearer ***"
    for secret in ("token-number", SECRET):
        assert secret not in f"{outcome!r}{caplog.text}"


async def test_a_refused_token_that_was_replaced_meanwhile_is_no_loss() -> None:
    async with place() as it:
        await it.ask()
        tokens = it.made._tokens
        assert isinstance(tokens, OAuthTokens)
        tokens.refused(Credentials("Bearer token-number-0", it.endpoint))
        await it.ask()
    assert len(it.login.asked) == 1


@pytest.fixture(autouse=True)
def _quiet_tls() -> Iterator[None]:
    """A server logs a client that does not trust it."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("asyncio").setLevel(logging.NOTSET)
