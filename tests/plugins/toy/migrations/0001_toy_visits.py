"""Make toy_visits.

Revision ID: toy_0001
"""

import sqlalchemy as sa
from alembic import op
from posstream.read_model.columns import KEY, UtcDateTime

revision = "toy_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "toy_visits",
        sa.Column("event_id", KEY, primary_key=True),
        sa.Column("basket_id", KEY, nullable=False),
        sa.Column("customer_id", KEY, nullable=False),
        sa.Column("customer_identifier", KEY, nullable=False),
        sa.Column("visits", sa.Integer, nullable=False),
        sa.Column("counted_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_toy_visits_customer_id", "toy_visits", ["customer_id"])


def downgrade() -> None:
    op.drop_table("toy_visits")
