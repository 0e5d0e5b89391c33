"""What comes of judging one observation. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.engine.state import Called
from agents.fraud_detection.rules.compiled import CompiledRule
from agents.fraud_detection.rules.rule import RuleState


class Outcome(StrEnum):
    """What an arrival was."""

    COUNTED = "COUNTED"
    #: Its event was known, and another revision of it counted until now.
    REVISED = "REVISED"
    #: It says nothing new.
    REPEATED = "REPEATED"
    #: It is older than what is kept; it changes nothing.
    TOO_LATE = "TOO_LATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alert, with what made it."""

    rule: CompiledRule
    #: The first observation of its episode.
    trigger: Observation
    #: The value when the alert was raised, in ten-thousandths, rounded.
    value: int
    #: Observations in the window, the newest first: at most the newest 50,
    observations: Sequence[Observation]
    #: and how many there were when the alert was raised.
    total: int
    hits: int
    last_hit_ms: int
    #: Of the rule, when the alert was raised,
    called: Called
    config_version: int
    state: RuleState
    #: and whether the rule was snoozed for the group.
    is_snoozed: bool
    #: Whether this arrival raised it; else an earlier delivery of the arrival did.
    is_new: bool

    @property
    def window_end_ms(self) -> int:
        """When the window ends: in it."""
        return self.trigger.at_ms

    @property
    def window_start_ms(self) -> int:
        """When the window starts: not in it."""
        return self.trigger.at_ms - self.rule.window_ms


@dataclass(frozen=True, slots=True)
class Grown:
    """An alert that was raised before and has further hits now, or had when told before."""

    rule: CompiledRule
    #: The id of the event that triggered it; `Group.alert` gives the rest.
    triggered_by: str
    hits: int
    last_hit_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One change of the table."""

    #: None for the head of the group, else the number of one of its segments.
    segment: int | None
    #: None removes it.
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What comes of one arrival."""

    outcome: Outcome
    #: New alerts, and those that an earlier delivery of the same event raised.
    raised: Sequence[Raised] = ()
    grown: Sequence[Grown] = ()
    #: Rules whose window has more observations than a group keeps.
    too_large: Sequence[CompiledRule] = ()
