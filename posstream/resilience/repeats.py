"""Shortens repeated log lines: the first of a kind in full, then a count once a minute."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from posstream.resilience.clock import Clock

Kind = TypeVar("Kind", bound=Hashable)


class Repeats(Generic[Kind]):
    """Counts events by their kind, for the log. For one event loop.

    Args:
        clock: time.
        per_seconds: between two counts of a kind. A kind that did not happen for this long is
            logged in full again.
    """

    def __init__(self, clock: Clock, *, per_seconds: float = 60) -> None:
        self._clock = clock
        self._per_seconds = per_seconds
        #: By kind: when it was logged last, and how often it happened since.
        self._kinds: dict[Kind, tuple[float, int]] = {}

    def is_first(self, kind: Kind) -> bool:
        """Count one event; True if it is to be logged in full."""
        since, count = self._kinds.get(kind, (None, 0))
        if since is None:
            self._kinds[kind] = self._clock.monotonic(), 0
            return True
        self._kinds[kind] = since, count + 1
        return False

    def due(self) -> Iterator[tuple[Kind, int]]:
        """The kinds to be logged now, and how often each happened since it was logged last."""
        now = self._clock.monotonic()
        for kind, (since, count) in list(self._kinds.items()):
            if now - since < self._per_seconds:
                continue
            if count:
                self._kinds[kind] = now, 0
                yield kind, count
            else:
                del self._kinds[kind]
