"""The access token that OAUTHBEARER shows: shared, renewed, and refused in so many words."""

import asyncio
import base64
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from posstream.kafka import bearer_tokens
from posstream.kafka.bearer_tokens import BearerTokens, NoBrokerToken
from posstream.kafka.security import BrokerSecurity
from posstream.streaming.patches.oauth import Authenticator
from tests.component.directory_server import serving

SECRET = "s3cret/with+signs"


@dataclass
class Endpoint:
    """Gives tokens with a number each, and keeps what it was asked."""

    expires_in: object = 300
    status: int = 200
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        form = {name: str(raw) for name, raw in (await request.post()).items()}
        self.asked.append((request.headers["Authorization"], form))
        if self.status != 200:
            return web.json_response(
                {"error": "invalid_client", "hint": SECRET}, status=self.status
            )
        token = {"access_token": f"token-{len(self.asked)}", "expires_in": self.expires_in}
        return web.json_response(token)


@contextlib.asynccontextmanager
async def tokens(endpoint: Endpoint, scope: str | None = None) -> AsyncIterator[BearerTokens]:
    async with serving(endpoint.answer) as url:
        yield BearerTokens(
            BrokerSecurity(
                tls=True,
                mechanism="OAUTHBEARER",
                username="posstream",
                password=SECRET,
                oauth_token_url=f"{url}?tenant=shop",
                oauth_scope=scope,
            )
        )


async def test_the_client_asks_by_its_id_and_secret() -> None:
    endpoint = Endpoint()
    async with tokens(endpoint, scope="kafka read") as provider:
        assert await provider.token() == "token-1"
    ((authorization, form),) = endpoint.asked
    raw = base64.b64decode(authorization.removeprefix("Basic "))
    assert raw == b"posstream:s3cret%2Fwith%2Bsigns"
    assert form == {"grant_type": "client_credentials", "scope": "kafka read"}


async def test_clients_of_several_event_loops_share_a_token() -> None:
    endpoint = Endpoint()
    shown: list[str] = []
    async with tokens(endpoint) as provider:
        others = [
            threading.Thread(target=lambda: shown.append(asyncio.run(provider.token())))
            for _ in range(3)
        ]
        for thread in others:
            thread.start()
        shown += await asyncio.gather(*(provider.token() for _ in range(3)))
        for thread in others:
            await asyncio.to_thread(thread.join)
    assert shown == ["token-1"] * 6
    assert len(endpoint.asked) == 1


async def test_a_token_is_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(bearer_tokens, "monotonic", lambda: now)
    async with tokens(Endpoint(expires_in="100")) as provider:
        assert await provider.token() == "token-1"
        now += 69
        assert await provider.token() == "token-1"
        now += 1
        assert await provider.token() == "token-2"


async def test_a_token_that_is_still_good_serves_while_the_endpoint_gives_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(bearer_tokens, "monotonic", lambda: now[0])
    endpoint = Endpoint()
    async with tokens(endpoint) as provider:
        assert await provider.token() == "token-1"
        endpoint.status = 500
        now[0] += 280
        assert [await provider.token() for _ in range(3)] == ["token-1"] * 3
        assert len(endpoint.asked) == 2, "the failure is shared"
        now[0] += 21
        with pytest.raises(NoBrokerToken):
            await provider.token()
        endpoint.status = 200
        assert await provider.token() == "token-4"


async def test_no_token_says_why_without_a_secret() -> None:
    async with tokens(Endpoint(status=401)) as provider:
        with pytest.raises(NoBrokerToken) as refused:
            await provider.token()
    assert refused.value.args == (
        "the token endpoint answered with HTTP status 401, invalid_client",
    )


async def test_an_endpoint_that_is_away_is_a_broker_that_is_away() -> None:
    async with tokens(Endpoint()) as provider:
        pass
    with pytest.raises(NoBrokerToken, match="cannot reach the token endpoint") as refused:
        await provider.token()
    assert refused.value.retriable


async def test_a_token_that_the_broker_refuses_is_acknowledged_to_hear_its_error() -> None:
    async with tokens(Endpoint()) as provider:
        authenticator = Authenticator(sasl_oauth_token_provider=provider)
        assert await authenticator.step(None) == (b"n,,\x01auth=Bearer token-1\x01\x01", True)
        assert await authenticator.step(b'{"status":"invalid_token"}') == (b"\x01", True)


async def test_a_token_that_the_broker_takes_ends_the_exchange() -> None:
    async with tokens(Endpoint()) as provider:
        authenticator = Authenticator(sasl_oauth_token_provider=provider)
        await authenticator.step(None)
        assert await authenticator.step(b"") is None
