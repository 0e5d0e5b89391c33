"""Counts the rows of all tables of the read model and those that a replay loses; empties them.

A table that is computed from other tables (`columns.DERIVED`) is emptied too, but not counted.
"""

from collections.abc import AsyncIterable, Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import Column, MetaData, String, Table, delete, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.read_model.columns import DERIVED, KEY
from posstream.read_model.engine import read_only, snapshots
from posstream.read_model.part import ReadModelPart
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.rows_writer import RowsWriter

#: The keys of the rows that events bring. A temporary table, gone with its transaction.
_ACCOUNTED: Final = Table(
    "posstream_accounted",
    MetaData(),
    Column("of", String(64), primary_key=True),
    Column("key", KEY, primary_key=True),
    prefixes=["TEMPORARY"],
)
#: How long to wait for the readers of a table; new readers wait behind us for as long.
_LOCK_SECONDS: Final = 10


class ReadModelTables:
    """The tables of every plugin; every method may raise the database's errors.

    Args:
        engine: from `engine.create_engine`, migrated.
        parts: what the plugins declare.
    """

    def __init__(self, engine: AsyncEngine, parts: Sequence[ReadModelPart]) -> None:
        self._engine = engine
        self._parts = parts
        self._all = [table for part in parts for table in part.tables()]
        self._tables = [table for table in self._all if table.info != DERIVED]

    async def counts(self) -> Mapping[str, int]:
        """How many rows each table has."""
        async with read_only(self._engine).connect() as connection:
            return {table.name: await _count(connection, table) for table in self._tables}

    async def unaccounted(
        self, batches: AsyncIterable[Sequence[ProjectedEvent]]
    ) -> Mapping[str, int]:
        """Count the rows of each table that a replay of these events does not bring back.

        Counts the rows that exist at the start. Every event that was projected before must be in
        the batches, or its rows count as lost.
        """
        keys = RowsWriter(self._engine, _ACCOUNTED, lambda it: it.on_conflict_do_nothing())
        async with snapshots(self._engine).connect() as connection:
            await _count(connection, self._tables[0])  # the first read sets the snapshot
            await connection.run_sync(_ACCOUNTED.create)
            async for batch in batches:
                rows = [
                    {"of": table.name, "key": key}
                    for table, found in self._row_keys(batch).items()
                    for key in found
                ]
                if rows:
                    await keys.write(connection, rows)
            counts = {
                table.name: await _count(connection, table, lost=True) for table in self._tables
            }
            await connection.rollback()
        return counts

    def _row_keys(self, events: Sequence[ProjectedEvent]) -> Mapping[Table, Collection[str]]:
        found: dict[Table, Collection[str]] = {}
        for part in self._parts:
            own = [event for event in events if event.topic in part.projected]
            found |= part.row_keys(own)
        return found

    async def empty(self) -> None:
        """Delete every row of all tables, in one transaction."""
        async with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                names = ", ".join(table.name for table in self._all)
                await connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
                await connection.execute(text(f"TRUNCATE {names}"))
                return
            for table in reversed(self._all):  # derived ones first: triggers then find no rows
                await connection.execute(delete(table))


async def _count(connection: AsyncConnection, table: Table, *, lost: bool = False) -> int:
    counted = select(func.count()).select_from(table)
    if lost:
        # The column of the key that `ReadModelPart.row_keys` gives.
        key = next(column for column in table.columns if column.name != "id")
        accounted = exists().where(_ACCOUNTED.c.of == table.name, _ACCOUNTED.c.key == key)
        counted = counted.where(~accounted)
    return (await connection.execute(counted)).scalar_one()
