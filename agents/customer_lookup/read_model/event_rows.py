"""Writes tables with one row for each event, and returns the times of the rows it replaced.

After a crash an event may be written once more, and a better row then replaces its row. If the new
row has another time, the count at the old time changes too.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.read_model.engine import Insert
from posstream.read_model.named_rows import SLICE
from posstream.read_model.rows_writer import ReadyRows, Row, RowsWriter
from posstream.read_model.stored_time import stored


@dataclass(frozen=True, slots=True)
class Rule:
    """How two rows of one event are compared."""

    #: The time at which a row counts.
    time: Column[Any]
    #: The other columns that `rank` looks at.
    others: tuple[Column[Any], ...]
    #: The row with the lower rank wins; times are as they are stored.
    rank: Callable[[Row], Any]


class EventRows:
    """Inserts rows into a table whose first column after `id` is `event_id`.

    Args:
        engine: from `engine.create_engine`.
        table: the table of the rows.
        rule: which of two rows wins.
        on_conflict: turns an INSERT into the upsert by that rule.
    """

    def __init__(
        self, engine: AsyncEngine, table: Table, rule: Rule, on_conflict: Callable[[Insert], Insert]
    ) -> None:
        self._key: Final = table.c.event_id
        self._rule: Final = rule
        self._insert: Final = RowsWriter(engine, table, lambda it: it.on_conflict_do_nothing())
        self._upsert: Final = RowsWriter(engine, table, on_conflict)

    def ready(self, rows: Sequence[Row]) -> ReadyRows:
        """Prepare rows."""
        return self._insert.ready(rows, keep=True)

    async def write_ready(self, connection: AsyncConnection, ready: ReadyRows) -> Collection[str]:
        """Write rows; returns the stored times of the rows that were replaced."""
        rows = ready.rows
        if await self._insert.write_ready(connection, ready) == len(rows):
            return ()
        rank = self._rule.rank
        known = await self._known(connection, (row["event_id"] for row in rows))
        better = [
            row
            for row in rows
            if (old := known.get(row["event_id"])) is not None and rank(row) < rank(old)
        ]
        if not better:
            return ()
        # Read again with a lock: another projection may have replaced them meanwhile.
        known = await self._known(connection, (row["event_id"] for row in better), lock=True)
        await self._upsert.write(connection, better)
        return {row[self._rule.time.name] for row in known.values()}

    async def _known(
        self, connection: AsyncConnection, ids: Iterable[str], *, lock: bool = False
    ) -> dict[str, Row]:
        names, time = sorted(ids), self._rule.time
        statement = select(self._key, time, *self._rule.others)
        if lock:
            # Lock in the order of keys: two projections that lock the same rows in other orders
            # would deadlock.
            statement = statement.order_by(self._key).with_for_update()
        known: dict[str, Row] = {}
        for start in range(0, len(names), SLICE):
            some = statement.where(self._key.in_(names[start : start + SLICE]))
            for row in (await connection.execute(some)).mappings():
                known[row["event_id"]] = {**row, time.name: stored(row[time.name])}
        return known
