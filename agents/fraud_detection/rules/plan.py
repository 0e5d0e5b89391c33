"""Works out what is to be recorded for a set of rules, by grouping. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from agents.fraud_detection.engine.observation import LOGGED_IN, LOGGED_OUT, types_of
from agents.fraud_detection.rules.checks import fields_read
from agents.fraud_detection.rules.compiled import CompiledRule, compiled
from agents.fraud_detection.rules.fields import APART, IDS, bits_of
from agents.fraud_detection.rules.rule import Rule, RuleState

#: What a rule needs that reads the session of the employee.
OF_SESSION: Final = frozenset({LOGGED_IN, LOGGED_OUT})
ANY_NUMBER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class GroupingPlan:
    """What the rules of one grouping need, PAUSED ones too."""

    grouping: tuple[str, ...]
    #: Types of events that are recorded.
    types: frozenset[str]
    #: Facts that are recorded; the ids are among them.
    facts: frozenset[str]
    #: These facts as `Observation.recorded` has them.
    recorded: int
    widest_window_ms: int
    #: Whether a rule reads the session of the employee.
    needs_session: bool
    #: The rules that are judged: ACTIVE and SHADOW.
    rules: tuple[CompiledRule, ...]
    #: How many observations a group keeps at most.
    most_observations: int = ANY_NUMBER
    #: The version of the configuration that has these rules.
    config_version: int = 0

    @property
    def needs(self) -> frozenset[str]:
        """The types and facts that are recorded."""
        return self.types | self.facts


#: A grouping, and a type or fact that its rules need.
Need = tuple[tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be recorded for a set of rules."""

    by_grouping: Mapping[tuple[str, ...], GroupingPlan] = field(default_factory=dict)
    #: From this time on every worker records all needs, in ms since 1970.
    since_ms: int = 0
    #: A need that was not recorded for a while -> since when it is again, in ms since 1970.
    again_since: Mapping[Need, int] = field(default_factory=dict)
    #: Groupings by type of event; filled as types are asked for: there are some fifteen.
    _using: dict[str, tuple[GroupingPlan, ...]] = field(default_factory=dict, compare=False)

    @property
    def groupings(self) -> Iterable[GroupingPlan]:
        """Each grouping that any rule uses."""
        return self.by_grouping.values()

    @property
    def needs(self) -> frozenset[Need]:
        """Everything that is recorded."""
        return frozenset((it.grouping, need) for it in self.groupings for need in it.needs)

    def using(self, event_type: str) -> Iterable[GroupingPlan]:
        """The groupings that have a use for events of a type."""
        known = self._using.get(event_type)
        if known is None:
            types = types_of(event_type)
            known = tuple(it for it in self.groupings if not it.types.isdisjoint(types))
            self._using[event_type] = known
        return known


def plan_of(
    rules: Iterable[Rule], *, most_observations: int = ANY_NUMBER, config_version: int = 0
) -> Plan:
    """The plan of the rules in one version of the configuration."""
    of: dict[tuple[str, ...], list[CompiledRule]] = {}
    for rule in rules:
        made = compiled(rule)
        of.setdefault(made.grouping, []).append(made)
    return Plan(
        {
            grouping: replace(
                _planned(grouping, those),
                most_observations=most_observations,
                config_version=config_version,
            )
            for grouping, those in sorted(of.items())
        }
    )


def _planned(grouping: tuple[str, ...], rules: Sequence[CompiledRule]) -> GroupingPlan:
    types = {str(event_type) for it in rules for event_type in it.rule.on}
    facts = (frozenset(IDS).union(*map(_fields, rules))) - APART
    needs_session = any(it.reads_session for it in rules)
    return GroupingPlan(
        grouping=grouping,
        types=frozenset(types) | (OF_SESSION if needs_session else frozenset()),
        facts=facts,
        recorded=bits_of(facts),
        widest_window_ms=max(it.window_ms for it in rules),
        needs_session=needs_session,
        rules=tuple(it for it in rules if it.rule.state is not RuleState.PAUSED),
    )


@lru_cache(maxsize=1024)
def _fields(it: CompiledRule) -> frozenset[str]:
    return fields_read(it.rule)
