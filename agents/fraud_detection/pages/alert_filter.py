"""The filter of the list of alerts, and a place in the list, as both stand in a URL.

A field of the filter that makes no sense is kept as it was typed, with a message beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from graphql import GraphQLError

from agents.fraud_detection.read_model.records import AlertFilter, FraudAlert, Position
from agents.fraud_detection.rules.rule import Severity
from agents.fraud_detection.verdict import AlertStatus
from posstream.domain.times import parse_utc
from web.graphql import connections
from web.graphql.context import MAX_TEXT, GraphQLContext, is_customer_id, is_sound

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
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class AskedAlerts:
    """A filter as it was typed."""

    typed: Mapping[str, str]
    #: By field: why it cannot be used.
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "AskedAlerts":
        """The filter in the query of a URL; a blank field filters nothing."""
        return cls({name: query.get(name, "").strip() for name in FIELDS})

    @property
    def is_empty(self) -> bool:
        """Whether everything is asked for."""
        return not any(self.typed.values())

    def read(self, context: GraphQLContext) -> AlertFilter:
        """What the fields mean; what is wrong with them is in `errors` then."""
        customer = self.typed["customer"] and context.references.read(self.typed["customer"])
        if customer and not is_customer_id(customer):
            self.errors["customer"] = f"1 to {MAX_TEXT} characters."
        wanted = AlertFilter(
            rule_id=self._id("rule"),
            severity=self._word("severity", Severity),
            status=self._word("status", AlertStatus),
            employee_id=self._id("employee"),
            terminal_id=self._id("terminal"),
            basket_id=self._id("basket"),
            customer_id=customer or None,
            since=self._moment("from"),
            until=self._moment("to"),
        )
        if wanted.since and wanted.until and wanted.since >= wanted.until:
            self.errors["to"] = "This is not after the start."
        return wanted

    def _word(self, name: str, words: type[_Word]) -> _Word | None:
        text = self.typed[name]
        if text and text not in set(words):
            self.errors[name] = "Choose one of the list."
            return None
        return words(text) if text else None

    def _id(self, name: str) -> str | None:
        text = self.typed[name]
        if text and not is_sound(text):
            self.errors[name] = f"1 to {MAX_TEXT} printable characters."
        return text or None

    def _moment(self, name: str) -> datetime | None:
        text = self.typed[name]
        moment = parse_utc(text) if text else None
        if text and moment is None:
            self.errors[name] = "Write a time like 2026-01-31 08:15, in UTC."
        return moment


def cursor_at(row: FraudAlert) -> str:
    """The place of a row."""
    return connections.place_cursor(_LISTED, row.occurred_at, row.alert_id)


def read_place(cursor: str | None) -> Position | None:
    """The place that a cursor names; a broken one is the newest page."""
    try:
        return None if cursor is None else Position(*connections.read_place(_LISTED, cursor))
    except GraphQLError:
        return None
