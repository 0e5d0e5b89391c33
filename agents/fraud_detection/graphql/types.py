"""The types of alerts, and how a row or an event becomes one."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import graphene
from aiodataloader import DataLoader

from agents.fraud_detection import verdict
from agents.fraud_detection.fraud_ports import fraud_ports
from agents.fraud_detection.read_model.records import AlertVerdict, FraudAlert
from agents.fraud_detection.rules import rule
from agents.fraud_detection.rules.rule import RuleState
from agents.fraud_detection.shown_names import shown_fields
from agents.fraud_detection.verdict import AlertStatus
from web.graphql.connections import PageInfo
from web.graphql.context import GraphQLContext
from web.graphql.types import ContractType, JSONString

#: Alerts in one statement.
_MAX_BATCH: Final = 500
_TIME: Final = "ISO-8601, UTC."
_DECIMAL: Final = "A decimal."
_SEVERITIES: Final = tuple((it.name, it.value) for it in rule.Severity)
_STATES: Final = {
    RuleState.ACTIVE: "Alerts are published.",
    RuleState.SHADOW: "Alerts are counted and listed, and not published.",
    RuleState.PAUSED: "The rule is not judged.",
}
_VERDICTS: Final = {
    verdict.Verdict.CONFIRMED: "The alert was right.",
    verdict.Verdict.FALSE_POSITIVE: "Nothing was wrong.",
    verdict.Verdict.UNDECIDED: "Somebody looked, and could not tell.",
}

Severity = graphene.Enum("FraudSeverity", _SEVERITIES, description=lambda _: None)
State = graphene.Enum(
    "FraudRuleState",
    [(it.name, it.value) for it in RuleState],
    description=lambda it: _STATES[RuleState(it.value)] if it else "What becomes of alerts.",
)
Verdict = graphene.Enum(
    "FraudVerdict",
    [(it.name, it.value) for it in verdict.Verdict],
    description=lambda it: (
        _VERDICTS[verdict.Verdict(it.value)] if it else "What somebody found out about an alert."
    ),
)
Status = graphene.Enum(
    "FraudAlertStatus",
    [(it.name, it.value) for it in AlertStatus],
    description=lambda it: (
        "The newest verdict of an alert."
        if it is None
        else "There is no verdict."
        if it.value == AlertStatus.OPEN
        else _VERDICTS[verdict.Verdict(it.value)]
    ),
)


class VerdictLoader:
    """The verdicts of the alerts of one request, read together: `context.once(VerdictLoader)`."""

    def __init__(self, context: GraphQLContext) -> None:
        self._alerts = fraud_ports(context).alerts

    @cached_property
    def verdicts(self) -> "DataLoader[str, list[AlertVerdict]]":
        """By alert_id, the newest first."""

        async def batch(ids: list[str]) -> list[list[AlertVerdict]]:
            found = await self._alerts.verdicts(ids)
            return [list(found.get(one, ())) for one in ids]

        return DataLoader(batch, max_batch_size=_MAX_BATCH)


class FraudObservation(ContractType):  # graphene is untyped
    """One event in the window of an alert."""

    event_id = graphene.ID(required=True)
    event_type = graphene.String(required=True)
    occurred_at = graphene.String(required=True, description=_TIME)
    fields = JSONString(required=True, description="What the rule reads of it, and its ids.")

    @staticmethod
    def resolve_fields(observation: Mapping[str, Any], info: Any) -> dict[str, str]:
        """As the caller may see them."""
        return shown_fields(info.context.reveals, observation["fields"])


class FraudAlertVerdict(ContractType):  # graphene is untyped
    """What somebody found out about an alert."""

    verdict = graphene.Field(Verdict, required=True)
    note = graphene.String()
    author = graphene.String(required=True)
    at = graphene.String(required=True, description=_TIME)


class FraudAlertType(ContractType):  # graphene is untyped
    """A rule held for a group, at the first event of an episode."""

    class Meta:
        """The contract's name; the record of the read model has it in Python."""

        name = "FraudAlert"

    alert_id = graphene.ID(required=True)
    event_type = graphene.String(required=True, description="FRAUD_ALERT.")
    rule_id = graphene.String(required=True)
    rule_version = graphene.String(
        required=True, description="A digest of what the rule computed then."
    )
    rule_name = graphene.String(required=True)
    severity = graphene.Field(Severity, required=True)
    group = JSONString(required=True, description="By the names of the rule's `group_by`.")
    function = graphene.String(required=True)
    value = graphene.String(required=True, description=_DECIMAL)
    operator = graphene.String(required=True)
    limit = graphene.String(required=True, description=_DECIMAL)
    window_seconds = graphene.Int(required=True)
    window_start = graphene.String(required=True, description=f"Not in the window. {_TIME}")
    window_end = graphene.String(required=True, description=_TIME)
    triggered_by = graphene.ID(required=True, description="The id of an event.")
    observations = graphene.List(
        graphene.NonNull(FraudObservation), required=True, description="The newest 50."
    )
    observations_total = graphene.Int(required=True)
    basket_id = graphene.ID()
    terminal_id = graphene.String()
    employee_id = graphene.String()
    customer_id = graphene.ID()
    complete_from = graphene.String(
        description=f"Since when the window is known whole; null if all of it is. {_TIME}"
    )
    occurred_at = graphene.String(required=True, description=f"Of the triggering event. {_TIME}")
    config_version = graphene.Int(required=True)
    rule_state = graphene.Field(
        State, required=True, description="When the alert was raised: SHADOW is not published."
    )
    snoozed = graphene.Boolean(
        required=True, description="Whether the rule was snoozed: the alert was not published."
    )
    hits = graphene.Int(required=True, description="Events of the episode at which it held.")
    last_hit_at = graphene.String(required=True, description=_TIME)
    status = graphene.Field(Status, required=True)
    verdict = graphene.Field(Verdict, description="The newest one.")
    note = graphene.String(description="Of the newest verdict.")
    author = graphene.String(description="Of the newest verdict.")
    judged_at = graphene.String(description=f"When the newest verdict was given. {_TIME}")
    verdicts = graphene.List(
        graphene.NonNull(FraudAlertVerdict), required=True, description="The newest first."
    )

    @staticmethod
    def resolve_group(alert: Mapping[str, Any], info: Any) -> dict[str, str]:
        """As the caller may see it."""
        return shown_fields(info.context.reveals, alert["group"])

    @staticmethod
    async def resolve_verdicts(alert: Mapping[str, Any], info: Any) -> list[AlertVerdict]:
        """The whole history."""
        context: GraphQLContext = info.context
        return await context.once(VerdictLoader).verdicts.load(alert["alert_id"])


