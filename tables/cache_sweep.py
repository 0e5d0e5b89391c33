"""Removes entries that no window will serve again from RocksDB and the changelog.

Neither removes them by itself. RocksDB's own `ttl` writes no tombstone, so entries come back at the
next recovery; and the changelog's retention does not reach into a worker's RocksDB.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from posstream.domain.errors import StorageFailed
from posstream.resilience.clock import Clock
from tables.customer_cache import CustomerCacheTable, Stored
from tables.freshness import (
    MAX_SKEW_MS,
    CacheEntry,
    Freshness,
    Windows,
    age_ms,
    judge,
)
from tables.partitioned import home

log = logging.getLogger(__name__)

#: Seconds from one sweep to the next, and how many entries a sweep looks at.
INTERVAL_SECONDS: Final = 1.0
BATCH: Final = 500
#: Entries between two rounds of the event loop, also of the filler: a till must not wait for it.
SLICE: Final = 50
#: A customer who comes again soon after the stale window overwrites the entry: waiting a little
#: saves a tombstone.
MARGIN_MS: Final = 60_000


@dataclass(eq=False)
class CacheSweeper:
    """Sweeps the partitions of this worker in a circle, a batch at a time."""

    cache: CustomerCacheTable
    #: Gives the windows in force.
    windows: Callable[[], Windows]
    clock: Clock
    #: Has `cache_entries` (estimated) and `cache_removed` (by why).
    metrics: Any
    #: Entries that are looked at in one sweep.
    batch: int = BATCH
    #: Where the next sweep starts.
    partition: int = field(default=0, init=False)
    start: bytes = field(default=b"", init=False)

    async def sweep(self) -> None:
        """Remove the expired entries of the next batch, which is at most once round the circle."""
        partitions = range(self.cache.partitions)
        self.metrics.cache_entries.set(
            sum(self.cache.partition(number).estimated() for number in partitions)
        )
        left, ends = self.batch, 0
        while left > 0 and ends < len(partitions):
            limit = min(left, SLICE)
            looked_at = self._sweep_slice(limit)
            left -= looked_at
            if looked_at < limit:
                ends += 1
                self.partition = (self.partition + 1) % len(partitions)
                self.start = b""
            with contextlib.suppress(RuntimeError):  # the producer is gone: the worker stops
                await self.cache.flush()  # a bounded number of tombstones under way

    def _sweep_slice(self, limit: int) -> int:
        """Sweep one slice without a pause, so that no entry is renewed while it is judged."""
        number = self.partition
        partition = self.cache.partition(number)
        try:
            entries = partition.entries(self.start, limit) or ()
            now_ms, windows = self.clock.now_ms(), self.windows()
            for stored in entries:
                why = self._why_removed(stored, now_ms, windows)
                if why is not None and partition.remove(stored.identifier):
                    self.metrics.cache_removed.labels(why).inc()
        except StorageFailed:
            return 0  # the disk is full: expired entries are not served, and go later
        except Exception:
            if self.cache.owns(number):
                raise
            log.info("partition %d of the cache moved away during its sweep", number)
            return 0
        if entries:
            self.start = entries[-1].next
        return len(entries)

    def _why_removed(self, stored: Stored, now_ms: int, windows: Windows) -> str | None:
        if is_over(stored.entry, now_ms, windows):
            return "expired"
        # Partitions were added, and the entry was not moved: no lookup finds it there, and no
        # command to forget its customer does either.
        at_home = home(stored.identifier, self.cache.partitions)
        return None if at_home == self.partition else "misplaced"


def is_over(entry: CacheEntry | None, now_ms: int, windows: Windows) -> bool:
    """Whether an entry is of no use any more; None stands for an entry that cannot be read.

    An entry from far ahead of our clock is over, too: its true age is unknown, and it would be
    kept until our clock is there.
    """
    if entry is None:
        return True
    if judge(entry, now_ms, windows) is not Freshness.EXPIRED:
        return False
    if entry.document is None or entry.fetched_at_ms > now_ms + MAX_SKEW_MS:
        return True
    return age_ms(entry, now_ms) >= windows.stale_ms + MARGIN_MS
