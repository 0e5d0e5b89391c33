"""The breaker over GraphQL, and the command that uses it."""

from collections.abc import AsyncIterator

import pytest

from agents.customer_lookup.commands.breaker import breaker
from posstream.domain.errors import WorkerUnreachable
from posstream.settings import Settings
from tests.component.web_client import WebView, running_web
from tests.integration.harness import free_port

KEY = "0123456789abcdef"


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web(Settings(api_key=KEY)) as view:
        yield view


def settings_for(web: WebView, api_key: str | None = KEY) -> Settings:
    return Settings(web_port=web.client.server.port, api_key=api_key)


async def test_the_breaker_is_shown_and_worked_by_hand(
    web: WebView, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [
        (None, "closed: http://directory/"),
        ("open", "open (held by hand): http://directory/"),
        (None, "open (held by hand): http://directory/"),
        ("close", "closed (held by hand): http://directory/"),
        ("reset", "closed: http://directory/"),
    ]
    for action, line in steps:
        assert await breaker(settings_for(web), action) == 0
        assert capsys.readouterr().out.strip() == line
    assert web.breaker.admits


async def test_a_wrong_key_and_a_missing_worker_are_told(web: WebView) -> None:
    with pytest.raises(WorkerUnreachable, match="POSSTREAM_API_KEY"):
        await breaker(settings_for(web, api_key=None), None)
    with pytest.raises(WorkerUnreachable, match="POSSTREAM_WEB_PORT"):
        await breaker(Settings(web_port=free_port()), None)
