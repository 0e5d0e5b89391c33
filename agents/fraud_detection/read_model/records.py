"""What the read model tells of alerts. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.fraud_detection.rules.rule import Severity
from agents.fraud_detection.verdict import AlertStatus


@dataclass(frozen=True, slots=True)
class FraudAlert:
    """A row of `fraud_alerts`, with its newest verdict."""

    alert_id: str
    occurred_at: datetime
    #: Of the rule, when the alert was raised.
    rule_state: str
    snoozed: bool
    hits: int
    last_hit_at: datetime
    status: str
    #: As on `fraud-alert-raised`, without the names of forgotten customers.
    document: Mapping[str, Any]
    verdict: str | None = None
    note: str | None = None
    author: str | None = None
    judged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertVerdict:
    """A row of `fraud_verdicts`."""

    verdict_id: str
    alert_id: str
    verdict: str
    note: str | None
    author: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Conditions on the alerts of the list; a field that is None is no condition."""

    rule_id: str | None = None
    severity: Severity | None = None
    status: AlertStatus | None = None
    employee_id: str | None = None
    terminal_id: str | None = None
    basket_id: str | None = None
    customer_id: str | None = None
    #: Occurred then or later.
    since: datetime | None = None
    #: Occurred before.
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFigures:
    """What is known of the alerts of one rule."""

    #: Of the time that was asked for: published, snoozed ones too.
    live: int = 0
    #: Of the same time, from while the rule was SHADOW.
    shadow: int = 0
    #: By the newest verdict of each alert, ever.
    confirmed: int = 0
    false_positives: int = 0

    @property
    def precision(self) -> float | None:
        """The share of the alerts that were right, of those that somebody could tell."""
        told = self.confirmed + self.false_positives
        return self.confirmed / told if told else None
