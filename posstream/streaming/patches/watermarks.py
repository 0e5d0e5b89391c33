"""True high watermarks of the embedded broker, by a fetch.

That broker answers ListOffsets(latest) with the base of the last batch + 1: a recovery would miss
entries, or end with a ConsistencyError. A fetch tells the true end.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

import aiokafka
from aiokafka import TopicPartition
from faust.types import TP

log = logging.getLogger(__name__)

#: Seconds after which a watermark that cannot be probed is taken as the broker told it.
_PROBE_SECONDS: Final = 10


async def probed(servers: Sequence[str], ends: Mapping[TP, int]) -> dict[TP, int]:
    """The true ends of the partitions whose ends the broker told."""
    if not ends:
        return {}
    probe = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=10
    )
    await probe.start()
    try:
        return await _watermarks(probe, ends)
    finally:
        await probe.stop()


async def _watermarks(probe: aiokafka.AIOKafkaConsumer, ends: Mapping[TP, int]) -> dict[TP, int]:
    tps = {tp: TopicPartition(tp.topic, tp.partition) for tp in ends}
    probe.assign(list(tps.values()))
    for tp, end in ends.items():
        probe.seek(tps[tp], end - 1)
    waiting = set(tps.values())
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            while waiting:
                await probe.getmany(*waiting, timeout_ms=200, max_records=1)
                waiting = {tp for tp in waiting if not probe.highwater(tp)}
    except TimeoutError:
        log.warning("no high watermark from a fetch for %s", sorted(waiting))
    return {tp: max(end, probe.highwater(tps[tp]) or 0) for tp, end in ends.items()}
