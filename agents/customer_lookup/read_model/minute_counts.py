"""Counts the rows of a window by kind; keeps the counts of whole minutes in memory.

The rows of a minute are read again if their number has changed, which an index alone tells: so late
rows are counted too. Rows go only when somebody is forgotten, and then nothing is kept.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, func, select

from posstream.read_model.schema import FORGOTTEN_SUBJECTS

#: Longer windows are counted by the database: adding up so many minutes would hold tills up.
MAX_MINUTES: Final = 360
_MINUTE: Final = timedelta(minutes=1)
_FORGOTTEN: Final = select(func.count(), func.max(FORGOTTEN_SUBJECTS.c.forgotten_at)).select_from(
    FORGOTTEN_SUBJECTS
)

Counts = Counter[tuple[Any, ...]]


class MinuteCounts:
    """The counts of one table.

    Args:
        at: the indexed time by which a row belongs to a window.
        kind: the columns that rows are grouped by.
    """

    def __init__(self, at: Column[datetime], *kind: Column[Any]) -> None:
        self._at = at
        self._kind = kind
        self._kept: dict[datetime, Counts] = {}
        self._forgotten: tuple[Any, ...] = ()

    def since(self, connection: Connection, since: datetime) -> Counts:
        """The number of rows from a moment on, by kind; within a transaction."""
        newest: datetime | None = connection.execute(select(func.max(self._at))).scalar_one()
        if newest is None:
            return Counter()
        start = _minute_of(since + _MINUTE)
        end = _minute_of(newest)  # the newest minute is not over
        # A range with both ends: SQLite takes the index of the time for it, and else may scan one
        # that is in the order of the groups.
        until_newest = self._at <= newest
        if not start < end <= start + MAX_MINUTES * _MINUTE:
            return self._read(connection, self._at >= since, until_newest)
        self._drop_what_may_be_gone(connection, start)
        self._refresh(connection, start, end)
        counts = self._read(connection, self._at >= since, self._at < start)
        counts += self._read(connection, self._at >= end, until_newest)
        for minute in _minutes(start, end):
            for kind, count in self._kept[minute].items():
                counts[kind] += count
        return counts

    def _drop_what_may_be_gone(self, connection: Connection, start: datetime) -> None:
        forgotten = tuple(connection.execute(_FORGOTTEN).one())
        if forgotten != self._forgotten:
            self._kept.clear()
            self._forgotten = forgotten
        if len(self._kept) > 2 * MAX_MINUTES:
            self._kept = {minute: it for minute, it in self._kept.items() if minute >= start}

    def _refresh(self, connection: Connection, start: datetime, end: datetime) -> None:
        """Read the minutes of a range whose number of rows is not as it was, by halves."""
        kept = [self._kept.get(minute) for minute in _minutes(start, end)]
        known = [it for it in kept if it is not None]
        if len(known) == len(kept):
            rows = select(func.count()).where(self._at >= start, self._at < end)
            if connection.execute(rows).scalar_one() == sum(it.total() for it in known):
                return
        if not known or len(kept) == 1:
            self._read_minutes(connection, start, end)
            return
        middle = start + len(kept) // 2 * _MINUTE
        self._refresh(connection, start, middle)
        self._refresh(connection, middle, end)

    def _read(self, connection: Connection, *window: ColumnElement[bool]) -> Counts:
        rows = select(*self._kind, func.count()).where(*window).group_by(*self._kind)
        return Counter({tuple(kind): count for *kind, count in connection.execute(rows)})

    def _read_minutes(self, connection: Connection, start: datetime, end: datetime) -> None:
        on_sqlite = connection.dialect.name == "sqlite"
        minute_of: Any = (
            func.substr(self._at, 1, 16) if on_sqlite else func.date_trunc("minute", self._at)
        ).label("minute")
        rows = (
            select(minute_of, *self._kind, func.count())
            .where(self._at >= start, self._at < end)
            .group_by(minute_of, *self._kind)
        )
        found: dict[datetime, Counts] = {minute: Counter() for minute in _minutes(start, end)}
        for minute, *kind, count in connection.execute(rows):
            moment = datetime.fromisoformat(minute).replace(tzinfo=UTC) if on_sqlite else minute
            found[moment][tuple(kind)] = count
        self._kept.update(found)


def _minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += _MINUTE
