"""The filter of the list of alerts, as it stands in a URL.

If the text of a field makes no sense, the form shows that text again, with a message beside it.
"""

from typing import Final

from aiohttp import web

from agents.fraud_detection.read_model.records import AlertFilter
from agents.fraud_detection.rules.rule import Severity
from agents.fraud_detection.verdict import AlertStatus
from web.console.lists import AskedList
from web.graphql.context import GraphQLContext

#: The fields of the form, by their names in the URL.
FIELDS: Final = (
    "rule",
    "severity",
    "status",
    "employee",
    "terminal",
    "basket",
    "customer",
    "from",
    "to",
)


class AskedAlerts(AskedList):
    """The filter of the alerts; `wanted` is what it means."""

    def __init__(self, request: web.Request, context: GraphQLContext) -> None:
        super().__init__(request, FIELDS)
        since, until = self.span()
        self.wanted = AlertFilter(
            rule_id=self.id("rule"),
            severity=self.word("severity", Severity),
            status=self.word("status", AlertStatus),
            employee_id=self.id("employee"),
            terminal_id=self.id("terminal"),
            basket_id=self.id("basket"),
            customer_id=self.customer("customer", context),
            since=since,
            until=until,
        )
