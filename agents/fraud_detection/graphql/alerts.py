"""The list of alerts, and one alert."""

from typing import TYPE_CHECKING, Any, Final

import graphene

from agents.fraud_detection.fraud_ports import fraud_ports
from agents.fraud_detection.graphql.types import (
    FraudAlertConnection,
    FraudAlertType,
    Severity,
    Status,
    alert_fields,
)
from agents.fraud_detection.read_model.records import AlertFilter
from agents.fraud_detection.rules import rule
from agents.fraud_detection.verdict import AlertStatus
from web.graphql.connections import (
    connection_arguments,
    page,
    page_size,
    place_cursor,
    read_place,
)
from web.graphql.filters import given_texts, read_customer, read_id, read_moment

if TYPE_CHECKING:
    from web.graphql.context import GraphQLContext

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
        given = given_texts(texts)
        wanted = AlertFilter(
            rule_id=read_id(given, "rule_id", "ruleId"),
            severity=None if severity is None else rule.Severity(severity.value),
            status=None if status is None else AlertStatus(status.value),
            employee_id=read_id(given, "employee_id", "employeeId"),
            terminal_id=read_id(given, "terminal_id", "terminalId"),
            basket_id=read_id(given, "basket_id", "basketId"),
            customer_id=read_customer(context, given, LISTED),
            since=read_moment(given, "from"),
            until=read_moment(given, "to"),
        )
        rows = await fraud_ports(context).alerts.listed(
            wanted,
            first=size + 1,
            after=None if after is None else read_place(LISTED, after),
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
