"""Watches whether co-partitioned topics still have as many partitions as this worker counts.

Kafka lets anybody add partitions to a topic at any time, and the same key belongs to another
partition from then on. A worker that runs meanwhile goes on with its own count:

- A source topic grew: a record in a new partition, which has no entries of the table, is written
  once more to the partition that has them.
- The changelog grew, which `posstream topics grow` does first: the table is *frozen*. It is read,
  and nothing is written, because its entries are being moved; commands for it wait in their topic
  until workers start with the new count.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from posstream.kafka.topics import APP_ID
from posstream.streaming.table_spec import TableSpec

#: How long it may take a worker to see that partitions were added to a topic.
METADATA_SECONDS: Final = 10


class CoPartitioning:
    """The partition counts of one table's topics that a worker's consumer knows; asks no broker.

    Args:
        app: whose consumer it is.
        table: the table.
        partitions: how many the worker counts, POSSTREAM_TOPIC_PARTITIONS.
    """

    def __init__(self, app: Any, table: TableSpec, *, partitions: int) -> None:
        self._app = app
        self._table = table
        self._partitions = partitions
        self._of_changelog = 0

    @property
    def is_frozen(self) -> bool:
        """Whether the table may only be read."""
        return self.of_changelog > self._partitions

    @property
    def of_changelog(self) -> int:
        """How many partitions the changelog has; 0 while that is not known.

        The largest count stays: Kafka removes no partitions, and during an election aiokafka may
        not know the topic.
        """
        self._of_changelog = max(self._of_changelog, self._count(self._table.changelog.name))
        return self._of_changelog

    @property
    def is_apart(self) -> bool:
        """Whether another worker may have the entries of a source partition of this worker.

        Faust assigns topics together only if they have the same number of partitions.
        """
        return self._count(self._table.co_partitioned[0]) != self.of_changelog

    @property
    def misfit(self) -> str | None:
        """A sentence with what is wrong and what to do; None if the counts fit."""
        topics = self._table.topics
        counts = {topic: count for topic in topics if (count := self._count(topic))}
        return misfit(topics, counts, self._partitions)

    def _count(self, topic: str) -> int:
        """How many partitions a topic has; 0 while that is not known."""
        if not self._app.consumer_exists:  # a worker that starts is asked how it is
            return 0
        return self._app.consumer.topic_partitions(topic) or 0


def client_id(partitions: int) -> str:
    """A worker's client id for its broker: it tells how many partitions the worker counts."""
    return f"{APP_ID}-{partitions}-partitions"


def partitions_of_client(client: str) -> int | None:
    """How many partitions the worker of a client id counts; None if it does not tell."""
    told = re.fullmatch(rf"{APP_ID}-(\d+)-partitions", client)
    return None if told is None else int(told[1])


def misfit(topics: Sequence[str], counts: Mapping[str, int], expected: int) -> str | None:
    """A sentence about topics that do not have the number of partitions that a worker counts.

    Args:
        topics: co-partitioned topics.
        counts: topic -> partitions, of those topics that there are.
        expected: POSSTREAM_TOPIC_PARTITIONS.
    """
    wrong = {topic: count for topic, count in counts.items() if count != expected}
    if not wrong:
        return None
    topic, most = max(wrong.items(), key=lambda it: it[1])
    said = f"topic {topic} has {most} partitions, but POSSTREAM_TOPIC_PARTITIONS is {expected}"
    if set(counts.values()) == {most}:
        return f"{said}. Set POSSTREAM_TOPIC_PARTITIONS={most}" + (
            f", or run `posstream topics grow {expected}`" if expected > most else ""
        )
    most = max(expected, *counts.values())
    return (
        f"{said}: {', '.join(topics)} must all have the same number, because an event's "
        f"partition is its cache entry's partition. Run `posstream topics grow {most}`, and start "
        f"the workers again with POSSTREAM_TOPIC_PARTITIONS={most}"
    )
