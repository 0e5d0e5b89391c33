"""Drop basket_identifications: nothing read it, and lookup_answers holds the same.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("basket_identifications")


def downgrade() -> None:
    raise NotImplementedError("its rows are gone: restore a backup")
