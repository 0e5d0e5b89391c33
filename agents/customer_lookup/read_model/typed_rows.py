"""Reads rows of a table as frozen records: a column for each field of the same name."""

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Select, Table
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


def columns_of(table: Table, kind: "type[DataclassInstance]") -> Iterable[Column[Any]]:
    """The columns of a table that a record has a field for."""
    return [table.c[field.name] for field in fields(kind) if field.name in table.c]


async def read_rows(connection: AsyncConnection, statement: Select[Any], kind: type[R]) -> list[R]:
    """The rows of a statement, each as a record of this kind."""
    return [kind(**row) for row in (await connection.execute(statement)).mappings()]
