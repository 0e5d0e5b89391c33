"""The agent of fraud detection with its surroundings in memory: till events in, alerts out."""

from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import orjson
from faust.types import TP
from prometheus_client import CollectorRegistry

from agents.fraud_detection import topics
from agents.fraud_detection.agent import FraudAgent
from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.judge import Judge
from agents.fraud_detection.metrics import METRICS
from agents.fraud_detection.past_events import Slice
from agents.fraud_detection.reading_back import ReadingBack
from agents.fraud_detection.rules.rule import Rule
from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.version import ConfigurationVersion
from posstream.domain.times import iso_utc_ms
from posstream.forgetting.marks import Marks
from posstream.kafka.record import Record
from posstream.metrics import register
from tests.component.basket_fakes import KeptBaskets
from tests.component.fakes import FakePublisher
from tests.component.list_fakes import Fetched
from tests.manual_clock import ManualClock


class KeptObservations(KeptBaskets):
    """The table of observations."""

    def __init__(self) -> None:
        super().__init__()
        self.source = topics.GROUPED
        #: What each of the next flushes raises.
        self.flush_errors: list[Exception | None] = []

    async def flush(self) -> None:
        await super().flush()
        error = self.flush_errors.pop(0) if self.flush_errors else None
        if error is not None:
            raise error


