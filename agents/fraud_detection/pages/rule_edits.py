"""Changes one rule in the live configuration, on top of what others changed meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from agents.fraud_detection.configuration import FraudConfiguration
from posstream.configuration.editing import (
    Changed,
    LiveConfiguration,
    Note,
    RefusalCode,
    Refused,
)
from posstream.configuration.model import values_of
from posstream.configuration.version import UNEDITED, ConfigurationVersion

Live = LiveConfiguration[FraudConfiguration]
#: A rule as JSON.
RuleDocument = Mapping[str, Any]
#: How often an edit is tried while others edit the same configuration.
_TRIES: Final = 5


def rules_in(live: Live, version: ConfigurationVersion) -> Sequence[RuleDocument]:
    """The rules of a version."""
    found: Sequence[RuleDocument] | None = version.config.get("rules")
    return values_of(live.current.defaults)["rules"] if found is None else found


def with_rule(
    rules: Sequence[RuleDocument], rule: RuleDocument, was: str
) -> Sequence[RuleDocument]:
    """A list with one rule put in the place of another one.

    Args:
        rules: not changed.
        rule: the new one.
        was: the id of the rule that it replaces; if there is none with this id, it is added.
    """
    if was not in {it["id"] for it in rules}:
        return [*rules, rule]
    return [rule if it["id"] == was else it for it in rules]


def check(live: Live, newest: ConfigurationVersion, rules: Sequence[RuleDocument]) -> None:
    """Check a list of rules as an edit would.

    Raises:
        InvalidConfiguration: naming the place, such as `rules[2].limit`.
    """
    config = {**newest.config, "rules": rules}
    live.current.effective(ConfigurationVersion(newest.version, newest.enabled, config))


async def is_changed_since(
    live: Live, newest: ConfigurationVersion, seen: int, rule_id: str
) -> bool:
    """Whether somebody changed or deleted a rule since a version of the configuration."""
    if seen == newest.version or not rule_id:
        return False
    old = UNEDITED if seen == 0 else await live.store.find(seen)
    if old is None:
        return True
    before, now = (
        [it for it in rules_in(live, version) if it["id"] == rule_id] for version in (old, newest)
    )
    return before != now


async def change_rule(
    live: Live,
    rule_id: str,
    change: Callable[[RuleDocument], RuleDocument | None],
    *,
    by: str,
    what: str,
) -> Changed | Refused | None:
    """Change or delete one rule, whatever others change meanwhile; None if there is no such rule.

    Args:
        live: of the plugin.
        rule_id: which one.
        change: gives the rule as it shall be; None deletes it.
        by: who does it.
        what: in a word, for the history: `pause`.
    """
    outcome: Changed | Refused | None = None
    for _ in range(_TRIES):
        newest = await live.latest()
        rules = rules_in(live, newest)
        if rule_id not in {it["id"] for it in rules}:
            return None
        changed = [change(it) if it["id"] == rule_id else it for it in rules]
        note = Note(by=by, description=f"{what} {rule_id}", expected_version=newest.version)
        outcome = await live.edit({"rules": [it for it in changed if it is not None]}, note=note)
        if isinstance(outcome, Changed) or outcome.code != RefusalCode.CONFLICT:
            break
    return outcome
