"""Counts of all workers from the read model, over some windows that end now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import LookupStatistics
from posstream.domain.times import from_ms

#: The windows with their names, the shortest one first.
WINDOWS: Final = (
    ("last minute", timedelta(minutes=1)),
    ("last 5 minutes", timedelta(minutes=5)),
    ("last hour", timedelta(hours=1)),
)


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted in one of the windows."""

    name: str
    seconds: float
    counted: LookupStatistics

    @property
    def per_second(self) -> float:
        """Lookups per second."""
        return self.counted.split.lookups / self.seconds


@dataclass(frozen=True, slots=True)
class Overall:
    """The windows, as they were at one moment."""

    read_at: datetime
    windows: Sequence[Window]


async def read_overall(read_model: SqlReadModel, now_ms: int) -> Overall:
    """Count all windows."""
    until = from_ms(now_ms)
    begins = [until - length for _, length in WINDOWS]
    counted = await read_model.windows_of_statistics(begins)
    windows = [
        Window(name, length.total_seconds(), it)
        for (name, length), it in zip(WINDOWS, counted, strict=True)
    ]
    return Overall(until, windows)
