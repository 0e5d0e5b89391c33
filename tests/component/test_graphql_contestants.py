"""The peers of the GraphQL benchmark answer what posstream answers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.queries import SqlReadModel
from benchmarks.contestants import aiohttp_sql
from benchmarks.graphql_queries import PATH, QUERIES
from benchmarks.graphql_rows import LOOKUPS, fill
from posstream.read_model.engine import create_engine
from posstream.read_model.reading import create_reading_engine
from posstream.resilience.clock import Clock
from tests.component.web_client import WebView, running_web

#: Enough for a page of one tier and one customer more.
CUSTOMERS = 100


@pytest.fixture
async def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/posstream.db"
    await fill(url, CUSTOMERS)
    return url


@pytest.fixture
async def readers(url: str) -> AsyncIterator[AsyncEngine]:
    readers = create_reading_engine(create_engine(url))
    yield readers
    await readers.dispose()


@pytest.fixture
async def web(readers: AsyncEngine) -> AsyncIterator[WebView]:
    async with running_web(clock=Clock(), read_model=SqlReadModel(readers)) as web:
        yield web


async def answer(web: WebView, title: str) -> Any:
    query = QUERIES[title]
    return await web.graphql(query.text, **query.variables)


@pytest.mark.parametrize("title", QUERIES)
async def test_sql_by_hand_answers_as_posstream(title: str, url: str, web: WebView) -> None:
    async with TestClient(TestServer(await aiohttp_sql.application(url))) as peer:
        response = await peer.post(PATH, data=QUERIES[title].body)
        assert await response.json() == await answer(web, title)


@pytest.mark.parametrize("title", QUERIES)
async def test_strawberry_answers_as_posstream(
    title: str, readers: AsyncEngine, web: WebView
) -> None:
    strawberry = pytest.importorskip("strawberry", reason="a peer of make bench")
    from benchmarks.contestants.strawberry_fastapi import query

    asked = QUERIES[title]
    schema = strawberry.Schema(query(SqlReadModel(readers)))
    result = await schema.execute(asked.text, variable_values=asked.variables)
    assert {"data": result.data} == await answer(web, title)


async def test_there_is_something_to_answer(web: WebView) -> None:
    one, by_identifier, of_tier, with_identifiers, counted = [
        (await answer(web, title))["data"] for title in QUERIES
    ]
    assert one["customer"]["firstName"] == by_identifier["customerByIdentifier"]["firstName"]
    assert len(of_tier["customers"]["edges"]) == 20
    assert of_tier["customers"]["pageInfo"] == {"hasNextPage": True}
    for edge in with_identifiers["customers"]["edges"]:
        assert len(edge["node"]["identifiers"]) == 2
    assert counted["lookupStats"]["lookups"] == LOOKUPS
