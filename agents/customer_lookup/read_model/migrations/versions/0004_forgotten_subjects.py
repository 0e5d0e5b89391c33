"""Who was forgotten, and when a logged call began.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Written out rather than imported from the schema: a step never changes once released.
KEY = sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "forgotten_subjects",
        sa.Column("subject", KEY, nullable=False),
        sa.Column("forgotten_at", TIME, nullable=False),
        sa.Column("cache_entries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_forgotten_subjects"),
    )
    op.create_index("ix_forgotten_subjects_forgotten_at", "forgotten_subjects", ["forgotten_at"])
    op.add_column("customer_lookup_logs", sa.Column("call_started_at", TIME))


def downgrade() -> None:
    op.drop_column("customer_lookup_logs", "call_started_at")
    op.drop_table("forgotten_subjects")
