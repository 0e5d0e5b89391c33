"""Judges past events by a rule that is not in force. Pure."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agents.fraud_detection.engine.facts import TillFacts, group_in, observation_for
from agents.fraud_detection.engine.group_key import group_key, group_of
from agents.fraud_detection.engine.judged import Raised
from agents.fraud_detection.engine.judging import Group
from agents.fraud_detection.rules.plan import plan_of
from agents.fraud_detection.rules.rule import Rule, RuleState

if TYPE_CHECKING:
    from agents.fraud_detection.engine.observation import Observation

#: Nothing is too late: all events are known.
_LATENESS_MS = 1 << 50


def alerts_of(
    rule: Rule, events: Iterable[TillFacts], since_ms: int
) -> list[tuple[Raised, str, dict[str, str]]]:
    """The alerts that a rule would have raised, had every event come in time.

    Args:
        rule: of any state.
        events: in any order; of several revisions, the highest counts.
        since_ms: alerts of events before it are left out.

    Returns:
        each alert with its group as text and by name, in the order of their events.
    """
    plan = plan_of([replace(rule, state=RuleState.SHADOW)])
    (grouping,) = plan.groupings
    #: By event: its highest revision, and its group and observation if it has a group.
    seen: dict[str, tuple[int, tuple[str, Observation] | None]] = {}
    for event in events:
        known = seen.get(event.event_id)
        if known is None or known[0] < event.revision:
            group = group_in(grouping, event)
            grouped = group and (group_key(group), observation_for(grouping, event))
            seen[event.event_id] = event.revision, grouped or None
    those = [grouped for _, grouped in seen.values() if grouped is not None]
    groups: dict[str, Group] = {}
    alerts: list[tuple[Raised, str, dict[str, str]]] = []
    for key, observation in sorted(those, key=lambda it: it[1].place):
        if key not in groups:
            groups[key] = Group()
        judged = groups[key].judge(observation, grouping, _LATENESS_MS)
        alerts += [(it, key, group_of(key)) for it in judged.raised if it.trigger.at_ms >= since_ms]
    return alerts
