"""Asks a broker how many partitions topics have."""

from collections.abc import Iterable
from typing import Any

from aiokafka.errors import for_code

from posstream.kafka.connection import Brokers, administering


async def partitions_of(brokers: Brokers, topics: Iterable[str]) -> dict[str, int]:
    """Topic -> partitions, for topics that exist.

    Raises:
        BrokerUnreachable: if no broker answers.
    """
    async with administering(brokers) as admin:
        return await partition_counts(admin, topics)


async def partition_counts(admin: Any, names: Iterable[str]) -> dict[str, int]:
    """Topic -> partitions, for topics that exist. Asking a producer would create the others."""
    known = set(await admin.list_topics())
    wanted = [name for name in names if name in known]
    if not wanted:
        return {}
    described: list[dict[str, Any]] = await admin.describe_topics(wanted)
    for topic in described:
        if topic["error_code"]:
            raise for_code(topic["error_code"])(f"topic {topic['topic']}")
    return {topic["topic"]: len(topic["partitions"]) for topic in described}
