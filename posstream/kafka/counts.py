"""Asks a broker how many partitions topics have, and how far a consumer group is behind."""

from collections.abc import Collection, Iterable
from typing import Any

from aiokafka.errors import for_code

from posstream.kafka.connection import administering
from posstream.kafka.reader import topic_reader
from posstream.kafka.security import Brokers


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


async def group_lag(brokers: Brokers, group: str, topics: Collection[str]) -> int:
    """How many records of some topics a consumer group has not committed, without joining it.

    Raises:
        BrokerUnreachable: if no broker answers.
    """
    async with administering(brokers) as admin:
        committed = await admin.list_consumer_group_offsets(group)
    at = {(tp.topic, tp.partition): known.offset for tp, known in committed.items()}
    async with topic_reader(brokers, *topics) as reader:
        lag = 0
        for topic in topics:
            first = await reader.first_offsets(topic)
            for number, end in (await reader.end_offsets(topic)).items():
                lag += max(0, end - max(at.get((topic, number), 0), first[number]))
        return lag
