"""Add a digest of what an answer said to customer_identifiers.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("customer_identifiers", sa.Column("answer_digest", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("customer_identifiers", "answer_digest")
