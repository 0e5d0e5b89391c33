"""When a logged call began; the platform makes the table of forgotten subjects.

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
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("customer_lookup_logs", sa.Column("call_started_at", TIME))


def downgrade() -> None:
    op.drop_column("customer_lookup_logs", "call_started_at")
