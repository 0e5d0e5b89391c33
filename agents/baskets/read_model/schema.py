"""The plugin's SQL table."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, String, Table

from posstream.domain.money import PLACES
from posstream.read_model.columns import (
    DOCUMENT,
    KEY,
    MAX_TEXT,
    Money,
    UtcDateTime,
    new_metadata,
    partial_index,
)

#: As many digits as SQLite's whole numbers have.
_AMOUNT: Final = Money(19, PLACES)

#: One row per basket. `revision` guards against older copies.
TILL_BASKETS: Final = Table(
    "till_baskets",
    new_metadata(),
    Column("basket_id", KEY, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("status", String(MAX_TEXT), nullable=False),
    Column("employee_id", KEY),
    Column("terminal_id", KEY),
    Column("customer_id", KEY),
    Column("customer_identifier", KEY),
    Column("tier", String(MAX_TEXT)),
    Column("identified_at", UtcDateTime),
    Column("started_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Column("subtotal", _AMOUNT, nullable=False),
    Column("discount", _AMOUNT, nullable=False),
    Column("total", _AMOUNT, nullable=False),
    Column("paid", _AMOUNT, nullable=False),
    Column("refunded", _AMOUNT, nullable=False),
    Column("currency", String(MAX_TEXT)),
    Column("items", DOCUMENT, nullable=False),
    Column("payments", DOCUMENT, nullable=False),
    Column("refunds", DOCUMENT, nullable=False),
    # As the table of the baskets keeps them (`till_events`).
    Column("events", DOCUMENT, nullable=False),
    Index(None, "started_at", "basket_id"),
    Index(None, "status", "started_at"),
    partial_index("ix_till_baskets_known_terminal", "terminal_id", "started_at"),
    partial_index("ix_till_baskets_known_employee", "employee_id", "started_at"),
    Index(None, "customer_id", "started_at"),
    Index(None, "customer_identifier"),
)
