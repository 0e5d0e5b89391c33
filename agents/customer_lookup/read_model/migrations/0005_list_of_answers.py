"""Indexes for the list of answers: of one identifier, of failures, of stale answers.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FAILED = sa.text("reason IS NOT NULL AND reason <> 'NOT_FOUND'")
STALE = sa.text("source = 'STALE_CACHE'")


def upgrade() -> None:
    op.drop_index("ix_lookup_answers_customer_identifier", "lookup_answers")
    op.create_index(
        "ix_lookup_answers_customer_identifier",
        "lookup_answers",
        ["customer_identifier", "occurred_at"],
    )
    for name, condition in (("failed", FAILED), ("stale", STALE)):
        op.create_index(
            f"ix_lookup_answers_{name}",
            "lookup_answers",
            ["occurred_at"],
            sqlite_where=condition,
            postgresql_where=condition,
        )


def downgrade() -> None:
    op.drop_index("ix_lookup_answers_stale", "lookup_answers")
    op.drop_index("ix_lookup_answers_failed", "lookup_answers")
    op.drop_index("ix_lookup_answers_customer_identifier", "lookup_answers")
    op.create_index(
        "ix_lookup_answers_customer_identifier", "lookup_answers", ["customer_identifier"]
    )
