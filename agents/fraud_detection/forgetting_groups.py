"""Takes forgotten customers out of the table of observations on this worker."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agents.fraud_detection.engine.group_key import group_of, head_key
from agents.fraud_detection.engine.without_customers import head_without, segment_without
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
        """Remove it in one entry."""
        text = key.decode()
        if text == PREFIX or not marks:
            return
        head = head_key(text)
        without = head_without if text == head else segment_without
        left = without(value, group_of(head), marks)
        if left is not None and part.write(text, left):
            self.changed()
