"""Topics that are given partitions while they are read without a group."""

from typing import Any

from aiokafka import TopicPartition

from posstream.kafka.reader import GrouplessReader

OLD, NEW = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    """aiokafka's, as far as it is asked here: it notes where it was sought to."""

    def __init__(self) -> None:
        self.numbers = {0}
        self.places = {OLD: 7}

    def partitions_for_topic(self, _: str) -> set[int]:
        return self.numbers

    async def position(self, partition: TopicPartition) -> int:
        return self.places[partition]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.places = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, place: int) -> None:
        self.places[partition] = place

    async def getmany(self, *_: TopicPartition, timeout_ms: int) -> dict[TopicPartition, Any]:
        del timeout_ms
        return {}


async def test_added_partitions_are_read_from_their_beginning_and_the_others_go_on() -> None:
    reader, consumer = GrouplessReader(["broker:9092"], "t"), Consumer()
    reader._consumer, reader._partitions, reader._places = consumer, [OLD], {OLD: 7}
    await reader.fetch()
    assert consumer.places == {OLD: 7}
    consumer.numbers = {0, 1}
    for _ in range(2):
        await reader.fetch()
        assert consumer.places == {OLD: 7, NEW: 0}
    consumer.numbers = set()
    await reader.fetch()
    assert consumer.places == {OLD: 7, NEW: 0}, "not known for a moment"
