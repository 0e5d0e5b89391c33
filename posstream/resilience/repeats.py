"""Shortens repeated log lines: the first of a kind in full, then a count once a minute."""

from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

from posstream.resilience.clock import Clock

Kind = TypeVar("Kind", bound=Hashable)

#: Between two counts of a kind. A kind that did not happen for this long is logged in full again.
_PER_SECONDS: Final = 60


class Repeats(Generic[Kind]):
    """Counts events by their kind, for the log. For one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: By kind: when it was logged last, and how often it happened since.
        self._kinds: dict[Kind, tuple[float, int]] = {}

    def is_first(self, kind: Kind, times: int = 1) -> bool:
        """Count one event or several; True if one of them is to be logged in full."""
        since, count = self._kinds.get(kind, (None, 0))
        if since is None:
            self._kinds[kind] = self._clock.monotonic(), times - 1
            return True
        self._kinds[kind] = since, count + times
        return False

    def due(self) -> Iterator[tuple[Kind, int]]:
        """The kinds to be logged now, and how often each happened since it was logged last."""
        now = self._clock.monotonic()
        for kind, (since, count) in list(self._kinds.items()):
            if now - since < _PER_SECONDS:
                continue
            if count:
                self._kinds[kind] = now, 0
                yield kind, count
            else:
                del self._kinds[kind]
