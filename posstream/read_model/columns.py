"""Column types that mean the same on SQLite and PostgreSQL, and the naming of constraints."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    Numeric,
    String,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

#: Longest text of a key or a short field, in characters.
MAX_TEXT: Final = 256


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond; SQLite has no zones and keeps it naive.

    Raises:
        ValueError: for a naive time, whose zone would be a guess.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        if value is None:
            return None
        # SQLite stores no zone: the value is in UTC.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Money(TypeDecorator[Decimal]):
    """An exact amount with two places; SQLite has no decimals and keeps whole hundredths."""

    impl = Numeric(15, 2)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC(15,2), or BIGINT on SQLite."""
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else Numeric(15, 2))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | int | None:
        """To the database."""
        if value is None or dialect.name != "sqlite":
            return value
        return int(value.scaleb(2).to_integral_value())

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        """From the database."""
        if value is None:
            return None
        return Decimal(value).scaleb(-2) if dialect.name == "sqlite" else Decimal(value)


# Keys compare by code point everywhere: ties are broken in Python within a batch and in SQL
# between batches, and both must agree whatever the locale of the database.
KEY: Final = String(MAX_TEXT).with_variant(String(MAX_TEXT, collation="C"), "postgresql")
# An upsert draws a number from PostgreSQL's sequence even when it inserts nothing: 32 bits
# would be used up within days.
SERIAL: Final = BigInteger().with_variant(Integer(), "sqlite")
DOCUMENT: Final = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def new_metadata() -> MetaData:
    """The tables of one chain of migrations, with the same names of constraints everywhere."""
    return MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
