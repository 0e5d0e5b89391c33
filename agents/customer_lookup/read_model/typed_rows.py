"""Reads rows of a table as frozen records: a column for each field of the same name."""

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Column, Integer, Select, Table, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")

#: Most rows that one call returns.
MAX_LIMIT: Final = 1_000


def bounded(first: int) -> int:
    """How many rows are read where `first` are asked for."""
    return max(1, min(first, MAX_LIMIT))


def limited(statement: Select[Any]) -> Select[Any]:
    """At most `first` rows of a statement: a value that is bound at each call."""
    return statement.limit(bindparam("first", type_=Integer))


def columns_of(table: Table, kind: "type[DataclassInstance]") -> Iterable[Column[Any]]:
    """The columns of a table that a record has a field for."""
    return [table.c[field.name] for field in fields(kind) if field.name in table.c]


async def read_rows(connection: AsyncConnection, statement: Select[Any], kind: type[R]) -> list[R]:
    """The rows of a statement, each as a record of this kind."""
    return [kind(**row) for row in (await connection.execute(statement)).mappings()]
