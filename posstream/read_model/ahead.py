"""Keeps what was made of a batch of events while the one before it was written."""

import math
import time
from collections.abc import Sequence
from typing import Generic, TypeVar

from posstream.read_model.projection import ProjectedEvent

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """What was made of one batch; the next one replaces it.

    Args:
        seconds: how long it is of use.
    """

    def __init__(self, *, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._kept: tuple[Sequence[ProjectedEvent], Made, float] | None = None

    def put(self, events: Sequence[ProjectedEvent], made: Made) -> None:
        """Keep what was made of a batch."""
        self._kept = events, made, time.monotonic()

    def take(self, events: Sequence[ProjectedEvent]) -> Made | None:
        """What was made of exactly this batch, once; None if there is nothing or it is too old."""
        if self._kept is None or self._kept[0] is not events:
            return None
        _, made, at = self._kept
        self._kept = None
        return made if time.monotonic() - at <= self._seconds else None