class House:
    """An agent on a table. What it groups is judged at once, as if it came back from the topic."""

    def __init__(
        self,
        *rules: Rule,
        table: KeptObservations | None = None,
        clock: ManualClock | None = None,
        **keys: Any,
    ) -> None:
        self.clock = clock or ManualClock()
        self.table = table or KeptObservations()
        self.registry = CollectorRegistry()
        self.metrics = register(METRICS, self.registry)
        self.configuration = CurrentConfiguration(FraudConfiguration(rules=list(rules), **keys))
        self.rules = CurrentRules(self.configuration, self.clock)  # type: ignore[arg-type]
        judge = Judge(
            table=self.table,  # type: ignore[arg-type]
            rules=self.rules,
            clock=self.clock,  # type: ignore[arg-type]
            metrics=self.metrics,
        )
        self.agent = FraudAgent(
            app=SimpleNamespace(
                answer_lists=lambda *_, **__: None,
                consumer=SimpleNamespace(highwater=lambda _: self.end),
            ),
            table=self.table,  # type: ignore[arg-type]
            judge=judge,
            rules=self.rules,
            clock=self.clock,  # type: ignore[arg-type]
            metrics=self.metrics,
        )
        self.records: list[Record] = []
        self.refused: list[Exception] = []
        #: Every till event so far, as the topic has them.
        self.past: list[bytes] = []
        #: Up to when the topic has lost its events, in ms since 1970.
        self.oldest_ms = 0
        self.generation = 1
        #: How long ago the broker got what is given, as far as this machine's clock says.
        self.age_ms = 0
        #: The end of each partition, as the last fetch told it.
        self.end: int | None = None
        self._offset = 0

    def add(self, record: Record) -> None:
        """What the outbox does."""
        self.records.append(record)

    def give(self, topic: str, partition: int, value: bytes, key: bytes | None = None) -> None:
        """Let the agent read one message."""
        if topic == topics.TILL_EVENTS:
            self.past.append(value)
        written_ms = self.clock.now_ms() - self.age_ms
        record = Fetched(self._offset, value, key=key, timestamp=written_ms)
        self._offset += 1
        refused = self.agent.answer(TP(topic, partition), [record], self)  # type: ignore[arg-type]
        self.refused += [why for _, why in refused]

    def give_list(self, grouped: Sequence[Record]) -> None:
        """Let the agent read what it grouped, of one partition, in one list."""
        (partition,) = {it.partition for it in grouped}
        records = [
            Fetched(self._offset + number, it.value or b"", it.key, self.clock.now_ms())
            for number, it in enumerate(grouped)
        ]
        self._offset += len(records)
        tp = TP(topics.GROUPED, partition)
        self.refused += [why for _, why in self.agent.answer(tp, records, self)]  # type: ignore[arg-type]

    def happen(self, *events: bytes) -> list[dict[str, Any]]:
        """Let till events happen; the alerts that are published."""
        for event in events:
            self.give(topics.TILL_EVENTS, 0, event)
            self.judge(self.take(topics.GROUPED))
        return [orjson.loads(it.value or b"") for it in self.take(topics.FRAUD_ALERT_RAISED)]

    def judge(self, grouped: Sequence[Record]) -> None:
        """Let the agent read what it grouped."""
        for it in grouped:
            assert it.partition is not None
            self.give(topics.GROUPED, it.partition, it.value or b"", it.key)

    def take(self, topic: str) -> list[Record]:
        """What was written to a topic since the last time."""
        taken = [it for it in self.records if it.topic == topic]
        self.records = [it for it in self.records if it.topic != topic]
        return taken

    def episodes(self) -> list[dict[str, Any]]:
        return [orjson.loads(it.value or b"") for it in self.take(topics.EPISODES)]

    def edit(self, *rules: Rule, enabled: bool = True, **keys: Any) -> None:
        """Put other rules in force."""
        version = self.configuration.in_force.version + 1
        config = {"rules": msgspec.to_builtins(rules), **keys}
        self.configuration.put_in_force(
            ConfigurationVersion(version=version, config=config, enabled=enabled)
        )

    def again(self) -> "House":
        """Another worker with the same table, 2 s after a crash of this one."""
        other = House(*self.configuration.defaults.rules, table=self.table, clock=self.clock)
        other.past = self.past
        if self.configuration.in_force.version:
            other.configuration.put_in_force(self.configuration.in_force)
        self.clock.advance(2)
        return other

    async def read_back(
        self,
        marks: Marks | None = None,
        *,
        meanwhile: Callable[[], object] = lambda: None,
        error: Exception | None = None,
    ) -> list[dict[str, Any]]:
        """Let the worker look for rules that miss events; the alerts that come of it.

        Args:
            marks: who was forgotten.
            meanwhile: happens after the second event.
            error: what the broker says to everything that is published.
        """
        publisher = FakePublisher(error=error)

        async def past(_: int) -> AsyncIterator[Slice]:
            for number, value in enumerate(list(self.past), 1):
                yield Slice([value], 99 * number // len(self.past), self.oldest_ms)
                if number == 2:
                    meanwhile()

        reading = ReadingBack(
            past=past,
            judge=self.agent.judge,
            is_behind=lambda: self.agent.is_behind,
            table=self.table,  # type: ignore[arg-type]
            rules=self.rules,
            marks=lambda: marks or Marks(),
            publisher=publisher,
            clock=self.clock,  # type: ignore[arg-type]
            generation=lambda: self.generation,
        )
        try:
            await reading.look()
        finally:
            self.records += publisher.records
        return [orjson.loads(it.value or b"") for it in self.take(topics.FRAUD_ALERT_RAISED)]

    def percents(self) -> list[int]:
        """How much was read back, as it was told, of whichever rule and partition."""
        return [it["percent"] for it in self.episodes() if "percent" in it]

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"posstream_{name}", labels) or 0.0


def event(
    event_id: str,
    second: float,
    event_type: str = "PAYMENT_COMPLETED",
    *,
    basket: dict[str, Any] | None = None,
    revision: int = 1,
    written: float | None = None,
    **fields: str,
) -> bytes:
    """A till event as the baskets tell it: a payment of 10.00 by employee 7 at t1."""
    given = {"amount": "10.00", "employee_id": "7", "terminal_id": "t1", **fields}
    context = {"started_at": at(0), "items": 1, "total": "10.00", "paid": "0.00", **(basket or {})}
    return orjson.dumps(
        {
            "event_id": event_id,
            "event_type": event_type,
            "occurred_at": at(second),
            "written_at": at(second if written is None else written),
            "basket_id": "b1",
            "revision": revision,
            "fields": given,
            "basket": context,
        }
    )


def at(second: float) -> str:
    """A time of the test's day."""
    return iso_utc_ms(round((1_769_846_400 + second) * 1000))
