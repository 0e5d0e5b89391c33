"""A set of offsets of one partition, kept as ranges."""

from bisect import bisect_right


class Offsets:
    """A growing set of offsets: a single range, unless some were left out."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []

    def add(self, start: int, stop: int | None = None) -> None:
        """Add one offset, or those of `[start, stop)`."""
        stop = start + 1 if stop is None else stop
        ranges = self._ranges
        if ranges and ranges[-1][1] == start:  # most offsets follow the one before
            ranges[-1][1] = stop
            return
        left = bisect_right(ranges, start, key=_first)
        if left and start <= ranges[left - 1][1]:
            left -= 1
        right = bisect_right(ranges, stop, key=_first)
        met = ranges[left:right]
        if met:
            start, stop = min(start, met[0][0]), max(stop, met[-1][1])
        ranges[left:right] = [[start, stop]]

    def __contains__(self, offset: int) -> bool:
        return self.run_from(offset) > offset

    def run_from(self, start: int) -> int:
        """The first offset at or after `start` that is not in the set."""
        at = bisect_right(self._ranges, start, key=_first)
        return max(start, self._ranges[at - 1][1]) if at else start

    def forget_below(self, offset: int) -> None:
        """Drop the ranges that end at or below an offset."""
        while self._ranges and self._ranges[0][1] <= offset:
            del self._ranges[0]


def _first(span: list[int]) -> int:
    return span[0]
