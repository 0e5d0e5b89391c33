"""Judges the observations of groups, and stores the results in the table.

All observations of one group in a list are judged in their order and written once: in a backlog a
list has few groups. The groups of a list are written together.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from agents.fraud_detection import topics
from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.engine.group_key import group_of, segment_key
from agents.fraud_detection.engine.judged import Grown, Judged, Outcome, Put, Raised
from agents.fraud_detection.engine.judging import TIMED_ONE_IN, Group, Since
from agents.fraud_detection.engine.observation import Observation
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
from posstream.streaming.lists.outbox import Outbox
from posstream.tracing.context import traceparent
from tables.partitioned import PartitionedTable, TablePartition, home

_observation: Final = msgspec.msgpack.Decoder(Observation).decode

#: Refused records, each with the reason.
Refused = list[tuple[Any, Exception]]


class _Arrival(NamedTuple):
    """One observation of a list, and its record."""

    record: Any
    observation: Observation


@dataclass(slots=True)
class _List:
    """A list that is being judged."""

    partition: int
    outbox: Outbox
    refused: Refused = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    #: Alerts that got more hits, by the keys of group and rule, and the event that triggered them.
    #: The alert of a busy group gets hits many times in a list, and is told once.
    grown: dict[tuple[str, str, str], Grown] = field(default_factory=dict)


class _Verdict(NamedTuple):
    """The outcome of an arrival, to be told once it is stored."""

    record: Any
    outcome: Outcome
    #: Alerts that are told whole, and those that only got more hits.
    raised: Sequence[Raised]
    grown: Sequence[Grown]


class _Judged(NamedTuple):
    """A group that was judged in memory, and what is to be written and told of it."""

    key: str
    arrivals: Sequence[_Arrival]
    held: Held
    puts: Sequence[Put]
    verdicts: Sequence[_Verdict]

    @property
    def is_alerting(self) -> bool:
        """Whether an alert is new: it counts in the budget of its rule once it is told."""
        return any(raised.is_new for verdict in self.verdicts for raised in verdict.raised)


@dataclass(eq=False, kw_only=True)
class Judge:
    """Judges groups by the rules in force. One per app."""

    table: PartitionedTable
    rules: CurrentRules
    clock: Clock
    metrics: PluginMetrics

    def __post_init__(self) -> None:
        self._parts = [TablePartition(self.table, it) for it in range(self.table.partitions)]
        self._recording = [Recording(it) for it in self._parts]
        self._held = self._none_held()
        #: Measured seconds by rule, since the costs were last noted.
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._judged = 0

    def judge(self, partition: int, records: Sequence[Any], outbox: Outbox) -> Refused:
        """Judge a list of the topic of observations.

        Returns:
            the records that cannot be judged, or not now, in their order.
        """
        it = _List(partition, outbox)
        if groups := self._by_group(it, records):
            self._judge_groups(it, groups.items())
        for (key, *_), hits in it.grown.items():
            outbox.add(hits_record(hits, key))
        for outcome, count in it.counts.items():
            self.metrics["fraud_observations"].labels(outcome).inc(count)
        return sorted(it.refused, key=lambda each: each[0].offset)

    def forget_held(self) -> None:
        """Read all groups from the table again: something else changed it."""
        self._held = self._none_held()

    @property
    def observations_in_memory(self) -> int:
        """How many observations are in the groups in memory."""
        return self._held.observations

    def note_plan(self) -> None:
        """Note in this worker's partitions what they record from now on."""
        for part, recording in zip(self._parts, self._recording, strict=True):
            if part.at_hand:
                recording.follow(self.rules.plan, self.rules.lateness_ms, self.clock.now_ms())

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
        part = self._parts[number]
        held = self._held.take_out(number, key, part.read(key), part)
        held.group.read_back(
            its,
            plan,
            reading.back_to_ms,
            since=self._recording[number].complete_from,
            unread=reading.unread[number],
        )
        self._keep_one(number, key, held)

    def judge_anew(
        self, number: int, key: str, reading: Reading, whole_from_ms: int
    ) -> Sequence[Record]:
        """Judge a group by the rules that missed events of it; returns what is to be told.

        Args:
            number: the number of the partition.
            key: the key of the group.
            reading: the reading that brought these events.
            whole_from_ms: the time from which on the windows of these rules are whole now.

        Raises:
            TakesNothingNow: as `read_back`.
        """
        part, group = self._parts[number], group_of(key)
        value = part.read(key)
        if value is None:  # its customer was forgotten
            return ()
        plan = self.rules.plan.by_grouping[tuple(sorted(group))]
        since = self._recording[number].complete_from
        held = self._held.take_out(number, key, value, part)
        judged = held.group.judge_anew(
            plan,
            since=since,
            unread=reading.unread[number],
            is_snoozed=lambda rule_id: self.rules.is_snoozed(rule_id, group),
        )
        self._hold_too_large(judged, plan.most_observations)
        self._keep_one(number, key, held)
        return self._told(
            judged.raised, judged.outcome, key, lambda rule: min(since(rule), whole_from_ms)
        )

    def note_read(self, number: int, reading: Reading, from_ms: int, *, is_oldest: bool) -> None:
        """Note for a partition that a reading is over; see `Recording.note_read`."""
        groupings = [self.rules.plan.by_grouping[it] for it in reading.groupings]
        self._recording[number].note_read(groupings, from_ms, reading.began_ms, is_oldest=is_oldest)

    def note_costs(self) -> None:
        """Count what the rules have cost since the last time, and hold those that cost too much."""
        spent, self._spent = self._spent, defaultdict(float)
        for rule_id, seconds in spent.items():
            self.metrics["fraud_rule_seconds"].labels(rule_id).inc(seconds)
            self.rules.budgets.note_cost(rule_id, seconds, self.rules.values.most_cpu_percent)

    def _none_held(self) -> HeldGroups:
        return HeldGroups(
            lambda: self.rules.values.observations_in_memory, self.metrics["fraud_groups_read"].inc
        )

    def _by_group(self, list_: _List, records: Sequence[Any]) -> dict[str, list[_Arrival]]:
        """The observations of a list by the key of their group, if a rule uses that grouping."""
        plan = self.rules.plan
        found: dict[str, list[_Arrival]] = {}
        for record in records:
            try:
                key, it = _read(record)
                at_home = home(key, self.table.partitions)
                if at_home != list_.partition:  # the topic has got more partitions
                    list_.outbox.add(_moved(record, at_home))
                    continue
                grouping = plan.by_grouping.get(_grouping(key))
                if grouping is None:
                    list_.counts["unused"] += 1
                    continue
                recording = self._recording[list_.partition]
                if not found:
                    recording.follow(plan, self.rules.lateness_ms, it.written_ms)
                recording.take(it, grouping)
                found.setdefault(key, []).append(_Arrival(record, it))
            except Exception as why:  # noqa: BLE001 - no event may hold up those behind it
                list_.refused.append((record, why))
        return found

    def _judge_groups(self, list_: _List, groups: Iterable[tuple[str, Sequence[_Arrival]]]) -> None:
        """Judge groups, by key, and write them together."""
        made: list[_Judged] = []
        read = self._parts[list_.partition].reads()
        for key, arrivals in groups:
            try:
                made.append(self._judge(list_.partition, key, arrivals, read))
            except Exception as why:  # noqa: BLE001 - no group may hold up the others
                self._refuse(list_, key, arrivals, why)
                continue
            if made[-1].is_alerting:  # its budget may pause a rule before the next group is judged
                self._finish(list_, made)
                made = []
        self._finish(list_, made)

    def _refuse(self, list_: _List, key: str, arrivals: Sequence[_Arrival], why: Exception) -> None:
        """Refuse the observation of a group that failed; of several, judge each by itself."""
        if len(arrivals) == 1 or isinstance(why, TakesNothingNow):
            list_.refused += [(it.record, why) for it in arrivals]
            return
        for it in arrivals:  # only one of them may be at fault
            self._judge_groups(list_, [(key, [it])])

    def _judge(
        self,
        partition: int,
        key: str,
        arrivals: Sequence[_Arrival],
        read: Callable[[str], bytes | None],
    ) -> _Judged:
        """Judge observations of one group in memory."""
        recording, lateness_ms = self._recording[partition], self.rules.lateness_ms
        held = self._held.take_out(partition, key, read(key), self._parts[partition])
        verdicts = []
        for record, it in arrivals:
            plan = self.rules.plan.by_grouping[_grouping(key)]  # a budget may pause a rule
            held.group.is_timed = self._is_timed()
            judged = held.group.judge(
                it,
                plan,
                lateness_ms,
                since=recording.complete_from,
                is_snoozed=lambda rule_id: self.rules.is_snoozed(rule_id, group_of(key)),
            )
            self._hold_too_large(judged, plan.most_observations)
            told = _told_whole(judged, held.group, it.event_id)
            verdicts.append(_Verdict(record, judged.outcome, *told))
        return _Judged(key, arrivals, held, held.group.take_puts(), verdicts)

    def _finish(self, list_: _List, made: Sequence[_Judged]) -> None:
        """Write groups and tell of them; nothing is told that is not stored."""
        not_kept = _keep(self._parts[list_.partition], {it.key: it.puts for it in made})
        for it in made:
            why = not_kept.get(it.key)
            if why is not None:
                self._refuse(list_, it.key, it.arrivals, why)
                continue
            try:
                self._put_back(list_.partition, it.key, it.held, it.puts)
                self._tell(list_, it.key, it.verdicts)
            except Exception as untold:  # noqa: BLE001 - no group may hold up the others
                self._refuse(list_, it.key, it.arrivals, untold)

    def _put_back(self, number: int, key: str, held: Held, puts: Sequence[Put]) -> None:
        """Keep a group in memory, once the table has it as it is."""
        for rule_id, seconds in held.group.spent.items():
            self._spent[rule_id] += seconds
        held.group.spent.clear()
        value = next((it.value for it in puts if it.segment is None), held.value)
        self._held.put_back(number, key, Held(value, held.group))

    def _tell(self, list_: _List, key: str, verdicts: Sequence[_Verdict]) -> None:
        since = self._recording[list_.partition].complete_from
        for verdict in verdicts:
            list_.counts[verdict.outcome.lower()] += 1
            if verdict.raised:
                trace = traceparent(verdict.record.headers)
                for each in self._told(verdict.raised, verdict.outcome, key, since, trace):
                    list_.outbox.add(each)
            for one in verdict.grown:
                list_.grown[key, one.rule.key, one.triggered_by] = one

    def _is_timed(self) -> bool:
        self._judged += 1
        return self._judged % TIMED_ONE_IN == 1

    def _hold_too_large(self, judged: Judged, most: int) -> None:
        for rule in judged.too_large:
            self.rules.budgets.note_size(rule.rule.id, most)

    def _keep_one(self, number: int, key: str, held: Held) -> None:
        """Write what changed in a group, and keep the group in memory."""
        puts = held.group.take_puts()
        for why in _keep(self._parts[number], {key: puts}).values():
            raise why
        self._put_back(number, key, held, puts)

    def _told(
        self,
        alerts: Sequence[Raised],
        outcome: Outcome,
        key: str,
        since: Since,
        trace: str | None = None,
    ) -> list[Record]:
        """The records that tell of alerts."""
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


