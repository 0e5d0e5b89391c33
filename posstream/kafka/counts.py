"""Asks a broker how many partitions topics have, and how far a consumer group is behind."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, for_code

from posstream.kafka.connection import administering
from posstream.kafka.reader import topic_reader
from posstream.kafka.security import Brokers

#: How often a cluster is asked for the coordinator of a group, which has just died or is new.
_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.25


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


async def committed_offsets(
    brokers: Brokers, group: str, places: Iterable[tuple[str, int]]
) -> Mapping[tuple[str, int], int]:
    """Topic and partition -> the offset that a consumer group has committed, without joining it.

    Args:
        brokers: host:port of each.
        group: which.
        places: topics and partitions.

    Raises:
        BrokerUnreachable: if no broker answers.
    """
    async with administering(brokers) as admin:
        return await offsets_committed(admin, group, places)


async def offsets_committed(
    admin: Any, group: str, places: Iterable[tuple[str, int]]
) -> Mapping[tuple[str, int], int]:
    """The same by a connected client; places where nothing was committed are left out."""
    # Places by name: the embedded broker cannot tell all that there are.
    asked = [TopicPartition(*it) for it in sorted(places)]
    for left in reversed(range(_TRIES)):
        try:
            committed = await admin.list_consumer_group_offsets(group, partitions=asked)
            break
        except GroupCoordinatorNotAvailableError:  # a new cluster makes its topic of offsets now
            if not left:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
    return {
        (tp.topic, tp.partition): known.offset
        for tp, known in committed.items()
        if known.offset >= 0
    }


def lag_of(committed: int | None, *, first: int, end: int) -> int:
    """How many records of a partition a group has not committed.

    Args:
        committed: None = nothing; the group begins at the oldest record.
        first: the oldest offset that is kept.
        end: the offset after the last record.
    """
    return max(0, end - max(committed or 0, first))


async def group_lag(brokers: Brokers, group: str, topics: Collection[str]) -> int:
    """How many records of some topics a consumer group has not committed, without joining it.

    Raises:
        BrokerUnreachable: if no broker answers.
    """
    async with topic_reader(brokers, *topics) as reader:
        places = [(topic, number) for topic in topics for number in reader.partitions(topic)]
        if not places:
            return 0
        at = await committed_offsets(brokers, group, places)
        lag = 0
        for topic in {topic for topic, _ in places}:
            first = await reader.first_offsets(topic)
            for number, end in (await reader.end_offsets(topic)).items():
                lag += lag_of(at.get((topic, number)), first=first[number], end=end)
        return lag
