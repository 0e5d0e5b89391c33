"""Moves entries of the cache's changelog to the partitions where their keys belong.

For a changelog that was given partitions, while no worker writes to it. An entry is first copied,
and deleted in its old partition once the broker has the copy. After `kill -9` between the two steps
the entry is in both partitions, and the next run finishes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from posstream.kafka.partitioner import partition_of

#: Records that are on their way to the broker at once.
BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """One record for the changelog; without a value it deletes the entry."""

    partition: int
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class _Misplaced:
    written_at_ms: int
    value: bytes
    partitions: frozenset[int]


#: The part of a key that decides the partition; None: the entry stays where it is.
PlacedBy = Callable[[bytes], bytes | None]


async def misplaced(
    read: Callable[[], AsyncIterator[Any]], partitions: int, placed_by: PlacedBy
) -> dict[bytes, _Misplaced]:
    """The entries that are not in the partition of their key.

    Args:
        read: the changelog's records as aiokafka has them, each partition in its order.
        partitions: how many the changelog has.
        placed_by: see `TableSpec`.
    """
    found: dict[bytes, dict[int, tuple[int, bytes]]] = {}
    async for record in read():
        decides = placed_by(record.key)
        if decides is None or partition_of(decides, partitions) == record.partition:
            continue
        if record.value is None:
            found.get(record.key, {}).pop(record.partition, None)
        else:
            places = found.setdefault(record.key, {})
            places[record.partition] = record.timestamp, record.value
    return {
        key: _Misplaced(*max(places.values()), frozenset(places))
        for key, places in found.items()
        if places
    }


async def move(
    read: Callable[[], AsyncIterator[Any]],
    write: Callable[[list[Change]], Awaitable[None]],
    partitions: int,
    placed_by: PlacedBy,
) -> int:
    """Move the misplaced entries.

    A newer record in the entry's own partition stays, even if that record is a deletion.

    Args:
        read: see `misplaced`.
        write: writes changes, and returns when the broker has them all.
        partitions: how many the changelog has.
        placed_by: see `TableSpec`.

    Returns:
        how many entries were moved.
    """
    found = await misplaced(read, partitions, placed_by)
    if not found:
        return 0
    homes = {key: partition_of(placed_by(key) or b"", partitions) for key in found}
    at_home_ms: dict[bytes, int] = {}
    async for record in read():
        if record.key in found and homes[record.key] == record.partition:
            at_home_ms[record.key] = record.timestamp
    copies = [
        Change(homes[key], key, it.value)
        for key, it in found.items()
        if at_home_ms.get(key, -1) < it.written_at_ms
    ]
    deletions = [
        Change(partition, key, None) for key, it in found.items() for partition in it.partitions
    ]
    for changes in (copies, deletions):
        for start in range(0, len(changes), BATCH):
            await write(changes[start : start + BATCH])
    return len(found)
