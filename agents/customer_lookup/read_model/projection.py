"""Writes events into the plugin's tables, by upserts whose result is the same in any order.

Every row is a function of the set of events, not of their order: of two events for one row the same
one wins, whichever came first. So a replay into an empty database gives the same rows. It does not
matter either whether the mark of a forgotten customer came before or after the customer's events.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.rows import Batch, batch_of
from agents.customer_lookup.read_model.upserts import UPSERTS, written_columns
from posstream.forgetting.forgotten import ForgottenSubjects
from posstream.read_model.engine import as_parameters, insert_rows_into
from posstream.read_model.projection import BatchProjection, ProjectedEvent


class SqlProjection(BatchProjection):
    """The projection of customer_lookup, into SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine, **options: float) -> None:
        super().__init__(engine, **options)
        self._forgotten = ForgottenSubjects(engine)
        # Every transaction writes the tables in one order, and the rows by key: so two workers
        # cannot wait for each other.
        self._upserts = [
            (table, UPSERTS[table](insert_rows_into(engine, table, written_columns(table))))
            for table in schema.READ_MODEL
        ]

    async def write(self, connection: AsyncConnection, events: Sequence[ProjectedEvent]) -> None:
        """Write the rows of a batch, but for those of customers who were forgotten since."""
        batch = batch_of(events)
        await self._forgotten.lock(connection, to_forget=False)
        marks = await self._forgotten.marks(connection, batch.traces)
        if marks:
            batch = Batch(marks)
            for event in events:
                batch.take(event)
        for table, upsert in self._upserts:
            if rows := batch.rows[table]:
                ordered = [row for _, row in sorted(rows.items())]
                await connection.execute(upsert, as_parameters(self._engine, ordered))
