"""Baskets are indexed by till and by employee only if they have one: most rows come from a scan.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COLUMNS = ("terminal_id", "employee_id")


def upgrade() -> None:
    for column in COLUMNS:
        known = sa.text(f"{column} IS NOT NULL")
        op.drop_index(f"ix_baskets_{column}", "baskets")
        op.create_index(
            f"ix_baskets_{column}",
            "baskets",
            [column, "basket_id"],
            sqlite_where=known,
            postgresql_where=known,
        )


def downgrade() -> None:
    for column in COLUMNS:
        op.drop_index(f"ix_baskets_{column}", "baskets")
        op.create_index(f"ix_baskets_{column}", "baskets", [column, "basket_id"])
