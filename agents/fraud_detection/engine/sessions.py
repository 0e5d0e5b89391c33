"""When an employee logged in and out, to tell how old the session is at an observation. Pure."""

from bisect import bisect_left, bisect_right, insort
from typing import Final

from agents.fraud_detection.engine.observation import LOGGED_IN, Observation, Place
from agents.fraud_detection.engine.state import Session
from posstream.domain.money import ONE

_MS_FACTOR: Final = ONE // 1000


class Sessions:
    """The logins and logouts of a group, in their order.

    Args:
        oldest: the last one among those that are gone.
    """

    __slots__ = ("_known",)

    def __init__(self, oldest: Session | None = None) -> None:
        self._known: list[Session] = [] if oldest is None else [oldest]

    def age_at(self, place: Place) -> int | None:
        """Seconds since the login, in ten-thousandths; None if nobody is logged in."""
        index = bisect_right(self._known, place, key=_place)
        if not index or not self._known[index - 1].is_login:
            return None
        return (place[0] - self._known[index - 1].at_ms) * _MS_FACTOR

    def put(self, it: Observation) -> None:
        """Count a login or logout."""
        insort(self._known, Session(it.at_ms, it.event_id, it.event_type == LOGGED_IN))

    def take_out(self, place: Place) -> None:
        """Count a login or logout no more."""
        index = bisect_left(self._known, place, key=_place)
        if index < len(self._known) and _place(self._known[index]) == place:
            del self._known[index]

    def forget(self, horizon_ms: int) -> Session | None:
        """Let those go that are up to a time, and give the last one of them."""
        index = bisect_left(self._known, (horizon_ms + 1, ""), key=_place)
        if index:
            del self._known[: index - 1]
            return self._known[0]
        return None


def _place(it: Session) -> Place:
    return it.at_ms, it.event_id
