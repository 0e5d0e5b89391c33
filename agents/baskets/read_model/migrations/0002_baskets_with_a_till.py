"""Baskets are indexed by till and by employee only if they have one.

Revision ID: baskets_0002
Revises: baskets_0001
"""

import sqlalchemy as sa
from alembic import op

revision = "baskets_0002"
down_revision = "baskets_0001"
branch_labels = None
depends_on = None

COLUMNS = ("terminal_id", "employee_id")


def upgrade() -> None:
    for column in COLUMNS:
        known = sa.text(f"{column} IS NOT NULL")
        op.drop_index(f"ix_till_baskets_{column}", "till_baskets")
        op.create_index(
            f"ix_till_baskets_{column}",
            "till_baskets",
            [column, "started_at"],
            sqlite_where=known,
            postgresql_where=known,
        )


def downgrade() -> None:
    for column in COLUMNS:
        op.drop_index(f"ix_till_baskets_{column}", "till_baskets")
        op.create_index(f"ix_till_baskets_{column}", "till_baskets", [column, "started_at"])
