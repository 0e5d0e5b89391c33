"""Before a worker starts: reach the broker, create what topics are missing, refuse a misfit.

Faust would create topics without our retention, and would notice different partition counts
only at the first write to the table, by dying.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from posstream.domain.errors import StartRefused
from posstream.streaming.co_partitioning import misfit
from posstream.topics import CACHE_CHANGELOG, CO_PARTITIONED, TopicSpec

log = logging.getLogger(__name__)

#: How long a broker may take to come up beside us before the start is refused.
PATIENCE_SECONDS: Final = 30
_TOPIC_ALREADY_EXISTS: Final = 36
_TOMBSTONES: Final = "delete.retention.ms"


async def prepare_topics(
    servers: Sequence[str],
    specs: Iterable[TopicSpec],
    *,
    partitions: int,
    replication: int,
    patience_seconds: float = PATIENCE_SECONDS,
) -> str:
    """Create the missing topics and check the co-partitioned ones.

    Returns:
        the cluster's id.

    Raises:
        StartRefused: if no broker answers, a topic cannot be created, or the source topics and
            the cache's changelog differ in partitions.
    """
    specs = list(specs)
    admin = await _connect(servers, patience_seconds)
    try:
        cluster = await admin.describe_cluster()
        existing = await partition_counts(admin, [spec.name for spec in specs])
        missing = [spec for spec in specs if spec.name not in existing]
        if missing:
            await _create(admin, missing, partitions, replication)
            existing |= {spec.name: spec.partitions or partitions for spec in missing}
        _compare({name: existing[name] for name in CO_PARTITIONED if name in existing}, partitions)
        return str(cluster.get("cluster_id"))
    finally:
        await admin.close()


async def tombstones_kept_ms(servers: Sequence[str]) -> int | None:
    """How long the cache's changelog keeps deletions; None if the broker does not tell."""
    admin = await _connect(servers, PATIENCE_SECONDS)
    wanted = ConfigResource(ConfigResourceType.TOPIC, CACHE_CHANGELOG, {_TOMBSTONES: None})
    try:
        for answer in await admin.describe_configs([wanted]):
            for _, _, _, _, entries in answer.resources:
                for name, value, *_ in entries:
                    if name == _TOMBSTONES:
                        return int(value)
    finally:
        await admin.close()
    return None


async def _connect(servers: Sequence[str], patience_seconds: float) -> AIOKafkaAdminClient:
    give_up_at = time.monotonic() + patience_seconds
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=list(servers))
        try:
            await admin.start()
        except (KafkaError, OSError) as why:
            await admin.close()
            if time.monotonic() >= give_up_at:
                raise StartRefused(
                    f"no Kafka broker answers at {', '.join(servers)} ({type(why).__name__}): "
                    "start one (`posstream dev` brings its own) or set POSSTREAM_BROKER"
                ) from why
            log.info("waiting for a broker at %s", ", ".join(servers))
            await asyncio.sleep(0.5)
        else:
            return admin


async def partition_counts(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """Topic -> partitions, for those that there are. To ask a producer would make the others."""
    known = set(await admin.list_topics())
    wanted = [name for name in names if name in known]
    if not wanted:
        return {}
    described: list[dict[str, Any]] = await admin.describe_topics(wanted)
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _create(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], partitions: int, replication: int
) -> None:
    response = await admin.create_topics(
        [
            NewTopic(
                name=spec.name,
                num_partitions=spec.partitions or partitions,
                replication_factor=replication,
                topic_configs=spec.config,
            )
            for spec in specs
        ]
    )
    for name, code, *details in response.topic_errors:
        if code == _TOPIC_ALREADY_EXISTS:  # another worker was faster
            continue
        if code:
            detail = details[0] if details and details[0] else for_code(code).__name__
            raise StartRefused(f"topic {name} cannot be created: {detail}")
        log.info("created topic %s", name)


def _compare(counts: dict[str, int], expected: int) -> None:
    why = misfit(counts, expected)
    if why is not None:
        raise StartRefused(why)
