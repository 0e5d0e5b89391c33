"""One running web view for a test, on fakes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.breaker_control import breaker_control
from agents.customer_lookup.directory.trial import DirectoryTrial
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.lookup_ports import LookupPorts
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.configuration.configurations import Configurations
from posstream.fleet.controls import Controls
from posstream.fleet.fleet import Fleet
from posstream.kafka.event_feed import EventFeed
from posstream.metrics import Metrics
from posstream.plugin import Built, Control, Plugin
from posstream.plugins.status import PluginState, PluginStatus
from posstream.resilience.breaker import Breaker
from posstream.resilience.clock import Clock
from posstream.settings import Settings
from tests.component.configuration_fakes import FakeStore, FakeTopic, live_configuration, live_rules
from tests.component.fakes import (
    FakeDeadLetterBox,
    FakeDirectory,
    FakeErasure,
    FakeHealth,
    FakePublisher,
    FakeReadModel,
    FakeTopicSurvey,
    FixedClock,
    john,
)
from web.console.live import BEAT_SECONDS
from web.graphql.execution import QUERY_SECONDS
from web.graphql.graphiql import GraphiQL
from web.graphql.schema import Schema
from web.plugin_parts import PluginParts, plugin_parts
from web.server import create_web


@cache
def lookup_parts() -> PluginParts:
    """The parts of the customer lookup. Web views of one process may share them."""
    return plugin_parts([PLUGIN])


def schema() -> Schema:
    """The schema of the platform and the customer lookup."""
    return lookup_parts().schema


def flowing_answers() -> EventFeed:
    """A feed whose topics are being read: a test says what is on them by `take`."""
    feed = EventFeed(FixedClock(), what="answer topics")
    feed.begin()
    return feed


class BrokenSubscription:
    """Stands, and then fails."""

    def __aiter__(self) -> "BrokenSubscription":
        return self

    async def __anext__(self) -> object:
        raise RuntimeError("no such socket: 10.0.0.1")

    async def aclose(self) -> None:
        pass


@dataclass
class WebView:
    """A client, and the fakes behind the server it talks to."""

    client: Any = None
    read_model: FakeReadModel = field(
        default_factory=lambda: FakeReadModel(customers={"CUST_001": john()})
    )
    publisher: FakePublisher = field(default_factory=FakePublisher)
    health: FakeHealth = field(default_factory=FakeHealth)
    metrics: Metrics = field(default_factory=lambda: Metrics([PLUGIN]))
    answers: EventFeed = field(default_factory=flowing_answers)
    store: FakeStore = field(default_factory=FakeStore)
    topic: FakeTopic = field(default_factory=FakeTopic)
    #: Whether there is another plugin with a configuration, `rules`.
    two_plugins: bool = False
    rules_store: FakeStore = field(default_factory=FakeStore)
    rules_topic: FakeTopic = field(default_factory=FakeTopic)
    dead_letters: FakeDeadLetterBox = field(default_factory=FakeDeadLetterBox)
    breaker: Breaker = field(default_factory=lambda: Breaker(FixedClock()))

    #: What an endpoint that is tried by hand answers.
    directory: FakeDirectory = field(default_factory=FakeDirectory)
    #: The plugins on this worker, as the supervisor tells of them.
    statuses: dict[str, PluginStatus] = field(default_factory=dict)
    #: Plugins whose part could not be made.
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        live = live_configuration(self.store, self.topic)
        rules = live_rules(self.rules_store, self.rules_topic)
        lives = [live, rules] if self.two_plugins else [live]
        self.configurations = Configurations(lives, default="customer_lookup")
        self.erasure = FakeErasure(self.publisher)
        self.lookup_metrics = LookupMetrics(self.metrics.of(PLUGIN))
        self.fleet = Fleet(FixedClock())
        self.topics = FakeTopicSurvey()
        self.controls = Controls(
            lambda: {name: it.built for name, it in self.statuses.items() if it.built},
            publish=self.publisher.publish,
            clock=FixedClock(),
        )
        self.drills = OutageDrills(
            publish=self.publisher.publish, clock=FixedClock(), metrics=self.lookup_metrics
        )

    def runs(self, name: str, ports: Any = None, controls: Sequence[Control] = ()) -> None:
        """A plugin runs from now on."""
        built = Built(ports=ports, controls=tuple(controls))
        self.statuses[name] = PluginStatus(name=name, state=PluginState.RUNNING, built=built)

    def fails(self, name: str, reason: str) -> None:
        """A plugin has failed from now on."""
        self.statuses[name] = PluginStatus(name=name, state=PluginState.FAILED, reason=reason)

    async def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        response = await self.post({"query": query, "variables": variables})
        assert response.status == 200
        return await response.json()

    async def post(self, document: Any, **headers: str) -> ClientResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/graphql/", json=document, headers=sent)


def application_of(
    view: WebView,
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    graphiql: GraphiQL | None = None,
    read_model: SqlReadModel | None = None,
    plugins: Sequence[Plugin] = (),
    query_seconds: float = QUERY_SECONDS,
    beat_seconds: float = BEAT_SECONDS,
) -> Application:
    """The application on the fakes of a view, not yet served, with more plugins if some are given.

    All of them run.
    """
    ports = LookupPorts(
        read_model=read_model or view.read_model,
        publisher=view.publisher,
        answers=view.answers,
        breaker=lambda: ("http://directory/", view.breaker),
        drills=view.drills,
        directory_trial=DirectoryTrial(view.directory, card_guard=True),
    )
    view.runs(PLUGIN.name, ports, [breaker_control(ports.breaker)])
    for plugin in plugins:
        view.runs(plugin.name)
    web = create_web(
        settings=settings or Settings(),
        plugins=[PLUGIN, *plugins],
        parts=plugin_parts([PLUGIN, *plugins]) if plugins else lookup_parts(),
        statuses=lambda: view.statuses,
        clock=clock or FixedClock(),
        health=view.health,
        metrics=view.metrics,
        configurations=view.configurations,
        forgetting=view.erasure.forgetting(),
        dead_letters=view.dead_letters,
        fleet=view.fleet,
        controls=view.controls,
        topics=view.topics,
        graphiql=graphiql,
        query_seconds=query_seconds,
        beat_seconds=beat_seconds,
    )
    view.failures |= web.failures
    return web.application


@asynccontextmanager
async def running_web(
    settings: Settings | None = None, *, two_plugins: bool = False, **options: Any
) -> AsyncIterator[WebView]:
    """A served view and its client; the options are those of `application_of`."""
    view = WebView(two_plugins=two_plugins)
    async with TestClient(TestServer(application_of(view, settings, **options))) as client:
        view.client = client
        yield view
