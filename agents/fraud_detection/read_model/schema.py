"""The plugin's SQL tables."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text

from posstream.read_model.columns import DOCUMENT, KEY, MAX_TEXT, UtcDateTime, new_metadata

_METADATA: Final = new_metadata()

#: One row per alert. `revision` guards against older records of the alert.
FRAUD_ALERTS: Final = Table(
    "fraud_alerts",
    _METADATA,
    Column("alert_id", KEY, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("rule_id", KEY, nullable=False),
    Column("severity", String(MAX_TEXT), nullable=False),
    Column("rule_state", String(MAX_TEXT), nullable=False),
    Column("snoozed", Boolean, nullable=False),
    Column("hits", BigInteger, nullable=False),
    Column("last_hit_at", UtcDateTime, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("basket_id", KEY),
    Column("terminal_id", KEY),
    Column("employee_id", KEY),
    Column("customer_id", KEY),
    # Of the newest verdict.
    Column("status", String(MAX_TEXT), nullable=False),
    Column("verdict_id", KEY),
    # Up to when a customer whom it named was forgotten; null if all names are there.
    Column("forgotten_at", UtcDateTime),
    # As on `fraud-alert-raised`, without the names of forgotten customers.
    Column("document", DOCUMENT, nullable=False),
    Index(None, "occurred_at", "alert_id"),
    Index(None, "rule_id", "occurred_at"),
    Index(None, "severity", "occurred_at"),
    Index(None, "status", "occurred_at"),
    Index(None, "basket_id", "occurred_at"),
    Index(None, "terminal_id", "occurred_at"),
    Index(None, "employee_id", "occurred_at"),
    Index(None, "customer_id", "occurred_at"),
)

#: Every customer whom an alert or one of its observations names: forgetting finds alerts by them.
FRAUD_ALERT_NAMES: Final = Table(
    "fraud_alert_names",
    _METADATA,
    Column("alert_id", KEY, primary_key=True),
    # A `rows.Kind`.
    Column("kind", String(MAX_TEXT), primary_key=True),
    Column("name", KEY, primary_key=True),
    Index(None, "name"),
)

#: One row per verdict: the history of each alert.
FRAUD_VERDICTS: Final = Table(
    "fraud_verdicts",
    _METADATA,
    Column("verdict_id", KEY, primary_key=True),
    Column("alert_id", KEY, nullable=False),
    Column("verdict", String(MAX_TEXT), nullable=False),
    Column("note", Text),
    Column("author", String(MAX_TEXT), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index(None, "alert_id", "at"),
)

#: One row per rule and partition of the table of observations in which past events are or were read
#: back for the rule. `at` guards against older records.
FRAUD_READINGS: Final = Table(
    "fraud_readings",
    _METADATA,
    # The rule and the partition.
    Column("reading", KEY, primary_key=True),
    Column("rule_id", KEY, nullable=False),
    # How many of the events have been read; of 100.
    Column("percent", BigInteger, nullable=False),
    Column("whole_at", UtcDateTime, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index(None, "whole_at"),
)

#: In the order in which every transaction writes or locks them.
TABLES: Final[Sequence[Table]] = (
    FRAUD_ALERTS,
    FRAUD_ALERT_NAMES,
    FRAUD_VERDICTS,
    FRAUD_READINGS,
)
