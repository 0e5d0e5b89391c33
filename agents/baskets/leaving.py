"""Takes baskets out of the table some time after their last event. The read model keeps them."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agents.baskets.basket import Basket, Status
from agents.baskets.configuration import BasketConfiguration
from agents.baskets.fold import fold
from agents.baskets.known import decode
from posstream.configuration.current import CurrentConfiguration
from posstream.domain.errors import StorageFailed
from posstream.metrics import PluginMetrics
from posstream.resilience.clock import Clock
from tables.partitioned import PartitionedTable, TablePartition

log = logging.getLogger(__name__)

#: Seconds from one look to the next, and how many baskets one looks at.
INTERVAL_SECONDS: Final = 1.0
_SLICE: Final = 100
_HOUR_MS: Final = 3_600_000
#: No basket leaves for this long after the start, nor after a time in which events waited: some may
#: belong to it.
_SETTLE_SECONDS: Final = 60
_CLOSED: Final = (Status.PAID, Status.VOIDED)


@dataclass(eq=False, kw_only=True)
class LeavingBaskets:
    """Goes through the baskets of this worker in a circle, a slice at a time.

    A basket that had no event for hours may have some that wait in their topics: the worker was
    away, or the plugin switched off. So nothing leaves before these are counted.
    """

    table: PartitionedTable
    configuration: CurrentConfiguration[BasketConfiguration]
    clock: Clock
    metrics: PluginMetrics
    #: When the oldest event was written that is at hand and not counted, in seconds since 1970.
    oldest_at: Callable[[], float | None]
    #: Where the next slice starts.
    partition: int = field(default=0, init=False)
    start: bytes = field(default=b"", init=False)

    def __post_init__(self) -> None:
        self._leave_from = self._settled_at()

    async def look(self) -> None:
        """Take out those of the next slice whose time is over."""
        parts = [TablePartition(self.table, number) for number in range(self.table.partitions)]
        self.metrics["baskets_kept"].set(sum(part.estimated() for part in parts))
        if not self.configuration.value.enabled or self._is_behind():
            self._leave_from = self._settled_at()
        if self.clock.monotonic() < self._leave_from:
            return
        try:
            seen = self._slice(parts[self.partition])
        except StorageFailed:
            seen = ()  # the disk is full: baskets leave later
        if len(seen) < _SLICE:
            self.partition = (self.partition + 1) % len(parts)
            self.start = b""
        else:
            self.start = seen[-1] + b"\0"
        with contextlib.suppress(RuntimeError):  # the producer is gone: the worker stops
            await self.table.flush()  # a bounded number of tombstones under way

    def _settled_at(self) -> float:
        return self.clock.monotonic() + _SETTLE_SECONDS

    def _is_behind(self) -> bool:
        oldest_at = self.oldest_at()
        return oldest_at is not None and self.clock.now_ms() / 1000 - oldest_at > _SETTLE_SECONDS

    def _slice(self, part: TablePartition) -> Sequence[bytes]:
        """The keys of a slice; those whose time is over are gone."""
        entries = part.values(self.start, _SLICE) or ()
        now_ms, plan = self.clock.now_ms(), self.configuration.value
        for key, value in entries:
            known = decode(value)
            age_hours = (now_ms - known.counted_at_ms) // _HOUR_MS
            if age_hours < min(plan.keep_open_hours, plan.keep_closed_hours):
                continue
            basket = fold(known.events)
            hours = plan.keep_closed_hours if basket.status in _CLOSED else plan.keep_open_hours
            if age_hours >= hours and part.remove(key.decode()):
                self.metrics["baskets_left"].labels(_why(basket)).inc()
        return [key for key, _ in entries]


def _why(basket: Basket) -> str:
    return "closed" if basket.status in _CLOSED else "abandoned"
