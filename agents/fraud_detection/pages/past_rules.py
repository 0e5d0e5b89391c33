"""Finds the rule of an alert, as it was when the alert was raised."""

from collections.abc import Mapping

from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.rules.compiled import version_of
from agents.fraud_detection.rules.rule import Rule
from posstream.configuration.editing import LiveConfiguration
from posstream.configuration.version import UNEDITED
from posstream.domain.errors import InvalidConfiguration


def rules_in_force(live: LiveConfiguration[FraudConfiguration]) -> Mapping[str, Rule]:
    """The rules in force here, by their version."""
    return {version_of(rule): rule for rule in live.current.value.rules}


async def rule_of(
    raised: FraudAlertRaised, live: LiveConfiguration[FraudConfiguration]
) -> Rule | None:
    """The rule of an alert, also one that was changed or deleted since.

    None if the history does not have it any more, such as a shipped rule of another release.
    """
    found = rules_in_force(live).get(raised.rule_version)
    if found is not None:
        return found
    number = raised.config_version
    version = UNEDITED if number == 0 else await live.store.find(number)
    if version is None:
        return None
    try:
        rules = live.current.effective(version).rules
    except InvalidConfiguration:  # what another release took
        return None
    return next((rule for rule in rules if version_of(rule) == raised.rule_version), None)
