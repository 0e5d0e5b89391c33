"""Notes in each partition since when it records what the rules read."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.engine.recorded import (
    Recorded,
    complete_from,
    lacking,
    read_back,
    recorded,
)
from agents.fraud_detection.rules.checks import fields_read
from agents.fraud_detection.rules.compiled import CompiledRule
from agents.fraud_detection.rules.fields import APART, bits_of
from agents.fraud_detection.rules.plan import OF_SESSION, GroupingPlan, Plan
from posstream.domain.errors import TakesNothingNow
from posstream.json.undecodable import UNDECODABLE
from tables.partitioned import TablePartition

#: Before all keys of groups, which begin with `{`.
PREFIX: Final = "#recorded"
_decode: Final = msgspec.msgpack.Decoder(dict[str, Recorded]).decode


class Recording:
    """Since when one partition records what.

    Args:
        part: the partition.
    """

    def __init__(self, part: TablePartition) -> None:
        self._part = part
        self._plan: Plan | None = None
        self._value: bytes | None = None
        self._groupings: dict[str, Recorded] = {}
        #: `complete_from` of the rules that were asked for: each group asks for all of them.
        self._complete_from: dict[CompiledRule, int] = {}

    def follow(self, plan: Plan, lateness_ms: int, now_ms: int) -> None:
        """Note that the partition records for a plan from now on.

        Args:
            plan: the plan in force.
            lateness_ms: how long after it happened an event is judged.
            now_ms: the broker's time, or the worker's.

        Raises:
            TakesNothingNow: if the partition moved away, or is frozen.
        """
        value = self._part.read(PREFIX)
        if plan is self._plan and value == self._value:
            return
        self._complete_from = {}
        # Events from before the edit may be judged after it, and be late by hours.
        now_ms, known = max(now_ms, plan.since_ms), _read(value)
        self._groupings = {
            name(it): recorded(
                known.get(name(it)),
                {need: plan.again_since.get((it.grouping, need), 0) for need in it.needs},
                lateness_ms + it.widest_window_ms,
                now_ms,
                is_first=value is None,
            )
            for it in plan.groupings
        }
        if self._groupings != known or value is None:
            value = self._write()
        self._plan, self._value = plan, value

    def take(self, it: Observation, grouping: GroupingPlan) -> None:
        """Note which facts an observation lacks: the worker that grouped it had an older plan.

        Raises:
            TakesNothingNow: as `follow`, which was called before.
        """
        missing = grouping.recorded & ~it.recorded
        if not missing:  # most of the time
            return
        known, facts = name(grouping), [it for it in grouping.facts if bits_of([it]) & missing]
        noted = lacking(self._groupings[known], facts, it.written_ms)
        if noted is not self._groupings[known]:
            self._groupings[known] = noted
            self._value = self._write()

    def _write(self) -> bytes:
        self._complete_from = {}
        value = msgspec.msgpack.encode(self._groupings)
        if not self._part.write(PREFIX, value):
            raise TakesNothingNow("a partition of the observations takes nothing now")
        return value

    def complete_from(self, rule: CompiledRule) -> int:
        """Since when everything that a rule reads is known, in ms since 1970; 0 = ever."""
        found = self._complete_from.get(rule)
        if found is None:
            found = complete_from(self._groupings[name(rule)], _needs(rule))
            self._complete_from[rule] = found
        return found

    def unread(self, plan: Plan, now_ms: int) -> Sequence[tuple[CompiledRule, int]]:
        """The rules that miss events of their windows which may be on the topic.

        Args:
            plan: the one that is followed.
            now_ms: the time at which the windows end.

        Returns:
            each rule with the time since when it is known whole.
        """
        found = []
        for grouping in plan.groupings:
            oldest_ms = self._groupings[name(grouping)].oldest_ms
            for rule in grouping.rules:
                from_ms = self.complete_from(rule)
                if from_ms > max(now_ms - rule.window_ms, oldest_ms):
                    found.append((rule, from_ms))
        return found

    def note_read(
        self, groupings: Iterable[GroupingPlan], from_ms: int, read_ms: int, *, is_oldest: bool
    ) -> None:
        """Note that past events were read back; see `recorded.read_back`.

        Raises:
            TakesNothingNow: as `follow`, which was called before.
        """
        for it in map(name, groupings):
            self._groupings[it] = read_back(
                self._groupings[it], from_ms, read_ms, is_oldest=is_oldest
            )
        self._value = self._write()


@lru_cache(maxsize=1024)
def _needs(it: CompiledRule) -> frozenset[str]:
    """The types and facts that one rule reads."""
    types = frozenset(str(each) for each in it.rule.on) | (fields_read(it.rule) - APART)
    return types | OF_SESSION if it.reads_session else types


def _read(value: bytes | None) -> Mapping[str, Recorded]:
    """What was noted; nothing if another version noted it: all is then recorded from now on."""
    try:
        return {} if value is None else _decode(value)
    except UNDECODABLE:
        return {}


def name(it: GroupingPlan | CompiledRule) -> str:
    """The grouping of a plan or rule, as it is noted."""
    return ",".join(it.grouping)
