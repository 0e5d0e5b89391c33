"""Reads the topic of outage drills: to its end at the start, then for as long as events flow."""

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.topics import OUTAGE_DRILLS
from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.reader import GrouplessReader
from posstream.resilience.tasks import stop_task

#: How long a broker may take to let the topic be read to its end.
_PATIENCE_SECONDS = 10


class DrillReader:
    """Reads the drills for one worker, so a worker that starts during a drill takes part, too."""

    def __init__(self, servers: Sequence[str], drills: OutageDrills) -> None:
        self._reader = GrouplessReader(servers, OUTAGE_DRILLS)
        self._drills = drills
        self._fetch_wait_ms = 0
        self._task: asyncio.Task[None] | None = None

    async def open(self, *, fetch_wait_ms: int) -> None:
        """Take the newest drill, and follow the topic from there.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back.

        Raises:
            BrokerUnreachable: if the topic cannot be read.
        """
        self._fetch_wait_ms = fetch_wait_ms
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._reader.connect(fetch_wait_ms=fetch_wait_ms)
                await self._reader.read_to_the_end(lambda it: self._drills.take(it.value))
        except (KafkaError, OSError) as why:
            await self._reader.disconnect()
            raise BrokerUnreachable(
                f"topic {OUTAGE_DRILLS} cannot be read ({type(why).__name__}): see POSSTREAM_BROKER"
            ) from why
        self._task = asyncio.create_task(self._reader.repeat(self._follow), name=OUTAGE_DRILLS)

    async def close(self) -> None:
        """Stop following. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)
        await self._reader.disconnect()

    async def _follow(self) -> None:
        if not self._reader.is_connected:
            await self._reader.connect(fetch_wait_ms=self._fetch_wait_ms)
        for record in await self._reader.fetch():
            self._drills.take(record.value)
