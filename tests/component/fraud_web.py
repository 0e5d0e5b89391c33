"""A running web view with the customer lookup and fraud detection, on SQLite."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from agents.fraud_detection import PLUGIN
from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.fraud_ports import FraudPorts
from agents.fraud_detection.preview import Previewed, PreviewRefused
from agents.fraud_detection.read_model.projection import FraudProjection
from agents.fraud_detection.read_model.queries import FraudAlerts
from agents.fraud_detection.topics import VERDICTS
from posstream.kafka.event_feed import EventFeed
from posstream.plugin import Plugin
from posstream.read_model.migrate import upgrade
from posstream.read_model.projection import ProjectedEvent
from posstream.settings import Settings
from tests.component.configuration_fakes import FakeStore, FakeTopic, live_configuration_of
from tests.component.fakes import FixedClock
from tests.component.sql_web import SqlWebView, running_sql_web


@dataclass
class FakePreview:
    """Answers what it is told to, and notes what it was asked."""

    answer: Previewed | PreviewRefused = field(default_factory=lambda: Previewed(0))
    asked: list[tuple[Mapping[str, Any], int]] = field(default_factory=list)

    async def __call__(self, rule: Mapping[str, Any], hours: int) -> Previewed | PreviewRefused:
        self.asked.append((rule, hours))
        return self.answer


@dataclass
class FraudWeb:
    """A served view, and what is behind fraud detection in it."""

    view: SqlWebView
    raised: EventFeed
    preview: FakePreview = field(default_factory=FakePreview)
    store: FakeStore = field(default_factory=FakeStore)
    topic: FakeTopic = field(default_factory=FakeTopic)

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of an operation without errors."""
        answer = await self.view.web.graphql(query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def project(self, *events: ProjectedEvent) -> None:
        await FraudProjection(self.view.engine).apply(events)

    async def project_published(self) -> None:
        """Let SQL have the verdicts that were published."""
        await self.project(
            *(
                ProjectedEvent(VERDICTS, record.value, 0, 1, record.key)
                for record in self.view.web.publisher.records
                if record.topic == VERDICTS
            )
        )

    def publish(self, event: Mapping[str, Any]) -> None:
        """An alert is published by some worker."""
        self.raised.take(event["alert_id"].encode(), orjson.dumps(event))


@asynccontextmanager
async def running_fraud_web(
    folder: Path, settings: Settings | None = None, beside: Sequence[Plugin] = (), **options: Any
) -> AsyncIterator[FraudWeb]:
    """The options are those of `application_of`, and plugins beside fraud detection."""
    plugins = [*beside, PLUGIN]
    async with running_sql_web(folder, settings, plugins=plugins, **options) as view:
        assert view.web.failures == {}
        assert await upgrade(view.engine, plugins) == {}
        raised = EventFeed(FixedClock(), what="alerts")
        raised.begin()
        web = FraudWeb(view, raised)
        view.web.configurations[PLUGIN.name] = live_configuration_of(
            PLUGIN.name, FraudConfiguration(), web.store, web.topic
        )
        ports = FraudPorts(
            alerts=FraudAlerts(view.readers),
            publisher=view.web.publisher,
            raised=raised,
            preview=web.preview,
        )
        view.web.runs(PLUGIN.name, ports)
        yield web
