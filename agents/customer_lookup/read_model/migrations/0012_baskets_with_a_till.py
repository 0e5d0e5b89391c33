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

WHO = ("terminal", "employee")


def upgrade() -> None:
    for one in WHO:
        known = sa.text(f"{one}_id IS NOT NULL")
        op.create_index(
            f"ix_baskets_known_{one}",
            "baskets",
            [f"{one}_id", "basket_id"],
            sqlite_where=known,
            postgresql_where=known,
        )
    # Last: from here to the commit PostgreSQL lets nobody read the table.
    for one in WHO:
        op.drop_index(f"ix_baskets_{one}_id", "baskets")


def downgrade() -> None:
    for one in WHO:
        op.create_index(f"ix_baskets_{one}_id", "baskets", [f"{one}_id", "basket_id"])
    for one in WHO:
        op.drop_index(f"ix_baskets_known_{one}", "baskets")
