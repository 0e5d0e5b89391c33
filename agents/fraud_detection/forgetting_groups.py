"""Takes forgotten customers out of the table of observations on this worker."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agents.fraud_detection.engine.group_key import group_of, head_key, segment_key
from agents.fraud_detection.engine.state import Head, decode_head
from agents.fraud_detection.engine.without_customers import (
    head_without,
    is_empty,
    segment_without,
)
from agents.fraud_detection.recording import PREFIX
from posstream.forgetting.marks import Marks
from tables.partitioned import PartitionedTable, TablePartition

_SLICE: Final = 100


@dataclass(eq=False, kw_only=True)
class ForgettingGroups:
    """Removes customers from groups; `forgotten_customers.ObservationsOfCustomer`."""

    table: PartitionedTable
    #: Called after a change: groups in memory are as they were before.
    changed: Callable[[], None]

    async def forget(self, marks: Marks) -> None:
        """Remove what is from before the marks in all groups of this worker."""
        for number in range(self.table.partitions):
            part, start = TablePartition(self.table, number), b""
            while entries := part.values(start, _SLICE):
                for key, value in entries:
                    self.clean(part, key, value, marks)
                start = entries[-1][0] + b"\0"
                await asyncio.sleep(0)
        await self.table.flush()

    def clean(self, part: TablePartition, key: bytes, value: bytes, marks: Marks) -> None:
        """Remove it in one entry; in that of a head of which nothing is left, with its segments."""
        text = key.decode()
        if text == PREFIX or not marks:
            return
        key_of_head = head_key(text)
        group = group_of(key_of_head)
        if text != key_of_head:
            left = segment_without(value, group, marks)
            is_gone = part.read(key_of_head) is None  # a moment ago, with its group
            if left is not None and not is_gone and part.write(text, left):
                self.changed()
            return
        left = head_without(value, group, marks)
        if left is None:
            return
        segments = segments_of(text, decode_head(left))
        if is_empty(left, map(part.read, segments), group, marks):
            # The head goes last: after a crash it is looked at again.
            for each in (*segments, text):
                part.remove(each)
            self.changed()
        elif part.write(text, left):
            self.changed()


def segments_of(key: str, head: Head) -> list[str]:
    """The keys of a group's segments."""
    return [segment_key(key, number) for number in range(head.first, head.end)]
