"""Takes groups out of the table once nothing in them is judged any more."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.engine.group_key import head_key
from agents.fraud_detection.engine.state import decode_head
from agents.fraud_detection.forgetting_groups import ForgettingGroups
from agents.fraud_detection.judge import Judge
from agents.fraud_detection.metrics import forget_rules
from agents.fraud_detection.recording import PREFIX
from posstream.domain.errors import StorageFailed
from posstream.forgetting.marks import Marks
from posstream.metrics import PluginMetrics
from posstream.resilience.clock import Clock
from tables.partitioned import PartitionedTable, TablePartition

#: Seconds from one look to the next, and how many entries one looks at.
INTERVAL_SECONDS: Final = 1.0
_SLICE: Final = 100
#: The longest window: what a rule that is deleted and comes back may need.
_WEEK_MS: Final = 7 * 86_400_000


@dataclass(eq=False, kw_only=True)
class LeavingGroups:
    """Goes through the entries of this worker in a circle, a slice at a time."""

    table: PartitionedTable
    judge: Judge
    forgetting: ForgettingGroups
    #: Who was forgotten: groups that come to this worker may still name them.
    marks: Callable[[], Marks]
    rules: CurrentRules
    clock: Clock
    metrics: PluginMetrics
    #: Where the next slice starts.
    partition: int = field(default=0, init=False)
    start: bytes = field(default=b"", init=False)
    #: The configuration whose rules have series in the metrics.
    values: FraudConfiguration | None = field(default=None, init=False)

    async def look(self) -> None:
        """Note what is recorded from now on, and take out what is over in the next slice."""
        parts = [TablePartition(self.table, number) for number in range(self.table.partitions)]
        self.metrics["fraud_groups_kept"].set(sum(part.estimated() for part in parts))
        self.metrics["fraud_observations_in_memory"].set(self.judge.observations_in_memory)
        self.metrics["fraud_rules_held"].set(len(self.rules.budgets.held))
        try:
            self.judge.note_costs()
            self._forget_rules()
            self.judge.note_plan()
            seen = self._slice(parts[self.partition])
        except StorageFailed:
            seen = ()  # the disk is full, or the partition moves: later
        if len(seen) < _SLICE:
            self.partition = (self.partition + 1) % len(parts)
            self.start = b""
        else:
            self.start = seen[-1] + b"\0"
        with contextlib.suppress(RuntimeError):  # the producer is gone: the worker stops
            await self.table.flush()  # a bounded number of tombstones under way

    def _forget_rules(self) -> None:
        if self.values is not self.rules.values:
            self.values = self.rules.values
            forget_rules(self.metrics, {it.id for it in self.values.rules})

    def _slice(self, part: TablePartition) -> Sequence[bytes]:
        """The keys of a slice; those whose time is over are gone."""
        entries = part.values(self.start, _SLICE) or ()
        marks = self.marks()
        over_ms = self.clock.now_ms() - self.rules.lateness_ms - _WEEK_MS
        for key, value in entries:
            text = key.decode()
            if text == PREFIX:
                continue
            self.forgetting.clean(part, key, value, marks)
            head = head_key(text)
            if head == text:
                is_over = decode_head(value).written_ms < over_ms
            else:
                is_over = part.read(head) is None
            if is_over:
                part.remove(text)
        return [key for key, _ in entries]
