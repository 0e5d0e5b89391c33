"""One running web view for a test, on fakes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from posstream.metrics import Metrics
from posstream.resilience.breaker import Breaker
from posstream.settings import Settings
from tests.component.configuration_fakes import FakeStore, FakeTopic, live_configuration
from tests.component.fakes import FakeHealth, FakePublisher, FakeReadModel, FixedClock, john
from web.server import create_web


@dataclass
class WebView:
    """A client, and the fakes behind the server it talks to."""

    client: Any = None
    read_model: FakeReadModel = field(
        default_factory=lambda: FakeReadModel(customers={"CUST_001": john()})
    )
    publisher: FakePublisher = field(default_factory=FakePublisher)
    health: FakeHealth = field(default_factory=FakeHealth)
    metrics: Metrics = field(default_factory=Metrics)
    store: FakeStore = field(default_factory=FakeStore)
    topic: FakeTopic = field(default_factory=FakeTopic)
    breaker: Breaker = field(default_factory=lambda: Breaker(FixedClock()))

    async def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        response = await self.post({"query": query, "variables": variables})
        assert response.status == 200
        return await response.json()

    async def post(self, document: Any, **headers: str) -> ClientResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/graphql/", json=document, headers=sent)


@asynccontextmanager
async def running_web(settings: Settings | None = None) -> AsyncIterator[WebView]:
    view = WebView()
    application = create_web(
        settings=settings or Settings(),
        read_model=view.read_model,
        publisher=view.publisher,
        clock=FixedClock(),
        health=view.health,
        registry=view.metrics.registry,
        configuration=live_configuration(view.store, view.topic),
        breaker=lambda: ("http://directory/", view.breaker),
    )
    async with TestClient(TestServer(application)) as client:
        view.client = client
        yield view
