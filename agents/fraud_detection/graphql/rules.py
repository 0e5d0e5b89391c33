"""The rules with what their alerts say of them, and what a rule would have done."""

from datetime import timedelta
from typing import Any, Final

import graphene
import msgspec

from agents.fraud_detection.fraud_ports import fraud_ports, live_configuration
from agents.fraud_detection.graphql.types import (
    FraudAlertType,
    Severity,
    State,
    raised_fields,
)
from agents.fraud_detection.preview import Previewed
from agents.fraud_detection.previewing import preview_rule
from agents.fraud_detection.read_model.records import RuleFigures
from agents.fraud_detection.rules.rule import RuleState
from agents.fraud_detection.shown_names import shown_fields
from agents.fraud_detection.snoozing import in_force
from posstream.domain.roles import Role
from posstream.domain.times import from_ms
from web.graphql.context import GraphQLContext, Refused, refusal
from web.graphql.types import ContractType, JSONString, MutationError

_DAY: Final = timedelta(hours=24)
_DEFAULT_HOURS: Final = 24


class FraudSnooze(ContractType):  # graphene is untyped
    """For how long the alerts of a rule are not published."""

    group = JSONString(required=True, description="Empty = every group.")
    author = graphene.String(required=True)
    reason = graphene.String(required=True)
    until = graphene.String(required=True, description="ISO-8601, UTC.")

    @staticmethod
    def resolve_group(snooze: Any, info: Any) -> dict[str, str]:
        """As the caller may see it."""
        return shown_fields(info.context.reveals, snooze.group)


class FraudRule(ContractType):  # graphene is untyped
    """A rule of the live configuration, and what its alerts say of it."""

    rule_id = graphene.String(required=True)
    name = graphene.String(required=True)
    severity = graphene.Field(Severity, required=True)
    state = graphene.Field(State, required=True)
    rule = JSONString(required=True, description="As in the configuration.")
    warming = graphene.Int(
        description="How much of the past events that the rule missed it has read, in percent; "
        "null if it misses none. Until then its alerts may have completeFrom."
    )
    alerts_in_day = graphene.Int(
        required=True, description="Of the last 24 h, without those from while it was SHADOW."
    )
    shadow_alerts_in_day = graphene.Int(required=True)
    confirmed = graphene.Int(required=True, description="Alerts, ever.")
    false_positives = graphene.Int(required=True, description="Alerts, ever.")
    precision = graphene.Float(
        description="confirmed / (confirmed + falsePositives); null while there is no verdict."
    )
    snoozes = graphene.List(
        graphene.NonNull(FraudSnooze), required=True, description="Those in force."
    )


class FraudRulePreview(ContractType):  # graphene is untyped
    """What a rule would have done."""

    count = graphene.Int(description="How often it would have fired; null if it was refused.")
    alerts = graphene.List(
        graphene.NonNull(FraudAlertType), required=True, description="The newest ten."
    )
    error = graphene.Field(MutationError, description="Why there is no answer.")


class FraudRulesQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that tells of rules."""

    fraud_rules = graphene.List(
        graphene.NonNull(FraudRule),
        required=True,
        description="The rules in force on the worker that answers, in their order.",
    )
    preview_fraud_rule = graphene.Field(
        FraudRulePreview,
        required=True,
        rule=JSONString(required=True, description="As in the configuration."),
        hours=graphene.Int(default_value=_DEFAULT_HOURS, description="Back from now."),
        description="How often a rule would have fired, before it is saved. For operators.",
    )

    @staticmethod
    async def resolve_fraud_rules(_root: None, info: Any) -> list[dict[str, Any]]:
        """Every rule, those without alerts too."""
        context: GraphQLContext = info.context
        now = from_ms(context.clock.now_ms())
        alerts = fraud_ports(context).alerts
        figures, warming = await alerts.figures(now - _DAY), await alerts.warming(now)
        value = live_configuration(context).current.value
        snoozes = in_force(value, now)
        return [
            {
                "rule_id": rule.id,
                "name": rule.name,
                "severity": rule.severity.value,
                "state": rule.state.value,
                "rule": msgspec.to_builtins(rule),
                "warming": warming.get(rule.id),
                "alerts_in_day": known.live,
                "shadow_alerts_in_day": known.shadow,
                "confirmed": known.confirmed,
                "false_positives": known.false_positives,
                "precision": known.precision,
                "snoozes": [it for it in snoozes if it.rule_id == rule.id],
            }
            for rule in value.rules
            for known in [figures.get(rule.id, RuleFigures())]
        ]

    @staticmethod
    async def resolve_preview_fraud_rule(
        _root: None, info: Any, rule: object, hours: int | None = None
    ) -> dict[str, Any]:
        """Ask; a rule that cannot be is refused with the field named."""
        context: GraphQLContext = info.context
        if not context.caller.may(Role.OPERATOR):
            raise refusal("FORBIDDEN", "previewFraudRule needs the role operator")
        asked = _DEFAULT_HOURS if hours is None else hours
        found = await preview_rule(context, rule, asked)
        if not isinstance(found, Previewed):
            return {"count": None, "alerts": [], "error": Refused(found.code, found.message)}
        alerts = [msgspec.to_builtins(alert) for alert in found.alerts]
        return {
            "count": found.count,
            "alerts": [raised_fields(alert, RuleState.SHADOW) for alert in alerts],
            "error": None,
        }
