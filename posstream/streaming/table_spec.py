"""How a plugin declares a Faust table."""

from dataclasses import dataclass

from posstream.kafka.topics import TopicSpec


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its changelog, and the topics whose partitions must be as many."""

    name: str
    changelog: TopicSpec
    #: Topics that bring its entries' events: an event's partition is its entry's partition.
    co_partitioned: tuple[str, ...] = ()
