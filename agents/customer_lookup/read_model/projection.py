"""Write the read model: topic values into rows, by upserts that no order can confuse.

Every row is a function of the set of events, not of their order: of two events for one row the
same one wins, whichever came first, so a replay into an empty database gives the same rows. Nor
does it matter whether a customer was forgotten before or after their events came (`forgotten`).
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.rows import Batch, batch_of, log_skipped
from agents.customer_lookup.read_model.upserts import (
    upsert_answers,
    upsert_baskets,
    upsert_customers,
    upsert_identifiers,
    upsert_logs,
    written_columns,
)
from posstream.forgetting.forgotten import ForgottenSubjects
from posstream.read_model.engine import as_parameters, insert_rows_into
from posstream.read_model.projection import ProjectedEvent, Projection
from posstream.read_model.refusals import RowsRefused, refusals_told

_log = logging.getLogger(__name__)


#: Seconds after which a transaction is given up: a connection that is dead without a word, or
#: somebody's lock, would hold it for ever.
_PATIENCE_SECONDS: Final = 60.0


class SqlProjection(Projection):
    """The read model, written to SQLite or PostgreSQL.

    Args:
        engine: from `engine.create_engine`, migrated.
        patience_seconds: after so long a transaction is given up.
    """

    def __init__(self, engine: AsyncEngine, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._engine = engine
        self._patience_seconds = patience_seconds
        self._forgotten = ForgottenSubjects(engine)
        upserts = {
            schema.CUSTOMERS: upsert_customers,
            schema.CUSTOMER_IDENTIFIERS: upsert_identifiers,
            schema.BASKETS: upsert_baskets,
            schema.BASKET_IDENTIFICATIONS: upsert_answers,
            schema.CUSTOMER_LOOKUP_LOGS: upsert_logs,
            schema.LOOKUP_ANSWERS: upsert_answers,
        }
        # Every transaction takes the tables in their order and the rows by key: two workers
        # cannot wait for each other.
        self._upserts = [
            (table, upserts[table](insert_rows_into(engine, table, written_columns(table))))
            for table in schema.READ_MODEL
        ]

    async def apply(self, events: Sequence[ProjectedEvent]) -> None:
        """Write a batch in one transaction; order within the batch does not matter.

        An event that cannot be turned into rows, or whose rows the database refuses, is logged
        without its content and skipped. To find the latter a batch is halved, each half in a
        transaction of its own.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: from the database, for what may pass: try again.
        """
        try:
            await self._write(events)
        except RowsRefused as why:
            if len(events) == 1:
                log_skipped(events[0], str(why))
                return
            middle = len(events) // 2
            await self.apply(events[:middle])
            await self.apply(events[middle:])

    async def _write(self, events: Sequence[ProjectedEvent]) -> None:
        batch = batch_of(events)
        if not batch.forgotten and not any(batch.of(table) for table in schema.READ_MODEL):
            return
        async with asyncio.timeout(self._patience_seconds), self._engine.begin() as connection:
            with refusals_told():
                await self._forgotten.lock(connection, to_forget=bool(batch.forgotten))
                if batch.forgotten:
                    await self._forgotten.forget(connection, batch.forgotten.values())
                marks = await self._forgotten.marks(connection, batch.traces)
                if marks:
                    batch = Batch(marks)
                    for event in events:
                        batch.take(event)
                for table, upsert in self._upserts:
                    if rows := batch.of(table):
                        ordered = [row for _, row in sorted(rows.items())]
                        await connection.execute(upsert, as_parameters(self._engine, ordered))


# -- events into rows


# -- fields


# -- upserts
