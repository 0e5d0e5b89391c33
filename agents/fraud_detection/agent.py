"""The agent: gives each till event to its groups, and judges each group by the rules.

A till event is written once for each grouping that a rule uses, keyed by the group, so that a group
is judged on one worker, in one order. All of it happens as the events are fetched (see `lanes`). An
event is finished once the broker has the table's changelog and what was told.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec
from faust.types import TP

from agents.fraud_detection import topics
from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.engine.facts import facts_of, grouped, is_too_late
from agents.fraud_detection.engine.group_key import group_key
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.events.inputs import TillEvent
from agents.fraud_detection.judge import Judge
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.json.undecodable import UNDECODABLE
from posstream.kafka.record import Record
from posstream.metrics import PluginMetrics
from posstream.resilience.clock import Clock
from posstream.streaming.lists.lanes import Event
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.lists.refused import RefusedEvents
from posstream.tracing.context import traceparent, with_context
from tables.partitioned import PartitionedTable, home

#: An event takes some 60 us, and no till waits for this process.
_AT_ONCE: Final = 300
#: An event that is this old when it is read has waited, perhaps behind others.
_LATE_MS: Final = 1_000
#: How long the agent counts as busy after it.
_BUSY_SECONDS: Final = 1.0
_till_event: Final = msgspec.json.Decoder(TillEvent).decode
_observation: Final = msgspec.msgpack.Decoder(Observation).decode


@dataclass(eq=False, kw_only=True)
class FraudAgent:
    """Judges what happens at tills. One per app; see `lanes.Answering`."""

    writes: ClassVar[Sequence[str]] = (topics.GROUPED, topics.FRAUD_ALERT_RAISED, topics.EPISODES)

    app: Any
    table: PartitionedTable
    judge: Judge
    rules: CurrentRules
    clock: Clock
    metrics: PluginMetrics

    def __post_init__(self) -> None:
        self._busy_until = 0.0
        self._refused = RefusedEvents(self.app)
        # What is grouped is judged before more is grouped: alerts do not wait for a backlog.
        self.app.answer_lists(topics.CONSUMED, self, at_once=_AT_ONCE, first=(topics.GROUPED,))

    def answer(
        self, tp: TP, records: Sequence[Any], outbox: Outbox
    ) -> Iterator[tuple[Any, Exception]]:
        """Group or judge events; yield those that cannot be read, with the reason."""
        if self._has_backlog(tp, records[-1]):
            self._busy_until = self.clock.monotonic() + _BUSY_SECONDS
        if tp.topic == topics.GROUPED:
            yield from self.judge.judge(tp.partition, records, outbox)
            return
        counts: Counter[str] = Counter()
        for record in records:
            try:
                counts[self._group(record, outbox)] += 1
            except Exception as why:  # noqa: BLE001 - no event may hold up those behind it
                yield record, why
        for outcome, count in counts.items():
            self.metrics["fraud_events"].labels(outcome).inc(count)

    def _has_backlog(self, tp: TP, last: Any) -> bool:
        """Whether late events wait behind the last one of a list.

        Its age alone does not say so: it also grows if this machine's clock is ahead of the
        broker's.
        """
        if last.timestamp >= self.clock.now_ms() - _LATE_MS:
            return False
        end = self.app.consumer.highwater(tp)
        return end is not None and last.offset + 1 < end

    def begin(self, event: Event, what: Exception) -> None:
        """Set aside an event that cannot be judged, or leave it unfinished for later."""
        self._refused.begin(event, what)

    async def kept(self) -> None:
        """Wait until the broker has the changes of the table."""
        await self.table.flush()

    @property
    def is_behind(self) -> bool:
        """Whether events wait to be grouped or judged."""
        return self.clock.monotonic() < self._busy_until

    def _group(self, record: Any, outbox: Outbox) -> str:
        """Write an event once for each of its groups; returns the outcome for the metric."""
        try:
            event = _till_event(record.value or b"")
        except UNDECODABLE as why:
            raise UnreadableEvent(
                DeadLetterReason.INVALID_FIELD, f"not a till event that posstream wrote: {why}"
            ) from None
        known = facts_of(event)
        if is_too_late(known, self.rules.lateness_ms):
            return "too_late"
        headers = with_context((), traceparent(record.headers))
        for plan in self.rules.plan.using(known.event_type):
            for group, observation in grouped(plan, known):
                outbox.add(self._grouped(group, observation, headers))
        return "grouped"

    def _grouped(
        self, group: Mapping[str, str], it: Observation, headers: list[tuple[str, bytes]]
    ) -> Record:
        """An observation for its group."""
        key = group_key(group)
        value, partition = msgspec.msgpack.encode(it), home(key, self.table.partitions)
        return Record(topics.GROUPED, key.encode(), value, headers, partition=partition)
