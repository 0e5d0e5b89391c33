"""What a rule would have done: the question, and its answer. Pure."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agents.fraud_detection.events.outputs import FraudAlertRaised

#: How far back a preview may look: as long as the events of tills are kept.
MAX_HOURS: Final = 7 * 24
#: Alerts that a preview shows.
SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Previewed:
    """How often a rule would have fired."""

    count: int
    #: The newest ones, at most `SHOWN`.
    alerts: Sequence[FraudAlertRaised] = ()


@dataclass(frozen=True, slots=True)
class PreviewRefused:
    """Why there is no preview; the message is for the caller."""

    code: str
    message: str


#: Judges the events of this many hours by a rule, given as JSON.
Preview = Callable[[Mapping[str, Any], int], Awaitable[Previewed | PreviewRefused]]
