"""Raise.

Revision ID: broken_0001
"""

revision = "broken_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    raise RuntimeError("broken on purpose")


def downgrade() -> None:
    raise NotImplementedError
