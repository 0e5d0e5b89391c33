"""Deletes the rows that are older than they are kept, a few in each transaction.

It runs in the process of the projections, so no till waits for it. Projections write meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Table, and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.read_model.engine import read_only
from posstream.read_model.named_rows import SLICE
from posstream.read_model.refusals import kind

log = logging.getLogger(__name__)

#: Keys that one SELECT finds. `baskets` has no index on its times: a search there reads them all.
_FOUND: Final = 50 * SLICE
#: Seconds between two transactions, in which the projections use the database.
_PAUSE_SECONDS: Final = 0.1
#: Seconds between two searches for old rows.
_BETWEEN_SECONDS: Final = 3600.0

#: By table, the columns with the times of a row. A row is old once all of its times are past the
#: limit; a time that is null is left out, and a row without any time stays.
Aging = Mapping[Table, Sequence[Column[Any]]]


class Retention:
    """Deletes old rows, again and again.

    Args:
        engine: from `engine.create_engine`, migrated.
        aging: the tables and times of every plugin whose migrations succeeded.
        keep: how long a row is kept.
        now: the time, in UTC.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        aging: Aging,
        keep: timedelta,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._aging = aging
        self._keep = keep
        self._now = now

    async def run(self) -> None:
        """Delete what is old every hour, until cancelled; a failure waits for the next hour."""
        while True:
            try:
                for table, count in (await self.sweep()).items():
                    if count:
                        log.info(
                            "deleted %d rows of %s, older than %d days",
                            count,
                            table,
                            self._keep.days,
                        )
            except Exception as why:  # noqa: BLE001 - rows may be old for an hour more
                log.warning("old rows could not be deleted (%s)", kind(why))
            await asyncio.sleep(_BETWEEN_SECONDS)

    async def sweep(self) -> Mapping[str, int]:
        """Delete what is old now; returns how many rows of each table.

        Raises:
            Exception: from the database; what was deleted until then is gone.
        """
        limit = self._now() - self._keep
        return {table.name: await self._sweep(table, limit) for table in self._aging}

    async def _sweep(self, table: Table, limit: datetime) -> int:
        key = next(column for column in table.columns if column.name != "id")
        old = _all_past(self._aging[table], limit)
        count = 0
        while True:
            async with read_only(self._engine).connect() as connection:
                found = (await connection.scalars(select(key).where(old).limit(_FOUND))).all()
            for start in range(0, len(found), SLICE):
                # A row that a projection writes now is young again, or is found an hour later.
                mine = (
                    select(key)
                    .where(key.in_(found[start : start + SLICE]), old)
                    .with_for_update(skip_locked=True)
                )
                async with self._engine.begin() as connection:
                    deleted = await connection.execute(delete(table).where(key.in_(mine)))
                count += deleted.rowcount
                await asyncio.sleep(_PAUSE_SECONDS)
            if len(found) < _FOUND:
                return count


def _all_past(times: Sequence[Column[Any]], limit: datetime) -> ColumnElement[bool]:
    past = [or_(it.is_(None), it < limit) if it.nullable else it < limit for it in times]
    return and_(*past, or_(*(it.is_not(None) for it in times))) if len(times) > 1 else past[0]
