"""Reads, changes and deletes rows by any number of names, with a statement for each slice."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Column, Table, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from posstream.domain.times import iso_utc

#: Names in one statement, which takes some 32,000 parameters.
SLICE: Final = 1_000

Row = Mapping[str, Any]


def as_json(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as values for JSON: times as ISO-8601, amounts as text."""
    return {
        name: iso_utc(value)
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, Decimal)
        else value
        for name, value in row.items()
    }


async def rows_named(
    connection: AsyncConnection,
    columns: Sequence[Column[Any]],
    *wanted: tuple[Column[Any], Collection[str]],
) -> Sequence[Row]:
    """The rows that have one of the wanted names, each once; the first column is their key."""
    rows: dict[str, Row] = {}
    for column, names in wanted:
        ordered = sorted(names)
        for start in range(0, len(ordered), SLICE):
            some = select(*columns).where(column.in_(ordered[start : start + SLICE]))
            for row in (await connection.execute(some)).mappings():
                rows[row[columns[0].name]] = dict(row)
    return list(rows.values())


async def delete_rows(
    connection: AsyncConnection, key: Column[Any], names: Collection[str]
) -> None:
    """Delete the rows whose key is one of the names."""
    if names:
        statement = delete(_table(key)).where(key == bindparam("of"))
        await connection.execute(statement, [{"of": name} for name in names])


async def update_rows(
    connection: AsyncConnection,
    key: Column[Any],
    values: Sequence[str],
    rows: Sequence[Row],
) -> None:
    """Change the columns `values` of each row; its field `of` has the key."""
    if rows:
        statement = _table(key).update().where(key == bindparam("of"))
        await connection.execute(
            statement.values({name: bindparam(f"new_{name}") for name in values}),
            [{"of": row["of"], **{f"new_{name}": row[name] for name in values}} for row in rows],
        )


def _table(column: Column[Any]) -> Table:
    table = column.table
    if not isinstance(table, Table):
        raise TypeError("only columns of tables")
    return table
