"""Indexes for the lists of customers and of attempts, page by page.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_customer_lookup_logs_customer_identifier", "customer_lookup_logs")
    op.create_index(
        "ix_customer_lookup_logs_customer_identifier",
        "customer_lookup_logs",
        ["customer_identifier", "request_timestamp"],
    )
    op.create_index(
        "ix_customer_lookup_logs_status", "customer_lookup_logs", ["status", "request_timestamp"]
    )
    op.create_index("ix_customers_tier", "customers", ["tier", "customer_id"])


def downgrade() -> None:
    op.drop_index("ix_customers_tier", "customers")
    op.drop_index("ix_customer_lookup_logs_status", "customer_lookup_logs")
    op.drop_index("ix_customer_lookup_logs_customer_identifier", "customer_lookup_logs")
    op.create_index(
        "ix_customer_lookup_logs_customer_identifier",
        "customer_lookup_logs",
        ["customer_identifier"],
    )
