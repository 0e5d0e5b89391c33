"""Indexes for the filters of the lists of answers and attempts.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UNUSUAL = sa.text("(http_status IS NULL OR http_status <> 200)")


def upgrade() -> None:
    op.create_index("ix_baskets_terminal_id", "baskets", ["terminal_id"])
    op.create_index("ix_baskets_employee_id", "baskets", ["employee_id"])
    op.create_index(
        "ix_lookup_answers_config_version", "lookup_answers", ["config_version", "occurred_at"]
    )
    op.create_index(
        "ix_customer_lookup_logs_http_status",
        "customer_lookup_logs",
        ["http_status", "request_timestamp"],
        sqlite_where=UNUSUAL,
        postgresql_where=UNUSUAL,
    )


def downgrade() -> None:
    op.drop_index("ix_customer_lookup_logs_http_status", "customer_lookup_logs")
    op.drop_index("ix_lookup_answers_config_version", "lookup_answers")
    op.drop_index("ix_baskets_employee_id", "baskets")
    op.drop_index("ix_baskets_terminal_id", "baskets")
