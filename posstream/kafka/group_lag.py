"""Asks the broker how far a consumer group is behind, without joining the group."""

from collections.abc import Collection

from posstream.kafka.connection import Brokers, administering
from posstream.kafka.reader import topic_reader


async def group_lag(brokers: Brokers, group: str, topics: Collection[str]) -> int:
    """How many records of some topics a consumer group has not committed.

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
