"""The agent: gives each till event to its groups, and judges each group by the rules.

A till event is written once for each grouping that a rule uses, keyed by the group, so that a group
is judged on one worker, in one order. All of it happens as the events are fetched (see `lanes`). An
event is finished once the broker has the table's changelog and what was told.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import msgspec
from faust.types import TP

from agents.fraud_detection import topics
from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.engine.facts import facts_of, grouped, is_too_late
from agents.fraud_detection.engine.group_key import group_key, group_of, segment_key
from agents.fraud_detection.engine.judged import Grown, Judged, Outcome, Put, Raised
from agents.fraud_detection.engine.judging import Group, Since
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.events.inputs import TillEvent
from agents.fraud_detection.events.writing import (
    alert_of,
    alert_record,
    episode_record,
    hits_record,
)
from agents.fraud_detection.held import Held, HeldGroups
from agents.fraud_detection.reading import Reading
from agents.fraud_detection.recording import Recording
from agents.fraud_detection.rules.compiled import CompiledRule
from agents.fraud_detection.rules.rule import RuleState
from posstream.domain.errors import DeadLetterReason, TakesNothingNow, UnreadableEvent
from posstream.json.undecodable import UNDECODABLE
from posstream.kafka.record import Record
from posstream.metrics import PluginMetrics
from posstream.resilience.clock import Clock
from posstream.streaming.lists.lanes import Event
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.lists.refused import RefusedEvents
from posstream.tracing.context import traceparent, with_context
from tables.partitioned import PartitionedTable, TablePartition, home

#: An event takes some 100 us.
_AT_ONCE: Final = 100
#: An event that is this old when it is read has waited, perhaps behind others.
_LATE_MS: Final = 1_000
#: How long the agent counts as busy after it.
_BUSY_SECONDS: Final = 1.0
_till_event: Final = msgspec.json.Decoder(TillEvent).decode
_observation: Final = msgspec.msgpack.Decoder(Observation).decode


#: By the key of a group, that of a rule, and the event that triggered an alert.
_AllGrown = dict[tuple[str, str, str], Grown]


@dataclass(eq=False, kw_only=True)
class FraudAgent:
    """Judges what happens at tills. One per app; see `lanes.Answering`."""

    writes: ClassVar[Sequence[str]] = (topics.GROUPED, topics.FRAUD_ALERT_RAISED, topics.EPISODES)

    app: Any
    table: PartitionedTable
    rules: CurrentRules
    clock: Clock
    metrics: PluginMetrics

    def __post_init__(self) -> None:
        self._parts = [TablePartition(self.table, it) for it in range(self.table.partitions)]
        self._recording = [Recording(it) for it in self._parts]
        self._held = HeldGroups()
        self._busy_until = 0.0
        #: Seconds for which each rule was judged, since they were noted last.
        self._spent: defaultdict[str, float] = defaultdict(float)
        #: By metric and label, what the list at hand has counted so far.
        self._counts: Counter[tuple[str, str]] = Counter()
        self._refused = RefusedEvents(self.app)
        # What is grouped is judged before more is grouped: alerts do not wait for a backlog.
        self.app.answer_lists(topics.CONSUMED, self, at_once=_AT_ONCE, first=(topics.GROUPED,))

    def answer(
        self, tp: TP, records: Sequence[Any], outbox: Outbox
    ) -> Iterator[tuple[Any, Exception]]:
        """Group or judge events; yield those that cannot be read, with the reason."""
        if self._has_backlog(tp, records[-1]):
            self._busy_until = self.clock.monotonic() + _BUSY_SECONDS
        grown: _AllGrown = {}
        for record in records:
            try:
                if tp.topic == topics.GROUPED:
                    self._judge(tp.partition, record, outbox, grown)
                else:
                    self._group(record, outbox)
            except Exception as why:  # noqa: BLE001 - no event may hold up those behind it
                yield record, why
        for (key, *_), hits in grown.items():
            outbox.add(hits_record(hits, key))
        for (metric, label), count in self._counts.items():
            self.metrics[metric].labels(label).inc(count)
        self._counts.clear()

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

    def forget_held(self) -> None:
        """Read groups anew: the table was changed beside the agent."""
        self._held = HeldGroups()

    def note_plan(self) -> None:
        """Note in the partitions at hand what they record from now on."""
        for part, recording in zip(self._parts, self._recording, strict=True):
            if part.at_hand:
                recording.follow(self.rules.plan, self.rules.lateness_ms, self.clock.now_ms())

    @property
    def is_behind(self) -> bool:
        """Whether events wait to be grouped or judged."""
        return self.clock.monotonic() < self._busy_until

    def has(self, number: int) -> bool:
        """Whether this worker has a partition, and may write it."""
        return self._parts[number].at_hand

    def unread(self, number: int) -> Sequence[tuple[CompiledRule, int]]:
        """The rules that miss past events in a partition; see `Recording.unread`."""
        if not self.has(number):
            return ()
        plan, now_ms = self.rules.plan, self.clock.now_ms()
        self._recording[number].follow(plan, self.rules.lateness_ms, now_ms)
        return self._recording[number].unread(plan, now_ms)

    def read_back(
        self, number: int, key: str, its: Sequence[Observation], reading: Reading
    ) -> None:
        """Keep past events of a group that were not recorded when they came.

        Raises:
            TakesNothingNow: if the partition moved away, or is frozen.
        """
        plan = self.rules.plan.by_grouping[tuple(sorted(group_of(key)))]
        held = self._held.take_out(number, key, self._parts[number])
        puts = held.group.read_back(
            its,
            plan,
            reading.back_to_ms,
            since=partial(self._recording[number].complete_from, plan),
            unread=reading.unread[number],
        )
        value = self._keep(self._parts[number], key, puts, held)
        self._held.put_back(number, key, Held(value, held.group))

    def judge_anew(
        self, number: int, key: str, reading: Reading, whole_from_ms: int
    ) -> Sequence[Record]:
        """Judge a group by the rules that missed events of it; what is to be told.

        Args:
            number: of the partition.
            key: of the group.
            reading: the one by which they have these events now.
            whole_from_ms: since when the windows of these rules are whole now.

        Raises:
            TakesNothingNow: as `read_back`.
        """
        part, group = self._parts[number], group_of(key)
        if part.read(key) is None:  # its customer was forgotten
            return ()
        plan = self.rules.plan.by_grouping[tuple(sorted(group))]
        since = partial(self._recording[number].complete_from, plan)
        held = self._held.take_out(number, key, part)
        judged = held.group.judge_anew(
            plan,
            since=since,
            unread=reading.unread[number],
            is_snoozed=lambda rule_id: self.rules.is_snoozed(rule_id, group),
        )
        self._hold_too_large(judged, plan.most_observations)
        value = self._keep(part, key, judged.puts, held)
        self._held.put_back(number, key, Held(value, held.group))
        return self._told(
            judged.raised, judged.outcome, key, lambda rule: min(since(rule), whole_from_ms)
        )

    def note_read(self, number: int, reading: Reading, from_ms: int, *, is_oldest: bool) -> None:
        """Note that a reading is over, in a partition; see `Recording.note_read`."""
        groupings = [self.rules.plan.by_grouping[it] for it in reading.groupings]
        self._recording[number].note_read(groupings, from_ms, reading.began_ms, is_oldest=is_oldest)

    def note_costs(self) -> None:
        """Count what the rules have cost since the last time, and hold those that cost too much."""
        spent, self._spent = self._spent, defaultdict(float)
        for rule_id, seconds in spent.items():
            self.metrics["fraud_rule_seconds"].labels(rule_id).inc(seconds)
            self.rules.budgets.note_cost(rule_id, seconds, self.rules.values.most_cpu_percent)

    def _group(self, record: Any, outbox: Outbox) -> None:
        """Write an event once for each of its groups."""
        try:
            event = _till_event(record.value or b"")
        except UNDECODABLE as why:
            raise UnreadableEvent(
                DeadLetterReason.INVALID_FIELD, f"not a till event that posstream wrote: {why}"
            ) from None
        known = facts_of(event)
        if is_too_late(known, self.rules.lateness_ms):
            self._counts["fraud_events", "too_late"] += 1
            return
        headers = with_context((), traceparent(record.headers))
        for plan in self.rules.plan.using(known.event_type):
            for group, observation in grouped(plan, known):
                outbox.add(self._grouped(group, observation, headers))
        self._counts["fraud_events", "grouped"] += 1

    def _grouped(
        self, group: Mapping[str, str], it: Observation, headers: list[tuple[str, bytes]]
    ) -> Record:
        """An observation for its group."""
        key = group_key(group)
        value, partition = msgspec.msgpack.encode(it), home(key, self.table.partitions)
        return Record(topics.GROUPED, key.encode(), value, headers, partition=partition)

    def _judge(self, partition: int, record: Any, outbox: Outbox, grown: _AllGrown) -> None:
        """Judge one observation of a group."""
        try:
            key, observation = record.key.decode(), _observation(record.value or b"")
            group = group_of(key)
        except (AttributeError, *UNDECODABLE):
            raise UnreadableEvent(
                DeadLetterReason.INVALID_FIELD, "not a record that posstream wrote"
            ) from None
        at_home = home(key, self.table.partitions)
        if at_home != partition:  # the topic was given partitions meanwhile
            value, headers = record.value, list(record.headers)
            outbox.add(Record(topics.GROUPED, record.key, value, headers, partition=at_home))
            return
        plan = self.rules.plan.by_grouping.get(tuple(sorted(group)))
        if plan is None:  # no rule is left that groups so
            self._counts["fraud_observations", "unused"] += 1
            return
        recording = self._recording[partition]
        recording.follow(self.rules.plan, self.rules.lateness_ms, observation.written_ms)
        recording.take(observation, plan)
        part = self._parts[partition]
        since = partial(recording.complete_from, plan)
        held = self._held.take_out(partition, key, part)
        judged = held.group.judge(
            observation,
            plan,
            self.rules.lateness_ms,
            since=since,
            is_snoozed=lambda rule_id: self.rules.is_snoozed(rule_id, group),
        )
        self._hold_too_large(judged, plan.most_observations)
        value = self._keep(part, key, judged.puts, held)
        raised, more = _told_whole(judged, held.group, observation.event_id)
        records = self._told(raised, judged.outcome, key, since, traceparent(record.headers))
        self._held.put_back(partition, key, Held(value, held.group))
        for rule_id, seconds in held.group.spent.items():
            self._spent[rule_id] += seconds
        held.group.spent.clear()
        for it in records:  # nothing is told that is not kept
            outbox.add(it)
        for one in more:  # an alert of a busy group grows many times in a list: it is told once
            grown[key, one.rule.key, one.triggered_by] = one
        self._counts["fraud_observations", judged.outcome.lower()] += 1

    def _hold_too_large(self, judged: Judged, most: int) -> None:
        for rule in judged.too_large:
            self.rules.budgets.note_size(rule.rule.id, most)

    def _keep(
        self, part: TablePartition, key: str, puts: Sequence[Put], held: Held
    ) -> bytes | None:
        """Write what changed; the head as the table has it then."""
        value = held.value
        for put in puts:
            at = key if put.segment is None else segment_key(key, put.segment)
            if put.value is None:
                part.remove(at)
                continue
            if not part.write(at, put.value):
                raise TakesNothingNow("a partition of the observations takes nothing now")
            if put.segment is None:
                value = put.value
        return value

    def _told(
        self,
        alerts: Sequence[Raised],
        outcome: Outcome,
        key: str,
        since: Since,
        trace: str | None = None,
    ) -> list[Record]:
        """The records of alerts."""
        told: list[Record] = []
        for raised in alerts:
            alert = alert_of(raised, key, group_of(key), complete_from_ms=since(raised.rule))
            # A repeated event may have come after a crash, which kept the state and lost the alert.
            is_told = raised.is_new or outcome is Outcome.REPEATED
            if is_told and raised.state is RuleState.ACTIVE and not raised.is_snoozed:
                told.append(alert_record(alert, self.clock.now_ms(), trace))
            told.append(episode_record(alert, raised))
            if raised.is_new:
                self._count(raised)
        return told

    def _count(self, raised: Raised) -> None:
        rule_id, is_active = raised.rule.rule.id, raised.state is RuleState.ACTIVE
        told = "snoozed" if raised.is_snoozed else "raised" if is_active else "shadow"
        self.metrics["fraud_alerts"].labels(rule_id, told).inc()
        self.rules.budgets.note_alert(rule_id, self.rules.values.most_alerts_per_hour)


def _told_whole(
    judged: Judged, group: Group, event_id: str
) -> tuple[Sequence[Raised], Sequence[Grown]]:
    """The alerts that an arrival makes to be told whole, and those that only have further hits.

    An alert shows its trigger, so it is told whole once its trigger has another revision.
    """
    if not judged.grown:  # most of the time
        return judged.raised, ()
    raised = list(judged.raised)
    known = {(it.rule.key, it.trigger.event_id) for it in raised}
    more = []
    for it in judged.grown:
        if (it.rule.key, it.triggered_by) in known:
            continue
        is_trigger = judged.outcome is Outcome.REVISED and it.triggered_by == event_id
        alert = group.alert(it.rule.key, it.triggered_by) if is_trigger else None
        if alert is None:
            more.append(it)
        else:
            raised.append(alert)
    return raised, more
