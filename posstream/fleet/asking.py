"""Asks the topic of the workers how they are, from outside: joins nothing, writes nothing."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from posstream.fleet.fleet import Member, Workers
from posstream.fleet.heartbeat import BEAT_SECONDS
from posstream.kafka.reader import topic_reader
from posstream.kafka.security import Brokers
from posstream.kafka.topics import WORKERS
from posstream.resilience.clock import Clock

#: How long to wait for a heartbeat if all workers seem lost.
_PATIENCE_SECONDS: Final = BEAT_SECONDS + 2


async def ask_workers(
    brokers: Brokers, clock: Clock, *, patience_seconds: float = _PATIENCE_SECONDS
) -> Sequence[Member]:
    """All workers, by their address; lost ones for a day.

    The broker's clock counts. If all workers seem lost, the clock here may be wrong: then this
    waits for a heartbeat, which has the broker's time.

    Args:
        brokers: host:port of each.
        clock: time.
        patience_seconds: how long to wait for a heartbeat.

    Raises:
        BrokerUnreachable: if no broker answers.
    """
    workers = Workers()
    async with topic_reader(brokers, WORKERS) as reader:
        async for record in reader.records(WORKERS):
            workers.take(record.key, record.value, record.timestamp)
        now_ms = max(clock.now_ms(), workers.newest_ms)
        members = workers.members(now_ms)
        if members and all(it.is_lost for it in members):
            before = workers.newest_ms
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_seconds):
                    while workers.newest_ms == before:
                        for record in await reader.fetch():
                            workers.take(record.key, record.value, record.timestamp)
                    now_ms = workers.newest_ms
    return workers.members(now_ms)
