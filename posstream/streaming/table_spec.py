"""How a plugin declares a Faust table."""

from collections.abc import Callable
from dataclasses import dataclass

from posstream.kafka.topics import TopicSpec


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its changelog, and the topics that need as many partitions as the changelog."""

    name: str
    #: Its name must be `GROUP-NAME-changelog`: Faust writes there.
    changelog: TopicSpec
    #: Topics that bring its entries' events: an event's partition is its entry's partition.
    co_partitioned: tuple[str, ...] = ()
    #: The part of an entry's key that decides its partition; None for an entry that each partition
    #: has of its own.
    placed_by: Callable[[bytes], bytes | None] = lambda key: key

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics that must have the same number of partitions."""
        return (*self.co_partitioned, self.changelog.name)
