"""Make the table of how far past events are read back for rules.

Revision ID: fraud_detection_0002
"""

import sqlalchemy as sa
from alembic import op
from posstream.read_model.columns import KEY, UtcDateTime

revision = "fraud_detection_0002"
down_revision = "fraud_detection_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fraud_readings",
        sa.Column("reading", KEY, nullable=False),
        sa.Column("rule_id", KEY, nullable=False),
        sa.Column("percent", sa.BigInteger, nullable=False),
        sa.Column("whole_at", UtcDateTime, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("reading", name="pk_fraud_readings"),
    )
    op.create_index("ix_fraud_readings_whole_at", "fraud_readings", ["whole_at"])


def downgrade() -> None:
    op.drop_table("fraud_readings")
