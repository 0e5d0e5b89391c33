"""The mutations: a verdict about an alert, and a snooze of a rule. For operators."""

from typing import Any, Final

import graphene

from agents.fraud_detection import verdict as verdicts
from agents.fraud_detection.graphql.types import FraudAlertType, Verdict, alert_fields
from agents.fraud_detection.resolving import resolve_alert
from agents.fraud_detection.snoozing import MAX_MINUTES, snooze_rule
from posstream.domain.roles import Role
from posstream.domain.times import iso_utc
from web.graphql.context import GraphQLContext
from web.graphql.types import JSONString, MutationError

#: The name of whoever changes something if there are no keys.
_UNKNOWN: Final = "graphql"


class ResolveFraudAlert(graphene.Mutation):  # graphene is untyped
    """Say what was found out about an alert. The newest verdict counts, the others are kept."""

    class Arguments:
        """The alert and the verdict."""

        alert_id = graphene.ID(required=True)
        verdict = Verdict(required=True)
        note = graphene.String(description=f"At most {verdicts.MAX_NOTE} characters.")

    success = graphene.Boolean(required=True)
    alert = graphene.Field(FraudAlertType, description="With this verdict.")
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(
        _root: None, info: Any, alert_id: str, verdict: Any, note: str | None = None
    ) -> dict[str, Any]:
        """Write the verdict; `success` means that the broker acknowledged it."""
        context: GraphQLContext = info.context
        outcome = await resolve_alert(
            context, alert_id, verdicts.Verdict(verdict.value), note, by=_by(context)
        )
        return {
            "success": outcome.success,
            "alert": None if outcome.alert is None else alert_fields(outcome.alert),
            "error": outcome.error,
        }


class SnoozeFraudRule(graphene.Mutation):  # graphene is untyped
    """Publish no alerts of a rule for a time. They are listed all the same."""

    class Arguments:
        """What is snoozed, for how long, and why."""

        rule_id = graphene.String(required=True)
        group = JSONString(
            description="A text for each name of the rule's `group_by`; without it, every group."
        )
        minutes = graphene.Int(
            required=True, description=f"From now, up to {MAX_MINUTES}. 0 ends the snooze."
        )
        reason = graphene.String(description="Needed unless the snooze is ended.")

    success = graphene.Boolean(required=True)
    until = graphene.String(description="ISO-8601, UTC.")
    version = graphene.Int(description="The newest version of the configuration.")
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(
        _root: None,
        info: Any,
        *,
        rule_id: str,
        minutes: int,
        group: object = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """Write the next version of the configuration."""
        context: GraphQLContext = info.context
        outcome = await snooze_rule(context, rule_id, group, minutes, reason or "", by=_by(context))
        return {
            "success": outcome.success,
            "until": iso_utc(outcome.until),
            "version": outcome.version,
            "error": outcome.error,
        }


def _by(context: GraphQLContext) -> str:
    return context.caller.name if context.caller.keyed else _UNKNOWN


MUTATIONS: Final = {
    "resolve_fraud_alert": ResolveFraudAlert,
    "snooze_fraud_rule": SnoozeFraudRule,
}
PERMISSIONS: Final = dict.fromkeys(MUTATIONS, Role.OPERATOR)
