"""Make till_baskets.

Revision ID: baskets_0001
"""

import sqlalchemy as sa
from alembic import op
from posstream.read_model.columns import DOCUMENT, KEY, Money, UtcDateTime

revision = "baskets_0001"
down_revision = None
branch_labels = None
depends_on = None

AMOUNT = Money(19, 4)


def upgrade() -> None:
    op.create_table(
        "till_baskets",
        sa.Column("basket_id", KEY, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(256), nullable=False),
        sa.Column("employee_id", KEY),
        sa.Column("terminal_id", KEY),
        sa.Column("customer_id", KEY),
        sa.Column("customer_identifier", KEY),
        sa.Column("tier", sa.String(256)),
        sa.Column("identified_at", UtcDateTime),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("completed_at", UtcDateTime),
        sa.Column("subtotal", AMOUNT, nullable=False),
        sa.Column("discount", AMOUNT, nullable=False),
        sa.Column("total", AMOUNT, nullable=False),
        sa.Column("paid", AMOUNT, nullable=False),
        sa.Column("refunded", AMOUNT, nullable=False),
        sa.Column("currency", sa.String(256)),
        sa.Column("items", DOCUMENT, nullable=False),
        sa.Column("payments", DOCUMENT, nullable=False),
        sa.Column("refunds", DOCUMENT, nullable=False),
        sa.Column("events", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("basket_id", name="pk_till_baskets"),
    )
    for first, *others in (
        ("started_at", "basket_id"),
        ("status", "started_at"),
        ("terminal_id", "started_at"),
        ("employee_id", "started_at"),
        ("customer_id", "started_at"),
        ("customer_identifier",),
    ):
        op.create_index(f"ix_till_baskets_{first}", "till_baskets", [first, *others])


def downgrade() -> None:
    op.drop_table("till_baskets")
