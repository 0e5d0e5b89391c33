"""Column types that mean the same on SQLite and PostgreSQL, and the naming of constraints."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from posstream.read_model.stored_time import in_utc, stored, time_of

#: Longest text of a key or a short field, in characters.
MAX_TEXT: Final = 256


class _SqliteTime(sqlite.DATETIME):
    """A time that is text already."""

    def bind_processor(self, dialect: Dialect) -> None:
        """None: the text goes to the database as it is."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """None: the text comes from the database as it is."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond.

    SQLite has no zones: there it is text without one, in the format of SQLAlchemy's own type,
    whose conversion took a sixth of the CPU of a projected answer.

    Raises:
        ValueError: for a naive time, whose zone would be a guess.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """TIMESTAMP WITH TIME ZONE; on SQLite text in a column of type DATETIME."""
        if dialect.name == "sqlite":
            return _SqliteTime()  # type: ignore[no-untyped-call]
        return self.impl_instance

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database."""
        if value is None:
            return None
        return stored(value) if dialect.name == "sqlite" else in_utc(value)

    def result_processor(
        self,
        dialect: Dialect,
        coltype: object,  # noqa: ARG002
    ) -> Callable[[Any], datetime | None]:
        """From the database; the default calls three functions for each value."""
        return _read_text if dialect.name == "sqlite" else _read_time


def _read_text(value: str | None) -> datetime | None:
    return None if value is None else time_of(value)


def _read_time(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


class Money(TypeDecorator[Decimal]):
    """An exact amount; SQLite has no decimals and keeps whole hundredths, or smaller parts.

    Args:
        precision: digits in all.
        places: after the point.
    """

    impl = Numeric
    cache_ok = True

    def __init__(self, precision: int = 15, places: int = 2) -> None:
        super().__init__(precision, places)
        self.precision = precision
        self.places = places

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC, or BIGINT on SQLite."""
        exact = Numeric(self.precision, self.places)
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else exact)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | int | None:
        """To the database."""
        if value is None or dialect.name != "sqlite":
            return value
        return int(value.scaleb(self.places).to_integral_value())

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        """From the database."""
        if value is None:
            return None
        return Decimal(value).scaleb(-self.places) if dialect.name == "sqlite" else Decimal(value)


# Keys compare by code point everywhere: ties are broken in Python within a batch and in SQL
# between batches, and both must agree whatever the locale of the database.
KEY: Final = String(MAX_TEXT).with_variant(String(MAX_TEXT, collation="C"), "postgresql")
# An upsert draws a number from PostgreSQL's sequence even when it inserts nothing: 32 bits
# would be used up within days.
SERIAL: Final = BigInteger().with_variant(Integer(), "sqlite")
DOCUMENT: Final = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

#: The `info` of a table that is computed from other tables of its plugin (derived). No event makes
#: its rows, so they are not counted among those that a rebuild brings back.
DERIVED: Final = {"posstream_derived": True}


def partial_index(name: str, column: str, *others: str) -> Index:
    """An index of the rows that have a value in `column`; the others cost no write to it."""
    known = text(f"{column} IS NOT NULL")
    return Index(name, column, *others, sqlite_where=known, postgresql_where=known)


def new_metadata() -> MetaData:
    """The tables of one chain of migrations, with the same names of constraints everywhere."""
    return MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
