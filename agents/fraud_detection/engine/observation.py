"""One event as the rules of a grouping see it. Pure."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

#: A fact: a number is a whole number of ten-thousandths.
Fact = int | str
#: Where an observation stands among those of its group: by time, then by id.
Place = tuple[int, str]
#: Minus this is before all times, and this is after all times.
EVER: Final = 1 << 62

LOGGED_IN: Final = "EMPLOYEE_LOGGED_IN"
LOGGED_OUT: Final = "EMPLOYEE_LOGGED_OUT"
#: The type of an event that has moved to another group: no rule is on it.
WITHDRAWN: Final = "WITHDRAWN"
#: Types that an observation has besides its own.
_FURTHER: Final[Mapping[str, frozenset[str]]] = {
    "CUSTOMER_LOOKUP_FAILED": frozenset({"CUSTOMER_LOOKUP_FAILED", "CUSTOMER_IDENTIFIED"}),
}


class Observation(Struct, frozen=True, array_like=True, gc=False):
    """One event of a group. It is kept by position: new fields go to the end, with a default.

    Of two observations with one `event_id`, the one with the higher `revision` counts.
    """

    event_id: str
    revision: int
    #: When it happened, in ms since 1970; no more than the broker's clock allows.
    at_ms: int
    #: When its message came to the broker.
    written_ms: int
    event_type: str
    #: Those that a rule of the grouping reads, and the ids; what is absent is left out.
    facts: dict[str, Fact]
    #: The facts that were asked for at the event (`fields.bits_of`). If a fact that was not asked
    #: for is absent here, the event may still have it. -1: all were asked for.
    recorded: int = -1
    #: Whether it was read back, and has not come by itself: not all rules have judged it.
    is_read_back: bool = False

    @property
    def place(self) -> Place:
        """Its place in the order of the group."""
        return self.at_ms, self.event_id

    def says_the_same(self, other: "Observation") -> bool:
        """Whether two revisions of an event differ in nothing that rules read."""
        return (
            self.place == other.place
            and self.event_type == other.event_type
            and self.facts == other.facts
            and self.recorded == other.recorded
        )

    @property
    def is_of_session(self) -> bool:
        """Whether an employee logged in or out."""
        return self.event_type in {LOGGED_IN, LOGGED_OUT}


def types_of(event_type: str) -> frozenset[str]:
    """Every type that an event of a type has: a scan without an answer is a scan, too."""
    return _FURTHER.get(event_type) or frozenset({event_type})
