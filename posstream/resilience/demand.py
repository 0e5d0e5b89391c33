"""Collects the deadlines of all callers that wait for one shared result."""

import math


class Demand:
    """The deadlines for one result, in monotonic seconds, and whether work on it has begun.

    A result without a waiting caller (a refresh) has no first deadline: all others go first.
    """

    __slots__ = ("begun", "first", "last", "moved")

    def __init__(self) -> None:
        self.first = math.inf
        #: A refresh has no waiting caller: its last deadline is set directly.
        self.last = -math.inf
        #: Whether the work on the result has begun.
        self.begun = False
        #: Called at each new deadline.
        self.moved = _nobody_listens

    def add(self, deadline: float) -> None:
        """Add the deadline of one more caller."""
        self.first = min(self.first, deadline)
        self.last = max(self.last, deadline)
        self.moved()


def _nobody_listens() -> None:
    pass
