"""Keeps the groups that were judged last in memory: most events belong to one of them."""

from typing import Final, NamedTuple

from agents.fraud_detection.engine.group_key import segment_key
from agents.fraud_detection.engine.judging import Group
from tables.partitioned import TablePartition

#: More groups than the tills of one worker have busy.
_MOST: Final = 5_000


class Held(NamedTuple):
    """One group."""

    #: The head that the table has: a group in memory counts only while it has the same.
    value: bytes | None
    group: Group


class HeldGroups:
    """The groups in memory; the least recently judged one goes first."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], Held] = {}

    def take_out(self, number: int, key: str, part: TablePartition) -> Held:
        """A group to judge in; it is in memory again after `put_back`."""
        value = part.read(key)
        held = self._held.pop((number, key), None)
        if held is not None and held.value == value:
            return held

        def read(segment: int | None) -> bytes | None:
            return value if segment is None else part.read(segment_key(key, segment))

        return Held(value, Group(read))

    def put_back(self, number: int, key: str, held: Held) -> None:
        """Keep a group."""
        self._held[number, key] = held
        if len(self._held) > _MOST:
            del self._held[next(iter(self._held))]
