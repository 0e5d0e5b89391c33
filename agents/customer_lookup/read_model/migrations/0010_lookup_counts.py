"""Add lookup_counts: the numbers of answers and attempts of the last days, by spans of time.

Revision ID: 0010
Revises: 0009
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KEY = sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql")
UNCOUNTED = sa.text("counts IS NULL")
#: By table, the column with the time by which a row counts.
TIMES = {"lookup_answers": "occurred_at", "customer_lookup_logs": "request_timestamp"}
#: The letter of each length of spans, and how many characters of a time name a span.
LENGTHS = {"s": 18, "m": 16, "h": 13}
KEPT_FOR = timedelta(days=8)

TEXT = {
    "sqlite": "{time}",
    "postgresql": "to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
}
#: The rows of existing lookups are counted after the migration.
FILL = """
    INSERT INTO lookup_counts (span, mark)
    SELECT DISTINCT '{letter} ' || substr({time}, 1, {characters}), 0
    FROM {table} WHERE {column} >= {since}
    ON CONFLICT DO NOTHING
"""
# For deleted rows. The projection marks the spans of rows that it writes.
CHANGED = """
    UPDATE lookup_counts SET counts = NULL, mark = {mark} WHERE span IN ({spans});
"""
TRIGGERS = {
    "sqlite": [
        """
        CREATE TRIGGER {table}_gone AFTER DELETE ON {table} BEGIN {changed} END
        """,
    ],
    "postgresql": [
        """
        CREATE FUNCTION {table}_gone() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN {changed} RETURN NULL; END $$
        """,
        """
        CREATE TRIGGER {table}_gone AFTER DELETE ON {table}
        FOR EACH ROW EXECUTE PROCEDURE {table}_gone()
        """,
    ],
}
MARK = {"sqlite": "random()", "postgresql": "(random() * 4e18)::bigint"}


def upgrade() -> None:
    op.create_table(
        "lookup_counts",
        sa.Column("span", KEY, nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text()),
        sa.PrimaryKeyConstraint("span", name="pk_lookup_counts"),
    )
    op.create_index(
        "ix_lookup_counts_uncounted",
        "lookup_counts",
        ["span"],
        sqlite_where=UNCOUNTED,
        postgresql_where=UNCOUNTED,
    )
    dialect = op.get_bind().dialect.name
    since = datetime.now(UTC) - KEPT_FOR
    for table, column in TIMES.items():
        for letter, characters in LENGTHS.items():
            execute(
                FILL,
                table=table,
                column=column,
                letter=letter,
                characters=characters,
                time=TEXT[dialect].format(time=column),
                since=f"'{since:%Y-%m-%d %H:%M:%S}{'+00' if dialect == 'postgresql' else ''}'",
            )
        old = TEXT[dialect].format(time=f"OLD.{column}")
        spans = (f"'{it} ' || substr({old}, 1, {count})" for it, count in LENGTHS.items())
        changed = CHANGED.format(mark=MARK[dialect], spans=", ".join(spans))
        for trigger in TRIGGERS[dialect]:
            execute(trigger, table=table, changed=changed)


def execute(statement: str, **names: object) -> None:
    # Without the backslash a colon would begin a parameter.
    op.execute(sa.text(statement.format(**names).replace(":", "\\:")))


def downgrade() -> None:
    for table in TIMES:
        if op.get_bind().dialect.name == "postgresql":
            op.execute(f"DROP TRIGGER {table}_gone ON {table}")
            op.execute(f"DROP FUNCTION {table}_gone()")
        else:
            op.execute(f"DROP TRIGGER {table}_gone")
    op.drop_table("lookup_counts")
