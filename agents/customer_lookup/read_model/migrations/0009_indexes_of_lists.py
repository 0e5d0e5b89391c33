"""Indexes for the lookups of unknown customers, and for those of a till or an employee.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UNKNOWN = sa.text("reason = 'NOT_FOUND'")
FILTERED = ("terminal_id", "employee_id")


def upgrade() -> None:
    op.create_index(
        "ix_lookup_answers_unknown",
        "lookup_answers",
        ["occurred_at"],
        sqlite_where=UNKNOWN,
        postgresql_where=UNKNOWN,
    )
    for column in FILTERED:
        op.drop_index(f"ix_baskets_{column}", "baskets")
        op.create_index(f"ix_baskets_{column}", "baskets", [column, "basket_id"])


def downgrade() -> None:
    for column in FILTERED:
        op.drop_index(f"ix_baskets_{column}", "baskets")
        op.create_index(f"ix_baskets_{column}", "baskets", [column])
    op.drop_index("ix_lookup_answers_unknown", "lookup_answers")
