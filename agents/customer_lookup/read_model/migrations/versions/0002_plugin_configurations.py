"""The versions of the plugins' configuration.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Written out rather than imported from the schema: a step never changes once released.
KEY = sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "plugin_configurations",
        sa.Column("plugin", KEY, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("config", DOCUMENT, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True)),
        sa.Column("updated_by", sa.String(256)),
        sa.Column("old_enabled", sa.Boolean(), nullable=False),
        sa.Column("old_config", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("plugin", "version", name="pk_plugin_configurations"),
    )


def downgrade() -> None:
    op.drop_table("plugin_configurations")
