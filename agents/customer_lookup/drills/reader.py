"""Reads the topic of outage drills: to its end at the start, then for as long as events flow."""

from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.topics import OUTAGE_DRILLS
from posstream.kafka.reader import GrouplessReader
from posstream.kafka.security import Brokers


class DrillReader:
    """Reads the drills for one worker, so a worker that starts during a drill takes part, too."""

    def __init__(self, servers: Brokers, drills: OutageDrills) -> None:
        self._reader = GrouplessReader(servers, OUTAGE_DRILLS)
        self._drills = drills

    async def open(self, *, fetch_wait_ms: int) -> None:
        """Take the newest drill, and follow the topic from there.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back.

        Raises:
            BrokerUnreachable: if the topic cannot be read.
        """
        await self._reader.catch_up(
            lambda it: self._drills.take(it.value), fetch_wait_ms=fetch_wait_ms
        )
        self._reader.follow(self._follow, name=OUTAGE_DRILLS)

    async def close(self) -> None:
        """Stop following. Idempotent."""
        await self._reader.close()

    async def _follow(self) -> None:
        for record in await self._reader.fetch():
            self._drills.take(record.value)
