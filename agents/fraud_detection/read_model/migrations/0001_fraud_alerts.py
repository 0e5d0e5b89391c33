"""Make the tables of alerts, of the customers whom they name, and of verdicts.

Revision ID: fraud_detection_0001
"""

import sqlalchemy as sa
from alembic import op
from posstream.read_model.columns import DOCUMENT, KEY, UtcDateTime

revision = "fraud_detection_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fraud_alerts",
        sa.Column("alert_id", KEY, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("rule_id", KEY, nullable=False),
        sa.Column("severity", sa.String(256), nullable=False),
        sa.Column("rule_state", sa.String(256), nullable=False),
        sa.Column("snoozed", sa.Boolean, nullable=False),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("last_hit_at", UtcDateTime, nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("basket_id", KEY),
        sa.Column("terminal_id", KEY),
        sa.Column("employee_id", KEY),
        sa.Column("customer_id", KEY),
        sa.Column("status", sa.String(256), nullable=False),
        sa.Column("verdict_id", KEY),
        sa.Column("forgotten_at", UtcDateTime),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name="pk_fraud_alerts"),
    )
    op.create_index("ix_fraud_alerts_occurred_at", "fraud_alerts", ["occurred_at", "alert_id"])
    for name in (
        "rule_id",
        "severity",
        "status",
        "basket_id",
        "terminal_id",
        "employee_id",
        "customer_id",
    ):
        op.create_index(f"ix_fraud_alerts_{name}", "fraud_alerts", [name, "occurred_at"])
    op.create_table(
        "fraud_alert_names",
        sa.Column("alert_id", KEY, nullable=False),
        sa.Column("kind", sa.String(256), nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "kind", "name", name="pk_fraud_alert_names"),
    )
    op.create_index("ix_fraud_alert_names_name", "fraud_alert_names", ["name"])
    op.create_table(
        "fraud_verdicts",
        sa.Column("verdict_id", KEY, nullable=False),
        sa.Column("alert_id", KEY, nullable=False),
        sa.Column("verdict", sa.String(256), nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("author", sa.String(256), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("verdict_id", name="pk_fraud_verdicts"),
    )
    op.create_index("ix_fraud_verdicts_alert_id", "fraud_verdicts", ["alert_id", "at"])


def downgrade() -> None:
    op.drop_table("fraud_verdicts")
    op.drop_table("fraud_alert_names")
    op.drop_table("fraud_alerts")
