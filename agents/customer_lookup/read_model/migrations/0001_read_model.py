"""The read model: customers, baskets, answers and the audit log.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out rather than imported from the schema: a step never changes once released.
KEY = sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql")
SHORT = sa.String(256)
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
MONEY = sa.Numeric(15, 2).with_variant(sa.BigInteger(), "sqlite")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

INDEXES = {
    "customers": ("identifier",),
    "customer_identifiers": ("customer_id",),
    "basket_identifications": ("basket_id",),
    "customer_lookup_logs": ("basket_id", "customer_identifier", "request_timestamp"),
    "lookup_answers": ("basket_id", "customer_identifier", "occurred_at"),
}


def upgrade() -> None:
    op.create_table(
        "customers",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("customer_id", KEY, nullable=False),
        sa.Column("identifier", KEY, nullable=False),
        sa.Column("first_name", SHORT, nullable=False),
        sa.Column("last_name", SHORT, nullable=False),
        sa.Column("email", SHORT, nullable=False),
        sa.Column("phone", SHORT, nullable=False),
        sa.Column("loyalty_points", sa.BigInteger(), nullable=False),
        sa.Column("tier", SHORT, nullable=False),
        sa.Column("total_purchases", MONEY, nullable=False),
        sa.Column("last_purchase_date", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("attributes", DOCUMENT, nullable=False),
        sa.Column("fetched_at", TIME, nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.UniqueConstraint("customer_id", name="uq_customers_customer_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "customer_identifiers",
        sa.Column("identifier", KEY, nullable=False),
        sa.Column("customer_id", KEY, nullable=False),
        sa.Column("kind", SHORT),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("fetched_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("identifier", name="pk_customer_identifiers"),
    )
    op.create_table(
        "baskets",
        sa.Column("basket_id", KEY, nullable=False),
        sa.Column("employee_id", KEY),
        sa.Column("terminal_id", KEY),
        sa.Column("customer_id", KEY),
        sa.Column("started_at", TIME),
        sa.Column("identified_at", TIME),
        sa.Column("identified_by", KEY),
        sa.PrimaryKeyConstraint("basket_id", name="pk_baskets"),
    )
    op.create_table(
        "basket_identifications",
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("basket_id", KEY, nullable=False),
        sa.Column("lookup_id", KEY),
        sa.Column("customer_identifier", KEY, nullable=False),
        sa.Column("customer_id", KEY),
        sa.Column("source", SHORT),
        sa.Column("reason", SHORT),
        sa.Column("identified_at", TIME, nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_basket_identifications"),
    )
    op.create_table(
        "customer_lookup_logs",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("lookup_id", KEY),
        sa.Column("attempt", sa.BigInteger()),
        sa.Column("waiters", sa.BigInteger()),
        sa.Column("basket_id", KEY),
        sa.Column("customer_identifier", KEY, nullable=False),
        sa.Column("identifier_kind", SHORT),
        sa.Column("api_endpoint", sa.Text()),
        sa.Column("request_timestamp", TIME, nullable=False),
        sa.Column("response_timestamp", TIME),
        sa.Column("status", SHORT),
        sa.Column("http_status", sa.BigInteger()),
        sa.Column("response_data", DOCUMENT),
        sa.Column("error_message", sa.Text()),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_customer_lookup_logs"),
        sa.UniqueConstraint("event_id", name="uq_customer_lookup_logs_event_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lookup_answers",
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("lookup_id", KEY),
        sa.Column("event_type", SHORT, nullable=False),
        sa.Column("basket_id", KEY, nullable=False),
        sa.Column("customer_identifier", KEY, nullable=False),
        sa.Column("identifier_kind", SHORT),
        sa.Column("customer_id", KEY),
        sa.Column("source", SHORT),
        sa.Column("reason", SHORT),
        sa.Column("error_message", sa.Text()),
        sa.Column("attempts", sa.BigInteger()),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("age_ms", sa.BigInteger()),
        sa.Column("config_version", sa.BigInteger()),
        sa.Column("fetched_at", TIME),
        sa.Column("fresh_until", TIME),
        sa.Column("identified_at", TIME, nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_lookup_answers"),
    )
    for table, columns in INDEXES.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table in (*INDEXES, "baskets"):
        op.drop_table(table)
