"""The rules that this worker judges by, and what their groups record."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from agents.fraud_detection.budget import Budgets
from agents.fraud_detection.configuration import FraudConfiguration, Snooze
from agents.fraud_detection.rules.plan import Need, Plan, plan_of
from agents.fraud_detection.rules.rule import RuleState
from agents.fraud_detection.snoozed_groups import covers
from posstream.configuration.current import CurrentConfiguration
from posstream.domain.times import parse_utc, to_ms
from posstream.findings import Finding
from posstream.resilience.clock import Clock

_NOTHING: Final = Plan()
#: Within this time every worker follows an edit (contract, section 4).
_FOLLOWED_MS: Final = 2_000


class CurrentRules:
    """Follows the live configuration and the budgets of the rules.

    Args:
        configuration: the plugin's.
        clock: time.
    """

    def __init__(
        self, configuration: CurrentConfiguration[FraudConfiguration], clock: Clock
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self.budgets = Budgets(clock, self._make)
        self.plan = _NOTHING
        #: Needs that were recorded once and are not now. A partition may not see that they were
        #: gone: the rules can change twice within a second.
        self._gone: set[Need] = set()
        #: A need that was gone -> since when it is recorded again, in ms since 1970.
        self._again_since: dict[Need, int] = {}
        self._snoozes: Sequence[tuple[Snooze, int]] = ()
        configuration.watch(self._follow)

    @property
    def values(self) -> FraudConfiguration:
        """The configuration in force."""
        return self._configuration.value

    @property
    def lateness_ms(self) -> int:
        """How long after it happened an event is judged."""
        return self.values.lateness_seconds * 1000

    def is_snoozed(self, rule_id: str, group: dict[str, str]) -> bool:
        """Whether a rule's alerts of a group are not published now."""
        now_ms = self._clock.now_ms()
        return any(
            until_ms > now_ms and covers(it, rule_id, group) for it, until_ms in self._snoozes
        )

    def warnings(self) -> Sequence[Finding]:
        """A finding for each rule that is paused by its own budget."""
        return [
            Finding(
                code="RULE_PAUSED",
                sentence=f"the rule {rule_id} is paused on this worker: {why}",
                next_step="Edit the rule or raise the limit, and it goes on",
                link="/fraud/rules",
            )
            for rule_id, why in self.budgets.held.items()
        ]

    def _follow(self, values: FraudConfiguration) -> None:
        self.budgets.follow(values)
        untils = ((it, parse_utc(it.until)) for it in values.snoozes)
        self._snoozes = [(it, to_ms(until)) for it, until in untils if until is not None]
        self._make()

    def _make(self) -> None:
        held = self.budgets.held
        plan = (
            plan_of(
                (
                    replace(it, state=RuleState.PAUSED) if it.id in held else it
                    for it in self.values.rules
                ),
                most_observations=self.values.most_observations_per_group,
                config_version=self.values.version,
            )
            if self.values.enabled
            else _NOTHING
        )
        before, now = self.plan.needs, plan.needs
        since_ms = self._clock.now_ms() + _FOLLOWED_MS
        self._again_since |= dict.fromkeys(now & self._gone, since_ms)
        self._gone = (self._gone | before) - now
        again_since = dict(self._again_since)
        self.plan = dataclasses.replace(plan, since_ms=since_ms, again_since=again_since)
