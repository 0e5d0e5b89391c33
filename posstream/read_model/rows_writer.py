"""Writes many rows into one table with one statement that is compiled once."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Table, bindparam, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.read_model.columns import Money, UtcDateTime
from posstream.read_model.engine import Insert, insert_into
from posstream.read_model.staging import Staging

#: The name of the parameter that holds a list of rows.
_ROWS: Final = "rows_to_insert"
#: PostgreSQL gets a list of at least so many rows by COPY. In lists of 4,000 a row took 56 us of
#: the server's CPU instead of 85, in lists of 500 it took 96 instead of 112.
LONG: Final = 500

#: How many values a statement may have: SQLite's default is 32,766.
_MOST_VALUES: Final = 32_000
#: How many rows a statement for SQLite inserts; few lengths, as each is compiled once.
_LENGTHS: Final = (1024, 128)

Row = Mapping[str, Any]


class RowsWriter:
    """Inserts rows into one table; each row has every written column, and times as `stored` text.

    SQLite gets the statement and the values as they are: SQLAlchemy's parameters took two thirds of
    the time of a written row. PostgreSQL gets a short list in one JSON document, as one statement
    and one message, and a long list by COPY (docs/decisions/0014-psycopg-for-postgresql.md).

    Args:
        engine: from `engine.create_engine`.
        table: its column `id`, if it has one, is a serial number and is not written.
        on_conflict: makes the INSERT an upsert.
    """

    def __init__(
        self, engine: AsyncEngine, table: Table, on_conflict: Callable[[Insert], Insert]
    ) -> None:
        names = written_columns(table)
        insert = insert_into(engine, table)
        if engine.dialect.name == "postgresql":
            document = func.jsonb_populate_recordset(
                text(f"NULL::{table.name}"), bindparam(_ROWS, type_=postgresql.JSONB)
            ).table_valued(*names, name="rows")
            insert = insert.from_select(names, select(*(document.c[name] for name in names)))
            self._statement: Any = on_conflict(insert)
            self._staging = Staging(table, names, on_conflict)
            self._values: Callable[[Row], Any] | None = None
            self._convert = _json_converters(table)
        else:
            compiled = on_conflict(insert).compile(dialect=sqlite.dialect(), column_keys=names)
            self._statement = str(compiled)
            self._many = _ManyRows(self._statement, len(names))
            self._values = itemgetter(*names)
            self._convert = _sqlite_converters(engine, table)

    async def write(self, connection: AsyncConnection, rows: Sequence[Row]) -> int:
        """Write rows; returns how many were inserted or changed.

        On PostgreSQL no two of them may conflict with one another.
        """
        if self._convert:
            rows = [{**row, **self._converted(row)} for row in rows]
        if self._values is not None:
            return await self._many.write(connection, list(map(self._values, rows)))
        if len(rows) >= LONG:
            written = await self._staging.write(connection, rows)
            if written is not None:
                return written
        return (await connection.execute(self._statement, {_ROWS: rows})).rowcount

    def _converted(self, row: Row) -> Row:
        return {name: convert(row[name]) for name, convert in self._convert.items()}


class _ManyRows:
    """An INSERT of one row that can have more rows, for SQLite.

    Python's driver takes Python's lock again after each row that it inserts for `executemany`, and
    may wait for it as long as another thread computes. With many rows in one statement the lock is
    free until all of them are in.
    """

    def __init__(self, statement: str, columns: int) -> None:
        row = f"({', '.join('?' * columns)})"
        head, self._tail = statement.split(row)
        self._head, self._row = head, row
        self._statement = statement
        self._most = _MOST_VALUES // columns

    async def write(self, connection: AsyncConnection, rows: Sequence[Sequence[Any]]) -> int:
        """Write rows; returns how many were inserted or changed."""
        written, start = 0, 0
        for length in _LENGTHS:
            if length > self._most:
                continue
            while len(rows) - start >= length:
                values = tuple(chain.from_iterable(rows[start : start + length]))
                text = f"{self._head}{', '.join([self._row] * length)}{self._tail}"
                written += (await connection.exec_driver_sql(text, values)).rowcount
                start += length
        if start < len(rows):
            rest = list(rows[start:])
            written += (await connection.exec_driver_sql(self._statement, rest)).rowcount
        return written


def written_columns(table: Table) -> list[str]:
    """The columns that are written: all but a serial number."""
    return [str(column.name) for column in table.columns if column.name != "id"]


def _sqlite_converters(engine: AsyncEngine, table: Table) -> Mapping[str, Callable[[Any], Any]]:
    dialect = engine.sync_engine.dialect
    found = {
        str(column.name): column.type.dialect_impl(dialect).bind_processor(dialect)
        for column in table.columns
        if not isinstance(column.type, UtcDateTime)
    }
    return {name: convert for name, convert in found.items() if convert is not None}


def _json_converters(table: Table) -> Mapping[str, Callable[[Any], Any]]:
    def as_text(value: Decimal | None) -> str | None:
        return None if value is None else str(value)

    return {str(it.name): as_text for it in table.columns if isinstance(it.type, Money)}
