"""Writes many rows into one table, with few statements that are compiled once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class ReadyRows:
    """Rows as one `RowsWriter` writes them."""

    #: As they were given, if they are asked for.
    rows: Sequence[Row]
    #: For PostgreSQL.
    document: Sequence[Row] = ()
    #: For SQLite.
    statements: Sequence[tuple[str, Any]] = ()
    #: For COPY; None = there are too few.
    lines: bytes | None = None


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
            self._many: _ManyRows | None = None
            self._convert = _json_converters(table)
        else:
            compiled = on_conflict(insert).compile(dialect=sqlite.dialect(), column_keys=names)
            self._many = _ManyRows(str(compiled), names)
            self._convert = _sqlite_converters(engine, table)

    def ready(self, rows: Sequence[Row], *, keep: bool = False) -> ReadyRows:
        """Prepare rows: statements with their values, or a JSON document and lines for COPY."""
        given, told = rows if keep else (), rows
        if self._convert:
            told = [{**row, **self._converted(row)} for row in rows]
        if self._many is not None:
            return ReadyRows(given, statements=self._many.statements(told))
        if len(rows) < LONG or self._staging.is_allowed is False:
            return ReadyRows(given, document=told)
        lines = self._staging.lines(told)
        return ReadyRows(given, lines=lines, document=() if self._staging.is_allowed else told)

    async def write(self, connection: AsyncConnection, rows: Sequence[Row]) -> int:
        """Write rows; returns how many were inserted or changed.

        On PostgreSQL no two of them may conflict with one another.
        """
        return await self.write_ready(connection, self.ready(rows))

    async def write_ready(self, connection: AsyncConnection, ready: ReadyRows) -> int:
        """As `write`."""
        if self._many is not None:
            written = 0
            for text_of_many, values in ready.statements:
                written += (await connection.exec_driver_sql(text_of_many, values)).rowcount
            return written
        if ready.lines is not None:
            staged = await self._staging.write(connection, ready.lines)
            if staged is not None:
                return staged
        return (await connection.execute(self._statement, {_ROWS: ready.document})).rowcount

    def _converted(self, row: Row) -> Row:
        return {name: convert(row[name]) for name, convert in self._convert.items()}


class _ManyRows:
    """INSERT statements of 1, 128 and 1,024 rows, for SQLite.

    Python's driver takes Python's lock again after each row that it inserts for `executemany`, and
    may wait for it as long as another thread computes. With many rows in one statement the lock is
    free until all of them are in.
    """

    def __init__(self, statement: str, names: Sequence[str]) -> None:
        row = f"({', '.join('?' * len(names))})"
        head, tail = statement.split(row)
        self._values = itemgetter(*names)
        self._one = statement
        #: By how many rows they insert, the longest first.
        self._texts = {
            length: f"{head}{', '.join([row] * length)}{tail}"
            for length in _LENGTHS
            if length * len(names) <= _MOST_VALUES
        }

    def statements(self, rows: Iterable[Row]) -> Sequence[tuple[str, Any]]:
        """Statements that insert the rows, each with its values."""
        values, start = list(map(self._values, rows)), 0
        made: list[tuple[str, Any]] = []
        for length, many in self._texts.items():
            while len(values) - start >= length:
                made.append((many, tuple(chain.from_iterable(values[start : start + length]))))
                start += length
        if rest := values[start:]:
            made.append((self._one, rest))
        return made


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
