"""Reads past till events for rules that need what was not recorded of them when they came.

Until then, such a rule is WARMING: its alerts say since when their window is known whole. Decision
24 says why nothing is lost or raised twice. Live events go first.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import msgspec

from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.engine.facts import MOST_AHEAD_MS, facts_of, grouped, is_too_late
from agents.fraud_detection.engine.group_key import group_key
from agents.fraud_detection.engine.without_customers import observation_without
from agents.fraud_detection.events.inputs import TillEvent
from agents.fraud_detection.events.writing import reading_record
from agents.fraud_detection.judge import Judge
from agents.fraud_detection.past_events import PastEvents, Slice
from agents.fraud_detection.reading import Reading
from agents.fraud_detection.rules.compiled import CompiledRule
from posstream.domain.errors import UnreadableEvent
from posstream.forgetting.marks import Marks
from posstream.json.undecodable import UNDECODABLE
from posstream.kafka.record import EventPublisher, Record
from posstream.resilience.clock import Clock
from posstream.resilience.tasks import stop_task
from tables.partitioned import PartitionedTable, home

if TYPE_CHECKING:
    from agents.fraud_detection.engine.observation import Observation

log = logging.getLogger(__name__)

#: Seconds from one look for rules that miss events to the next.
_INTERVAL_SECONDS: Final = 1.0
#: After each slice the reader rests this many times as long as the slice took.
_RESTS: Final = 4
#: Seconds between two checks whether live events still wait.
_WAIT_SECONDS: Final = 0.1
#: By how much the percentage must grow before it is reported again.
_STEP: Final = 5
#: The percentage of a rule that has read all that it missed.
_ALL: Final = 100
_till_event: Final = msgspec.json.Decoder(TillEvent).decode

#: By partition of the table, the rules that miss events, with since when each is known whole.
_Unread = Mapping[int, Sequence[tuple[CompiledRule, int]]]


@dataclass(eq=False, kw_only=True)
class ReadingBack:
    """Reads for the partitions of this worker, from the beginning if it was interrupted."""

    past: PastEvents
    judge: Judge
    #: Whether events wait to be grouped or judged.
    is_behind: Callable[[], bool]
    table: PartitionedTable
    rules: CurrentRules
    #: Who was forgotten: past events may still name them.
    marks: Callable[[], Marks]
    publisher: EventPublisher
    clock: Clock
    #: Gives the generation of the consumer group.
    generation: Callable[[], int | None]
    _task: "asyncio.Task[None] | None" = field(default=None, init=False)
    #: By rule and partition, the percentage that was last reported.
    _told: dict[tuple[str, int], int] = field(default_factory=dict, init=False)

    async def open(self) -> None:
        """Look for rules that miss events, from now on."""
        self._task = asyncio.create_task(self._run(), name="reading back")

    async def close(self) -> None:
        """End. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)

    async def _run(self) -> None:
        is_troubled = False
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS)
            try:
                await self.look()
                is_troubled = False
            except Exception as why:  # noqa: BLE001 - nothing watches this task but us
                if not is_troubled:
                    log.warning("past events cannot be read back (%r); trying again", why)
                is_troubled = True

    async def look(self) -> None:
        """Read what rules miss, if they miss anything and no live events wait."""
        unread = self._unread()
        await self._tell(unread, 0)
        wanted = self._wanted(unread)
        if wanted is not None and not self.is_behind():
            await self._read(wanted)

    def _unread(self) -> _Unread:
        found = {it: self.judge.unread(it) for it in range(self.table.partitions)}
        return {number: those for number, those in found.items() if those}

    def _wanted(self, unread: _Unread) -> Reading | None:
        """The reading that is to be made now."""
        plan, now_ms = self.rules.plan, self.clock.now_ms()
        if not unread or now_ms < plan.since_ms:  # other workers may not record for the rules yet
            return None
        those = [it for each in unread.values() for it in each]
        return Reading(
            unread={it: frozenset(rule.key for rule, _ in each) for it, each in unread.items()},
            groupings=frozenset(rule.grouping for rule, _ in those),
            back_to_ms=min(from_ms - self._reach_ms(rule) for rule, from_ms in those),
            began_ms=now_ms,
            needs=plan.needs,
            again_since=plan.again_since,
            generation=self.generation(),
        )

    def _reach_ms(self, rule: CompiledRule) -> int:
        """How long before an event a rule may read others; a session may be hours old."""
        return rule.window_ms + (self.rules.lateness_ms if rule.reads_session else 0)

    def _goes_on(self, reading: Reading, unread: _Unread | None = None) -> bool:
        wanted = self._wanted(self._unread() if unread is None else unread)
        return wanted is not None and reading.includes(wanted)

    async def _read(self, reading: Reading) -> None:
        """Read past events and judge by them."""
        touched: dict[tuple[int, str], None] = {}
        oldest_ms = 0
        # An event's time is at most this far ahead of the broker's.
        slices = self.past(reading.back_to_ms - MOST_AHEAD_MS)
        async with aclosing(cast("AsyncGenerator[Slice]", slices)):
            async for it in slices:
                began, unread = self.clock.monotonic(), self._unread()
                if not self._goes_on(reading, unread):
                    return
                touched |= self._take(it.values, reading)
                oldest_ms = max(oldest_ms, it.oldest_ms)
                await self._give_way(began)
                await self._tell(unread, it.percent)
        from_ms = max(reading.back_to_ms, oldest_ms + MOST_AHEAD_MS if oldest_ms else 0)
        for number, key in touched:
            if not self._goes_on(reading):
                return
            began = self.clock.monotonic()
            records = self.judge.judge_anew(number, key, reading, from_ms)
            await self._give_way(began)
            await self._publish(records)
        await self.table.flush()
        # Tell first: a worker that finds it noted has nothing to read, and would not tell.
        await self._tell({}, _ALL)
        if not self._goes_on(reading):
            return
        for number in reading.unread:
            self.judge.note_read(number, reading, from_ms, is_oldest=oldest_ms > 0)
        await self.table.flush()
        log.info("past events were read back: %d groups have more of them", len(touched))

    def _take(
        self, values: Iterable[bytes | None], reading: Reading
    ) -> dict[tuple[int, str], None]:
        """Keep some events in their groups; the groups."""
        found: defaultdict[tuple[int, str], list[Observation]] = defaultdict(list)
        marks = self.marks()
        for value in values:
            try:
                known = facts_of(_till_event(value or b""))
            except (UnreadableEvent, *UNDECODABLE):
                continue  # it was set aside when it came
            if is_too_late(known, self.rules.lateness_ms):
                continue
            for plan in self.rules.plan.using(known.event_type):
                if plan.grouping not in reading.groupings:
                    continue
                for group, seen in grouped(plan, known):
                    key = group_key(group)
                    number = home(key, self.table.partitions)
                    it = observation_without(seen, group, marks)
                    if number in reading.unread and it is not None:
                        found[number, key].append(it)
        for (number, key), its in found.items():
            self.judge.read_back(number, key, its, reading)
        return dict.fromkeys(found)

    async def _give_way(self, began: float) -> None:
        """Leave the worker to live events."""
        await asyncio.sleep((self.clock.monotonic() - began) * _RESTS)
        while self.is_behind():  # noqa: ASYNC110 - events come at any time
            await asyncio.sleep(_WAIT_SECONDS)

    async def _tell(self, unread: _Unread, percent: int) -> None:
        """Tell which rules miss events, and how many of these were read by now."""
        records, now_ms = [], self.clock.now_ms()
        missing = {
            (rule.rule.id, number): from_ms + rule.window_ms
            for number, those in unread.items()
            for rule, from_ms in those
        }
        for (rule_id, number), whole_ms in missing.items():
            told = self._told.get((rule_id, number))
            if told is None or not told <= percent < told + _STEP:
                self._told[rule_id, number] = percent
                records.append(reading_record(rule_id, number, percent, whole_ms, now_ms))
        for rule_id, number in self._told.keys() - missing.keys():
            del self._told[rule_id, number]
            if self.judge.has(number):  # otherwise its new owner tells
                records.append(reading_record(rule_id, number, _ALL, now_ms, now_ms))
        await self._publish(records)

    async def _publish(self, records: Sequence[Record]) -> None:
        """Publish records, and wait until the broker has them."""
        for written in [await self.publisher.send(it) for it in records]:
            await written
