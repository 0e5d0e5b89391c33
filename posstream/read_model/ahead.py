"""Keeps what was made of a batch of events while the one before it was written."""

import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from posstream.read_model.projection import ProjectedEvent

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """What was made of the last two batches: one may still wait for the database.

    Args:
        seconds: how long it is of use.
    """

    def __init__(self, *, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._kept: deque[tuple[Sequence[ProjectedEvent], Made, float]] = deque(maxlen=2)

    def put(self, events: Sequence[ProjectedEvent], made: Made) -> None:
        """Keep what was made of a batch."""
        self._kept.append((events, made, time.monotonic()))

    def take(self, events: Sequence[ProjectedEvent]) -> Made | None:
        """What was made of exactly this batch, once; None if there is nothing or it is too old."""
        for kept in self._kept:
            if kept[0] is events:
                self._kept.remove(kept)
                _, made, at = kept
                return made if time.monotonic() - at <= self._seconds else None
        return None
