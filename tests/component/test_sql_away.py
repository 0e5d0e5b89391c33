"""The console and GraphQL while PostgreSQL is stopped, or hangs, and once it is back."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from posstream.logs.noise import Noise
from tests.component.fraud_web import FraudWeb
from tests.component.sql_databases import SERVER
from tests.component.whole_web import pages_of, running_whole_web
from tests.servers import postgres
from tests.servers.needed import need

pytestmark = pytest.mark.skipif(not SERVER, reason="the SQL suite runs without PostgreSQL")

BROWSER = {"Accept": "text/html"}
#: How long anybody waits for a page at most.
PATIENCE_SECONDS = 20
QUERY = '{ customer(customerId: "CUST_001") { tier } }'


@asynccontextmanager
async def whole_on_postgres(folder: Path) -> AsyncIterator[tuple[FraudWeb, postgres.Server]]:
    need(postgres)
    with postgres.server() as server:
        await server.ready()
        async with running_whole_web(folder, database=server.url) as whole:
            yield whole, server
            if server.running:
                server.resume()


async def status_of(whole: FraudWeb, path: str) -> int:
    async with asyncio.timeout(PATIENCE_SECONDS):
        response = await whole.view.web.client.get(path, headers=BROWSER)
        text = await response.text()
    assert response.content_type == "text/html", path
    assert ("<h1>The database is away</h1>" in text) == (response.status == 503), path
    return int(response.status)


async def test_every_page_says_that_a_stopped_postgresql_is_away_once_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    noise = Noise(time.monotonic)
    caplog.handler.addFilter(noise)
    request.addfinalizer(lambda: caplog.handler.removeFilter(noise))  # it is that of all tests
    async with whole_on_postgres(tmp_path) as (whole, server):
        paths = list(pages_of(whole.view.web.client.server.app))
        before = {path: await status_of(whole, path) for path in paths}
        assert 503 not in before.values()
        await server.stop()
        with caplog.at_level(logging.WARNING):
            while_away = {path: await status_of(whole, path) for path in paths}
            answer = await whole.view.web.graphql(QUERY)
        assert [it["extensions"]["code"] for it in answer["errors"]] == ["DATABASE_AWAY"]
        assert {"/lookups", "/customers", "/fraud/alerts", "/till-baskets"} <= {
            path for path, status in while_away.items() if status == 503
        }
        assert {while_away[it] for it in ("/", "/configuration", "/try", "/dead-letters")} == {200}
        assert set(while_away.values()) <= {200, 404, 503}
        assert "Traceback" not in caplog.text
        assert caplog.text.count("the database is away") == 1
        server.start()
        await server.ready()
        assert {path: await status_of(whole, path) for path in paths} == before


async def test_a_postgresql_that_hangs_keeps_nobody_waiting_for_long(tmp_path: Path) -> None:
    async with whole_on_postgres(tmp_path) as (whole, server):
        server.pause()
        assert await status_of(whole, "/") == 200
        assert await status_of(whole, "/lookups") == 503
        server.resume()
        assert await status_of(whole, "/lookups") == 200
