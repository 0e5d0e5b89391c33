"""Counts how far each partition is finished: the offset that may be committed.

The count starts at the group's offset. It passes an offset only if the message there was
acknowledged, or if the log has no such offset. So no commit passes a message that was fetched and
then dropped, whichever part of Faust dropped it.
"""

from collections.abc import Iterator, Mapping

from faust.types import TP

from posstream.streaming.lists.offsets import Offsets


class Progress:
    """The partitions of one worker in one generation. For one event loop."""

    def __init__(self) -> None:
        self._positions: dict[TP, int] = {}
        self._finished: dict[TP, Offsets] = {}

    def __iter__(self) -> Iterator[TP]:
        return iter(list(self._positions))

    def clear(self) -> None:
        """Forget everything: the partitions were assigned anew."""
        self._positions.clear()
        self._finished.clear()

    def begin(self, starts: Mapping[TP, int]) -> None:
        """Start to count at these offsets; a partition that is counted already goes on."""
        for tp, start in starts.items():
            self._positions.setdefault(tp, start)

    def finish(self, tp: TP, start: int, stop: int | None = None) -> None:
        """Note that the messages at one offset, or at `[start, stop)`, need nothing more."""
        self._finished.setdefault(tp, Offsets()).add(start, stop)

    def is_finished(self, tp: TP, offset: int) -> bool:
        """Whether an offset needs nothing more."""
        return offset < (self._positions.get(tp) or 0) or offset in self._finished.get(tp, ())

    def position(self, tp: TP) -> int | None:
        """The first offset that is not finished; None if it is not known where to begin."""
        position = self._positions.get(tp)
        finished = self._finished.get(tp)
        if position is None or finished is None:
            return position
        position = self._positions[tp] = finished.run_from(position)
        finished.forget_below(position)
        return position
