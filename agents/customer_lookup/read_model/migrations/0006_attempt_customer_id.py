"""The customer_id that the response to an attempt names.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql")

# Existing rows name the customer in the response only; erasure finds them by the new column.
FILL = {
    "sqlite": """
        UPDATE customer_lookup_logs
        SET customer_id = trim(json_extract(response_data, '$.customer_id'))
        WHERE json_type(response_data, '$.customer_id') IN ('text', 'integer')
          AND trim(json_extract(response_data, '$.customer_id')) <> ''
          AND length(json_extract(response_data, '$.customer_id')) <= 256
    """,
    "postgresql": """
        UPDATE customer_lookup_logs
        SET customer_id = trim(response_data ->> 'customer_id')
        WHERE jsonb_typeof(response_data -> 'customer_id') IN ('string', 'number')
          AND trim(response_data ->> 'customer_id') <> ''
          AND length(response_data ->> 'customer_id') <= 256
    """,
}


def upgrade() -> None:
    op.add_column("customer_lookup_logs", sa.Column("customer_id", KEY))
    op.execute(FILL[op.get_bind().dialect.name])
    op.create_index("ix_customer_lookup_logs_customer_id", "customer_lookup_logs", ["customer_id"])


def downgrade() -> None:
    op.drop_index("ix_customer_lookup_logs_customer_id", "customer_lookup_logs")
    op.drop_column("customer_lookup_logs", "customer_id")
