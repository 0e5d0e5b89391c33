"""Fills the memory in front of RocksDB after a start, before tills ask for each customer once.

Tills would fill it too, but a customer who is not in memory yet costs a hit half as much CPU
again.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Final

from posstream.domain.errors import StorageFailed
from posstream.resilience.clock import Clock
from tables.customer_cache import CustomerCacheTable

log = logging.getLogger(__name__)

#: Entries between two rounds of the event loop: a till must not wait for the filling.
SLICE: Final = 50
#: How long the filling goes on in each second. What tills take meanwhile counts: while they ask for
#: much, less is filled.
SECONDS: Final = 0.1


@dataclass(eq=False)
class CacheFilling:
    """Fills the memory of the partitions of this worker, as far as it holds their entries."""

    cache: CustomerCacheTable
    clock: Clock
    #: Whether entries were read that the log does not tell of yet.
    read_some: bool = field(default=False, init=False)

    async def fill(self) -> None:
        """Fill for a while; called each second."""
        until = self.clock.monotonic() + SECONDS
        for number in range(self.cache.partitions):
            # A lookup tells of a partition that cannot be read.
            with contextlib.suppress(StorageFailed):
                while self.cache.partition(number).fill(SLICE):
                    self.read_some = True
                    await asyncio.sleep(0)
                    if self.clock.monotonic() >= until:
                        return
        if self.read_some and self.cache.recovered:
            log.info("the cache is in memory, as far as it fits")
            self.read_some = False
