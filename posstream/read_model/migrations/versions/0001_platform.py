"""Configuration versions and forgotten subjects.

A database of a posstream before plugins had chains of their own has these tables already.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out rather than imported from the schema: a step never changes once released.
KEY = sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    there = sa.inspect(op.get_bind()).get_table_names()
    if "plugin_configurations" not in there:
        op.create_table(
            "plugin_configurations",
            sa.Column("plugin", KEY, nullable=False),
            sa.Column("version", sa.BigInteger(), nullable=False, autoincrement=False),
            sa.Column("enabled", sa.Boolean(), nullable=False),
            sa.Column("config", DOCUMENT, nullable=False),
            sa.Column("description", sa.Text(), nullable=False),
            sa.Column("updated_at", TIME),
            sa.Column("updated_by", sa.String(256)),
            sa.Column("old_enabled", sa.Boolean(), nullable=False),
            sa.Column("old_config", DOCUMENT, nullable=False),
            sa.PrimaryKeyConstraint("plugin", "version", name="pk_plugin_configurations"),
        )
    if "forgotten_subjects" not in there:
        op.create_table(
            "forgotten_subjects",
            sa.Column("subject", KEY, nullable=False),
            sa.Column("forgotten_at", TIME, nullable=False),
            sa.Column("cache_entries", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("subject", name="pk_forgotten_subjects"),
        )
        op.create_index(
            "ix_forgotten_subjects_forgotten_at", "forgotten_subjects", ["forgotten_at"]
        )


def downgrade() -> None:
    op.drop_table("forgotten_subjects")
    op.drop_table("plugin_configurations")
