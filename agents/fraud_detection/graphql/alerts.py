"""The list of alerts, and one alert."""

from datetime import datetime
from typing import Any, Final

import graphene

from agents.fraud_detection.fraud_ports import fraud_ports
from agents.fraud_detection.graphql.types import (
    FraudAlertConnection,
    FraudAlertType,
    Severity,
    Status,
    alert_fields,
)
from agents.fraud_detection.read_model.records import AlertFilter, Position
from agents.fraud_detection.rules import rule
from agents.fraud_detection.verdict import AlertStatus
from posstream.domain.times import parse_utc
from web.graphql.connections import (
    connection_arguments,
    page,
    page_size,
    place_cursor,
    read_place,
)
from web.graphql.context import (
    MAX_TEXT,
    GraphQLContext,
    is_customer_id,
    is_sound,
    read_customer_id,
    refusal,
)

LISTED: Final = "fraudAlerts"


class FraudAlertsQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that tells of alerts."""

    fraud_alerts = graphene.Field(
        FraudAlertConnection,
        required=True,
        **connection_arguments(),
        rule_id=graphene.String(),
        severity=Severity(),
        status=Status(),
        employee_id=graphene.String(),
        terminal_id=graphene.String(),
        basket_id=graphene.ID(),
        customer_id=graphene.ID(),
        **{
            "from": graphene.String(description="Occurred then or later: ISO-8601."),
            "to": graphene.String(description="Occurred before: ISO-8601."),
        },
        description="All alerts, those of SHADOW rules too, newest first, page by page.",
    )
    fraud_alert = graphene.Field(
        FraudAlertType,
        alert_id=graphene.ID(required=True),
        description="One alert; null if none is known by this id.",
    )

    @staticmethod
    async def resolve_fraud_alerts(
        _root: None,
        info: Any,
        *,
        first: int | None = None,
        after: str | None = None,
        severity: Any = None,
        status: Any = None,
        **texts: str | None,
    ) -> dict[str, object]:
        """A page of alerts; a blank filter filters nothing."""
        context: GraphQLContext = info.context
        size = page_size(first)
        given = {name: text for name, text in texts.items() if text and text.strip(" ")}
        wanted = AlertFilter(
            rule_id=_id(given, "rule_id", "ruleId"),
            severity=None if severity is None else rule.Severity(severity.value),
            status=None if status is None else AlertStatus(status.value),
            employee_id=_id(given, "employee_id", "employeeId"),
            terminal_id=_id(given, "terminal_id", "terminalId"),
            basket_id=_id(given, "basket_id", "basketId"),
            customer_id=_customer_id(context, given.get("customer_id")),
            since=_moment(given, "from"),
            until=_moment(given, "to"),
        )
        rows = await fraud_ports(context).alerts.listed(
            wanted,
            first=size + 1,
            after=None if after is None else Position(*read_place(LISTED, after)),
        )
        return page(
            [alert_fields(row) for row in rows],
            first=size,
            after=after,
            cursor=lambda row: place_cursor(LISTED, row["at"], row["alert_id"]),
        )

    @staticmethod
    async def resolve_fraud_alert(_root: None, info: Any, alert_id: str) -> dict[str, Any] | None:
        """The alert as SQL has it."""
        context: GraphQLContext = info.context
        found = await fraud_ports(context).alerts.by_id(alert_id)
        return None if found is None else alert_fields(found)


def _id(given: dict[str, str], name: str, argument: str) -> str | None:
    text = given.get(name)
    if text is not None and not is_sound(text):
        raise refusal("BAD_USER_INPUT", f"{argument} must be 1 to {MAX_TEXT} printable characters")
    return text


def _customer_id(context: GraphQLContext, reference: str | None) -> str | None:
    if reference is None:
        return None
    known = read_customer_id(context, reference, LISTED)
    if not is_customer_id(known):
        raise refusal("BAD_USER_INPUT", f"customerId must be 1 to {MAX_TEXT} characters")
    return known


def _moment(given: dict[str, str], name: str) -> datetime | None:
    text = given.get(name)
    moment = None if text is None else parse_utc(text)
    if text is not None and moment is None:
        raise refusal("BAD_USER_INPUT", f"{name} must be a time like 2026-01-31T08:15:00Z")
    return moment