def _keep(part: TablePartition, groups: Mapping[str, Sequence[Put]]) -> Mapping[str, Exception]:
    """Write what changed in groups, by their keys.

    Returns:
        by the key of a group, why it is not kept; empty if all are.
    """
    turns, removed = _in_turns(groups)
    not_kept: dict[str, Exception] = {}
    for turn in turns:
        some = {at: value for at, (key, value) in turn.items() if key not in not_kept}
        if some:
            try:
                refused = part.write_all(some)
            except Exception as why:  # noqa: BLE001 - the partition takes no group at all
                return dict.fromkeys(groups, why)
            not_kept |= {turn[at][0]: why for at, why in refused.items()}
    for key, at in removed:  # after the head that no longer counts them: see `Kept.take_puts`
        if key not in not_kept:
            try:
                part.remove(at)
            except Exception as why:  # noqa: BLE001 - no group may hold up the others
                not_kept[key] = why
    return not_kept


def _in_turns(
    groups: Mapping[str, Sequence[Put]],
) -> tuple[Sequence[Mapping[str, tuple[str, bytes]]], Sequence[tuple[str, str]]]:
    """What is written before the heads, the heads, and what is written after them.

    See `Kept.take_puts`.

    Returns:
        For each of the three, by key of the table, the key of the group and the value; and the keys
        of groups and of the table of what is removed after all of them.
    """
    turns: tuple[dict[str, tuple[str, bytes]], ...] = ({}, {}, {})
    removed: list[tuple[str, str]] = []
    for key, puts in groups.items():
        turn = 0
        for put in puts:
            if put.segment is None:
                at, turn = key, 1
            else:
                at, turn = segment_key(key, put.segment), turn and 2
            if put.value is None:
                removed.append((key, at))
            else:
                turns[turn][at] = key, put.value
    return turns, removed


def _unreadable() -> UnreadableEvent:
    return UnreadableEvent(DeadLetterReason.INVALID_FIELD, "not a record that posstream wrote")


def _read(record: Any) -> tuple[str, Observation]:
    """The key of a group and an observation from a record."""
    try:
        return record.key.decode(), _observation(record.value or b"")
    except (AttributeError, *UNDECODABLE):
        raise _unreadable() from None


@lru_cache(maxsize=4096)
def _grouping(key: str) -> tuple[str, ...]:
    """The grouping of a group, from the key."""
    try:
        return tuple(sorted(group_of(key)))
    except UNDECODABLE:
        raise _unreadable() from None


def _moved(record: Any, partition: int) -> Record:
    """The same record for another partition."""
    headers = list(record.headers)
    return Record(topics.GROUPED, record.key, record.value, headers, partition=partition)


def _told_whole(
    judged: Judged, group: Group, event_id: str
) -> tuple[Sequence[Raised], Sequence[Grown]]:
    """The alerts of an arrival that are told whole, and those that only got more hits.

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
