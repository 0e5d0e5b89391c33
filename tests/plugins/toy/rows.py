"""The table of the toy, its projection, and how its rows are forgotten."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Integer, Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.domain.times import parse_utc
from posstream.forgetting.forgotten import ForgottenSubjects, meant_names
from posstream.forgetting.marks import CUSTOMER_PREFIX, IDENTIFIER_PREFIX, Marks, Trace
from posstream.read_model.columns import KEY, UtcDateTime, new_metadata
from posstream.read_model.engine import insert_into
from posstream.read_model.named_rows import Row, delete_rows, rows_named
from posstream.read_model.projection import BatchProjection, ProjectedEvent

VISITS: Final = Table(
    "toy_visits",
    new_metadata(),
    Column("event_id", KEY, primary_key=True),
    Column("basket_id", KEY, nullable=False),
    Column("customer_id", KEY, nullable=False),
    Column("customer_identifier", KEY, nullable=False),
    Column("visits", Integer, nullable=False),
    Column("counted_at", UtcDateTime, nullable=False),
)


class VisitsProjection(BatchProjection):
    """Writes one row for each event, once."""

    def __init__(self, engine: AsyncEngine, **options: float) -> None:
        super().__init__(engine, **options)
        self._forgotten = ForgottenSubjects(engine)
        self._insert = insert_into(engine, VISITS).on_conflict_do_nothing()

    async def write(self, connection: AsyncConnection, events: Sequence[ProjectedEvent]) -> None:
        """Write the rows of a batch, but for those of customers who were forgotten since."""
        await self._forgotten.lock(connection, to_forget=False)
        rows = [_row(event) for event in events]
        marks = await self._forgotten.marks(connection, [_trace(row) for row in rows])
        kept = [row for row in rows if not marks.cover(_trace(row))]
        if kept:
            await connection.execute(self._insert, kept)


async def erase_rows(connection: AsyncConnection, marks: Marks) -> None:
    """Delete the rows that are from before the marks."""
    columns = VISITS.c
    rows = await rows_named(
        connection,
        tuple(columns),
        (
            columns.customer_identifier,
            await meant_names(connection, IDENTIFIER_PREFIX, [columns.customer_identifier], marks),
        ),
        (
            columns.customer_id,
            await meant_names(connection, CUSTOMER_PREFIX, [columns.customer_id], marks),
        ),
    )
    gone = [row["event_id"] for row in rows if marks.cover(_trace(row))]
    await delete_rows(connection, columns.event_id, gone)


def _row(event: ProjectedEvent) -> dict[str, Any]:
    names = ("event_id", "basket_id", "customer_id", "customer_identifier", "visits")
    counted_at = parse_utc(event.value["occurred_at"])
    return {**{name: event.value[name] for name in names}, "counted_at": counted_at}


def _trace(row: Row) -> Trace:
    return Trace(row["customer_identifier"], row["customer_id"], row["counted_at"])
