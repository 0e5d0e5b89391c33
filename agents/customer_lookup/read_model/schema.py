"""The plugin's SQL tables."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, String, Table, Text, UniqueConstraint, text

from posstream.read_model.columns import (
    DERIVED,
    DOCUMENT,
    KEY,
    MAX_TEXT,
    SERIAL,
    Money,
    UtcDateTime,
    new_metadata,
    partial_index,
)
from posstream.read_model.retention import Aging

METADATA: Final = new_metadata()

#: One row per customer, as last fetched. `fetched_at` guards against older data.
CUSTOMERS: Final = Table(
    "customers",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("customer_id", KEY, nullable=False),
    Column("identifier", KEY, nullable=False),
    Column("first_name", String(MAX_TEXT), nullable=False),
    Column("last_name", String(MAX_TEXT), nullable=False),
    Column("email", String(MAX_TEXT), nullable=False),
    Column("phone", String(MAX_TEXT), nullable=False),
    Column("loyalty_points", BigInteger, nullable=False),
    Column("tier", String(MAX_TEXT), nullable=False),
    Column("total_purchases", Money, nullable=False),
    Column("last_purchase_date", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("attributes", DOCUMENT, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
    # Names, e-mail and phone, case-folded by Python: SQLite folds ASCII only.
    Column("search_text", Text, nullable=False),
    UniqueConstraint("customer_id"),
    Index(None, "identifier"),
    Index(None, "tier", "customer_id"),
    sqlite_autoincrement=True,
)

#: Every identifier that ever led to a customer, with the customer it led to last.
CUSTOMER_IDENTIFIERS: Final = Table(
    "customer_identifiers",
    METADATA,
    Column("identifier", KEY, primary_key=True),
    Column("customer_id", KEY, nullable=False),
    Column("kind", String(MAX_TEXT)),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
    # Digest of what the answer said; an answer with the same digest changes nothing
    # (`known_customers`).
    Column("answer_digest", BigInteger),
    Index(None, "customer_id"),
)

#: One row per basket; `identified_by` is the event that gave it its customer.
BASKETS: Final = Table(
    "baskets",
    METADATA,
    Column("basket_id", KEY, primary_key=True),
    Column("employee_id", KEY),
    Column("terminal_id", KEY),
    Column("customer_id", KEY),
    Column("started_at", UtcDateTime),
    Column("identified_at", UtcDateTime),
    Column("identified_by", KEY),
    # With the key: the answers of a till are found without a look at its baskets' rows.
    partial_index("ix_baskets_known_terminal", "terminal_id", "basket_id"),
    partial_index("ix_baskets_known_employee", "employee_id", "basket_id"),
)

#: One row per HTTP attempt that reached the directory.
CUSTOMER_LOOKUP_LOGS: Final = Table(
    "customer_lookup_logs",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("event_id", KEY, nullable=False),
    Column("lookup_id", KEY),
    Column("attempt", BigInteger),
    Column("waiters", BigInteger),
    Column("basket_id", KEY),
    Column("customer_identifier", KEY, nullable=False),
    Column("identifier_kind", String(MAX_TEXT)),
    Column("api_endpoint", Text),
    Column("call_started_at", UtcDateTime),
    Column("request_timestamp", UtcDateTime, nullable=False),
    Column("response_timestamp", UtcDateTime),
    Column("status", String(MAX_TEXT)),
    Column("http_status", BigInteger),
    Column("response_data", DOCUMENT),
    Column("error_message", Text),
    Column("duration_ms", BigInteger),
    # The customer that the response names; the identifier may lead to another one by now.
    Column("customer_id", KEY),
    UniqueConstraint("event_id"),
    Index(None, "basket_id"),
    Index(None, "customer_id"),
    Index(None, "customer_identifier", "request_timestamp"),
    Index(None, "status", "request_timestamp"),
    Index(None, "request_timestamp"),
    sqlite_autoincrement=True,
)

# Operators look for what is no success, and a success costs no write to the index. The condition is
# a constant: only then do both databases see that an index covers a query.
UNUSUAL: Final = text("(http_status IS NULL OR http_status <> 200)")
Index(
    "ix_customer_lookup_logs_http_status",
    CUSTOMER_LOOKUP_LOGS.c.http_status,
    CUSTOMER_LOOKUP_LOGS.c.request_timestamp,
    sqlite_where=UNUSUAL,
    postgresql_where=UNUSUAL,
)

#: One row per terminal answer.
LOOKUP_ANSWERS: Final = Table(
    "lookup_answers",
    METADATA,
    Column("event_id", KEY, primary_key=True),
    Column("lookup_id", KEY),
    Column("event_type", String(MAX_TEXT), nullable=False),
    Column("basket_id", KEY, nullable=False),
    Column("customer_identifier", KEY, nullable=False),
    Column("identifier_kind", String(MAX_TEXT)),
    Column("customer_id", KEY),
    Column("source", String(MAX_TEXT)),
    Column("reason", String(MAX_TEXT)),
    Column("error_message", Text),
    Column("attempts", BigInteger),
    Column("duration_ms", BigInteger),
    Column("age_ms", BigInteger),
    Column("config_version", BigInteger),
    Column("fetched_at", UtcDateTime),
    Column("fresh_until", UtcDateTime),
    Column("identified_at", UtcDateTime, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Index(None, "basket_id"),
    Index(None, "customer_identifier", "occurred_at"),
    Index(None, "config_version", "occurred_at"),
    Index(None, "occurred_at"),
)

# Partial indexes, as above.
#: Both databases know that this is true of no null. A query that says so as well makes PostgreSQL
#: expect too few rows: it takes the two for independent.
FAILED: Final = text("reason <> 'NOT_FOUND'")
STALE: Final = text("source = 'STALE_CACHE'")
UNKNOWN: Final = text("reason = 'NOT_FOUND'")
for _name, _condition in (
    ("failed", text(f"reason IS NOT NULL AND {FAILED}")),
    ("stale", STALE),
    ("unknown", UNKNOWN),
):
    Index(
        f"ix_lookup_answers_{_name}",
        LOOKUP_ANSWERS.c.occurred_at,
        sqlite_where=_condition,
        postgresql_where=_condition,
    )

#: The numbers of answers and attempts of the last eight days, one row per span of time (`spans`)
#: that has any. They are counted from the rows above (`counting`). `counts` becomes null when a row
#: of the span is written or deleted, until the span is counted again.
LOOKUP_COUNTS: Final = Table(
    "lookup_counts",
    METADATA,
    Column("span", KEY, primary_key=True),
    # A new number whenever `counts` becomes null, so that an older count is not stored.
    Column("mark", BigInteger, nullable=False),
    Column("counts", Text),
    info=DERIVED,
)
Index(
    "ix_lookup_counts_uncounted",
    LOOKUP_COUNTS.c.span,
    sqlite_where=LOOKUP_COUNTS.c.counts.is_(None),
    postgresql_where=LOOKUP_COUNTS.c.counts.is_(None),
)

#: The tables that are made of the topics and of nothing else. Every transaction writes or locks
#: them in this order, so that two transactions cannot wait for each other.
READ_MODEL: Final = (
    CUSTOMERS,
    CUSTOMER_IDENTIFIERS,
    BASKETS,
    CUSTOMER_LOOKUP_LOGS,
    LOOKUP_ANSWERS,
)


def read_model_tables() -> tuple[Table, ...]:
    """`READ_MODEL` and the counts of its rows, as the plugin declares them."""
    return (*READ_MODEL, LOOKUP_COUNTS)


def aging() -> Aging:
    """The tables of lookups, with the times of a row; customers and their identifiers stay."""
    return {
        BASKETS: (BASKETS.c.started_at, BASKETS.c.identified_at),
        CUSTOMER_LOOKUP_LOGS: (CUSTOMER_LOOKUP_LOGS.c.request_timestamp,),
        LOOKUP_ANSWERS: (LOOKUP_ANSWERS.c.occurred_at,),
    }
