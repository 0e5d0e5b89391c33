"""Fills the memory in front of RocksDB after a start, before tills ask.

Else the first hit of each customer would read RocksDB, which takes half to three quarters more CPU.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Final

from posstream.domain.errors import StorageFailed
from posstream.resilience.clock import Clock
from tables.cache_sweep import SLICE
from tables.customer_cache import CustomerCacheTable

log = logging.getLogger(__name__)

#: How long one call of `fill` may last. The time of tills that are served meanwhile counts, so a
#: busy worker fills less.
FILL_SECONDS: Final = 0.1


@dataclass(eq=False)
class CacheFiller:
    """Fills the memory of the partitions of this worker, as far as it holds their entries."""

    cache: CustomerCacheTable
    clock: Clock
    #: Whether nothing is left to fill, and the log says so.
    is_done: bool = field(default=False, init=False)

    async def fill(self) -> None:
        """Fill for a while; called each second."""
        until = self.clock.monotonic() + FILL_SECONDS
        for number in range(self.cache.partitions):
            # The store has reported damage already. Another error shows at the next lookup.
            with contextlib.suppress(StorageFailed):
                while self.cache.partition(number).fill(SLICE):
                    self.is_done = False
                    await asyncio.sleep(0)
                    if self.clock.monotonic() >= until:
                        return
        if not self.cache.recovered:
            self.is_done = False
        elif not self.is_done:
            log.info("the cache is in memory, as far as it fits")
            self.is_done = True
