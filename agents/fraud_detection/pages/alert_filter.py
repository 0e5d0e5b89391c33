"""The filter of the list of alerts, and a place in the list, as both stand in a URL.

If the text of a field makes no sense, the form shows that text again, with a message beside it.
"""

from collections.abc import Mapping
from typing import Final

from graphql import GraphQLError

from agents.fraud_detection.read_model.records import AlertFilter, FraudAlert, Position
from agents.fraud_detection.rules.rule import Severity
from agents.fraud_detection.verdict import AlertStatus
from web.console.typed_fields import TypedFields
from web.graphql import connections
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
_LISTED: Final = "fraudAlerts"


class AskedAlerts(TypedFields):
    """The filter of the alerts."""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "AskedAlerts":
        """The filter in the query of a URL; a blank field filters nothing."""
        return cls({name: query.get(name, "").strip() for name in FIELDS})

    def read(self, context: GraphQLContext) -> AlertFilter:
        """What the fields mean; what is wrong with them is in `errors` then."""
        since, until = self.span()
        return AlertFilter(
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


def cursor_at(row: FraudAlert) -> str:
    """The place of a row."""
    return connections.place_cursor(_LISTED, row.occurred_at, row.alert_id)


def read_place(cursor: str | None) -> Position | None:
    """The place that a cursor names; a broken one is the newest page."""
    try:
        return None if cursor is None else Position(*connections.read_place(_LISTED, cursor))
    except GraphQLError:
        return None
