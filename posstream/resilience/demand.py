"""The deadlines of those who wait for one shared result, and whether work on it has begun."""

import math


class Demand:
    """The demand for one result. Deadlines are in monotonic seconds.

    A result that nobody waits for has no first deadline: it gives way to everything else.
    """

    __slots__ = ("begun", "first", "last", "moved")

    def __init__(self) -> None:
        self.first = math.inf
        #: Set directly for a result that nobody waits for (a refresh): until then it is of use.
        self.last = -math.inf
        #: Whether the work on the result has begun.
        self.begun = False
        #: Called at each new deadline.
        self.moved = _nobody_listens

    def add(self, deadline: float) -> None:
        """Somebody waits until `deadline`."""
        self.first = min(self.first, deadline)
        self.last = max(self.last, deadline)
        self.moved()


def _nobody_listens() -> None:
    pass
