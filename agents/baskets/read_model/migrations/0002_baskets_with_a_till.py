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

WHO = ("terminal", "employee")


def upgrade() -> None:
    for one in WHO:
        known = sa.text(f"{one}_id IS NOT NULL")
        op.create_index(
            f"ix_till_baskets_known_{one}",
            "till_baskets",
            [f"{one}_id", "started_at"],
            sqlite_where=known,
            postgresql_where=known,
        )
    # Last: from here to the commit PostgreSQL lets nobody read the table.
    for one in WHO:
        op.drop_index(f"ix_till_baskets_{one}_id", "till_baskets")


def downgrade() -> None:
    for one in WHO:
        op.create_index(f"ix_till_baskets_{one}_id", "till_baskets", [f"{one}_id", "started_at"])
    for one in WHO:
        op.drop_index(f"ix_till_baskets_known_{one}", "till_baskets")
