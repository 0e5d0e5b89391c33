"""Asks a cluster for the first and the end offset of the partitions of many topics at once.

A consumer asks for the metadata of one topic after the other: thirty take a third of a second.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, LeaderNotAvailableError, for_code
from aiokafka.protocol.offset import OffsetRequest

#: The times that stand for the oldest record and for the end (KIP-79).
_OLDEST: Final = -2
_END: Final = -1
#: What lies behind an open transaction is not there yet.
_READ_COMMITTED: Final = 1
_NO_REPLICA: Final = -1
#: How often a cluster is asked while it changes.
_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.25

#: Topic -> partition -> its oldest offset, and the offset after its last record.
Extents = Mapping[str, Mapping[int, tuple[int, int]]]


async def extents(client: Any, topics: Collection[str]) -> Extents:
    """The extents of the partitions of some topics.

    The embedded broker tells the first offset of the last batch plus one as the end.

    Args:
        client: an `AIOKafkaClient` that is connected.
        topics: which; one that the cluster does not have has no partitions.

    Raises:
        KafkaError: if the brokers do not tell.
    """
    tries = 1
    while True:
        try:
            return await _asked(client, topics)
        except KafkaError as why:  # a leader has just died, or a topic was just made
            if not why.retriable or tries == _TRIES:
                raise
        tries += 1
        await asyncio.sleep(_PAUSE_SECONDS)


async def _asked(client: Any, topics: Collection[str]) -> Extents:
    cluster = await client.fetch_all_metadata()
    by_leader: dict[int, list[TopicPartition]] = defaultdict(list)
    for topic in topics:
        for number in cluster.partitions_for_topic(topic) or ():
            place = TopicPartition(topic, number)
            leader = cluster.leader_for_partition(place)
            if leader is None or leader < 0:
                raise LeaderNotAvailableError(place)
            by_leader[leader].append(place)
    oldest, ends = await asyncio.gather(
        *(_offsets(client, by_leader, moment) for moment in (_OLDEST, _END))
    )
    found: dict[str, dict[int, tuple[int, int]]] = {topic: {} for topic in topics}
    for place, end in ends.items():
        found[place.topic][place.partition] = oldest[place], end
    return found


async def _offsets(
    client: Any, by_leader: Mapping[int, Collection[TopicPartition]], moment: int
) -> Mapping[TopicPartition, int]:
    answers = await asyncio.gather(
        *(client.send(node, _request(places, moment)) for node, places in by_leader.items())
    )
    found = {}
    for answer in answers:
        for topic, partitions in answer.topics:
            for number, error, _, offset, *_ in partitions:
                if error:
                    raise for_code(error)(f"{topic}/{number}")
                found[TopicPartition(topic, number)] = offset
    return found


def _request(places: Collection[TopicPartition], moment: int) -> OffsetRequest:
    asked: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for it in places:
        asked[it.topic].append((it.partition, moment))
    return OffsetRequest(_NO_REPLICA, _READ_COMMITTED, list(asked.items()))
