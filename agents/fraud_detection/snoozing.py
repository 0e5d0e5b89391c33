"""Snoozes a rule for a time, for one group or for all: an edit of the live configuration.

GraphQL's mutation and the pages use this module. Expired snoozes go with the next edit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from agents.fraud_detection.configuration import FraudConfiguration, Snooze
from agents.fraud_detection.fraud_ports import live_configuration
from agents.fraud_detection.rules.rule import GroupField
from agents.fraud_detection.snoozed_groups import hashed
from posstream.configuration.editing import Changed, Note, RefusalCode
from posstream.domain.times import from_ms, iso_utc, parse_utc
from web.graphql.context import GraphQLContext, Refused, is_sound

#: A month: what is known longer belongs into the rule.
MAX_MINUTES: Final = 31 * 24 * 60
_MAX_REASON: Final = 512
#: How often an edit is tried while others edit the same configuration.
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The outcome; `success` means that the broker has the new configuration."""

    success: bool
    #: Until when; None if the snooze was ended.
    until: datetime | None = None
    #: The newest version of the configuration.
    version: int | None = None
    error: Refused | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is asked for, as it was given."""

    rule_id: str
    group: object
    #: None: the snooze is ended.
    until: datetime | None
    reason: str
    by: str

    def snooze(self, group: dict[GroupField, str], until: datetime) -> Snooze:
        """The snooze of a group."""
        return Snooze(
            rule_id=self.rule_id,
            group=group,
            author=self.by,
            reason=self.reason,
            until=iso_utc(until),
        )


async def snooze_rule(  # noqa: PLR0913 - one for each argument of the mutation
    context: GraphQLContext,
    rule_id: str,
    group: object,
    minutes: int,
    reason: str,
    *,
    by: str,
) -> Snoozed:
    """Snooze a rule, or end its snooze.

    Args:
        context: of the request; its caller is an operator.
        rule_id: of a rule in the configuration.
        group: an object with a text for each name of the rule's `group_by`; empty or None = all
            groups.
        minutes: from now on, up to `MAX_MINUTES`; 0 ends the snooze of exactly this group.
        reason: for people; needed unless the snooze is ended.
        by: who does it.
    """
    if not 0 <= minutes <= MAX_MINUTES:
        return _refused("INVALID_MINUTES", f"minutes must be from 0 to {MAX_MINUTES}")
    if minutes and not (reason.strip() and len(reason) <= _MAX_REASON):
        return _refused("INVALID_REASON", f"reason must be 1 to {_MAX_REASON} characters")
    now = from_ms(context.clock.now_ms())
    until = now + timedelta(minutes=minutes) if minutes else None
    wish = _Wish(rule_id, {} if group is None else group, until, reason.strip(), by)
    outcome = await _tried(context, wish, now)
    for _ in range(_TRIES):
        if outcome.error is None or outcome.error.code != RefusalCode.CONFLICT:
            break
        outcome = await _tried(context, wish, now)
    return outcome


def in_force(configuration: FraudConfiguration, now: datetime) -> list[Snooze]:
    """The snoozes that have not ended."""
    return [
        it
        for it in configuration.snoozes
        if (until := parse_utc(it.until)) is not None and until > now
    ]


async def _tried(context: GraphQLContext, wish: _Wish, now: datetime) -> Snoozed:
    live = live_configuration(context)
    latest = await live.latest()
    value = live.current.effective(latest)
    group = _group(context, value, wish)
    if isinstance(group, Refused):
        return Snoozed(success=False, version=latest.version, error=group)
    others = [
        it for it in in_force(value, now) if (it.rule_id, hashed(it.group)) != (wish.rule_id, group)
    ]
    new = [] if wish.until is None else [wish.snooze(group, wish.until)]
    what = "snooze" if new else "end the snooze of"
    outcome = await live.edit(
        {"snoozes": msgspec.to_builtins([*others, *new])},
        note=Note(
            by=wish.by,
            description=f"{what} {wish.rule_id}",
            expected_version=latest.version,
        ),
    )
    if isinstance(outcome, Changed):
        return Snoozed(success=True, until=wish.until, version=outcome.version.version)
    error = Refused(outcome.code, outcome.message)
    return Snoozed(success=False, version=outcome.version, error=error)


def _group(
    context: GraphQLContext, configuration: FraudConfiguration, wish: _Wish
) -> dict[GroupField, str] | Refused:
    """The group of a snooze, with the names in the order of the rule."""
    rule = next((it for it in configuration.rules if it.id == wish.rule_id), None)
    if rule is None:
        return Refused("UNKNOWN_RULE", "there is no rule with this ruleId")
    names, group = rule.group_by, wish.group
    if not isinstance(group, Mapping) or set(group) not in (set(), set(names)):
        return Refused("INVALID_GROUP", f"group must be an object with {' and '.join(names)}")
    given: Mapping[str, Any] = group
    if not all(isinstance(text, str) and is_sound(text) for text in given.values()):
        return Refused("INVALID_GROUP", "each value of group must be 1 to 256 characters of text")
    read = {name: context.references.read(given[name]) for name in names if name in given}
    return {GroupField(name): value for name, value in hashed(read).items()}


def _refused(code: str, message: str) -> Snoozed:
    return Snoozed(success=False, error=Refused(code, message))