class FraudAlertEdge(graphene.ObjectType):  # graphene is untyped
    """An alert in a list."""

    node = graphene.Field(FraudAlertType, required=True)
    cursor = graphene.String(required=True)


class FraudAlertConnection(graphene.ObjectType):  # graphene is untyped
    """A page of alerts."""

    edges = graphene.List(graphene.NonNull(FraudAlertEdge), required=True)
    page_info = graphene.Field(PageInfo, required=True)


def alert_fields(alert: FraudAlert) -> dict[str, Any]:
    """The fields of an alert of the read model."""
    return {
        **alert.document,
        "alert_id": alert.alert_id,
        # For the cursor.
        "at": alert.occurred_at,
        "rule_state": alert.rule_state,
        "snoozed": alert.snoozed,
        "hits": alert.hits,
        "last_hit_at": alert.last_hit_at,
        "status": alert.status,
        "verdict": alert.verdict,
        "note": alert.note,
        "author": alert.author,
        "judged_at": alert.judged_at,
    }


def raised_fields(event: Mapping[str, Any], state: RuleState = RuleState.ACTIVE) -> dict[str, Any]:
    """The fields of an alert that was raised just now, as its event has it."""
    return {
        **event,
        "rule_state": state.value,
        "snoozed": False,
        "hits": 1,
        "last_hit_at": event["occurred_at"],
        "status": AlertStatus.OPEN.value,
    }
