"""Keeps the groups that were judged last in memory: most events belong to one of them."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from agents.fraud_detection.engine.group_key import segment_key
from agents.fraud_detection.engine.judging import Group
from tables.partitioned import TablePartition

#: With the shipped rules a customer's group takes 5 kB with one scan, 9 kB with one payment, and
#: 18 kB with twelve. Reading such a small group from the table costs about as much CPU as
#: judging one event in it.
_MOST: Final = 10_000


class Held(NamedTuple):
    """One group."""

    #: The head that the table has: a group in memory counts only while it has the same.
    value: bytes | None
    group: Group


class HeldGroups:
    """The groups in memory; the least recently judged one goes first.

    Args:
        most_observations: in all groups. The one that was judged last stays, whatever its size.
        note_read: called when a group is read from the table because it was not in memory.
    """

    def __init__(self, most_observations: Callable[[], int], note_read: Callable[[], None]) -> None:
        self._most_observations = most_observations
        self._note_read = note_read
        #: Not a dict: to find its first key, a dict scans past all that were removed before it.
        self._held: OrderedDict[tuple[int, str], Held] = OrderedDict()
        #: Observations of each group, as it was put back, and of all.
        self._sizes: dict[tuple[int, str], int] = {}
        #: How many observations are in memory.
        self.observations = 0

    def take_out(self, number: int, key: str, value: bytes | None, part: TablePartition) -> Held:
        """A group to judge in; it is in memory again after `put_back`.

        Args:
            number: the number of the partition.
            key: the key of the group.
            value: the head that the table has.
            part: the partition.
        """
        held = self._held.pop((number, key), None)
        self.observations -= self._sizes.pop((number, key), 0)
        if held is not None and held.value == value:
            return held
        if value is not None:
            self._note_read()

        def read(segment: int) -> bytes | None:
            return part.read(segment_key(key, segment))

        return Held(value, Group(value, read))

    def put_back(self, number: int, key: str, held: Held) -> None:
        """Keep a group."""
        self._held[number, key] = held
        self._sizes[number, key] = held.group.size
        self.observations += held.group.size
        most = self._most_observations()
        while len(self._held) > 1 and (len(self._held) > _MOST or self.observations > most):
            oldest, _ = self._held.popitem(last=False)
            self.observations -= self._sizes.pop(oldest)
