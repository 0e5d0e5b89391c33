"""The tables of the read model, and the column types that mean the same on both databases."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
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
_Key = String(MAX_TEXT).with_variant(String(MAX_TEXT, collation="C"), "postgresql")
# An upsert draws a number from PostgreSQL's sequence even when it inserts nothing: 32 bits
# would be used up within days.
_Serial = BigInteger().with_variant(Integer(), "sqlite")
_Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: One row per customer, as last fetched. `fetched_at` guards against older data.
CUSTOMERS: Final = Table(
    "customers",
    METADATA,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("customer_id", _Key, nullable=False),
    Column("identifier", _Key, nullable=False),
    Column("first_name", String(MAX_TEXT), nullable=False),
    Column("last_name", String(MAX_TEXT), nullable=False),
    Column("email", String(MAX_TEXT), nullable=False),
    Column("phone", String(MAX_TEXT), nullable=False),
    Column("loyalty_points", BigInteger, nullable=False),
    Column("tier", String(MAX_TEXT), nullable=False),
    Column("total_purchases", Money, nullable=False),
    Column("last_purchase_date", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("attributes", _Json, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
    # Names, e-mail and phone, case-folded by Python: SQLite folds ASCII only.
    Column("search_text", Text, nullable=False),
    UniqueConstraint("customer_id"),
    Index(None, "identifier"),
    Index(None, "tier", "customer_id"),
    sqlite_autoincrement=True,
)

#: Every identifier that ever led to a customer, with the customer it led to last.
CUSTOMER_IDENTIFIERS: Final = Table(
    "customer_identifiers",
    METADATA,
    Column("identifier", _Key, primary_key=True),
    Column("customer_id", _Key, nullable=False),
    Column("kind", String(MAX_TEXT)),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
    Index(None, "customer_id"),
)

#: One row per basket; `identified_by` is the event that gave it its customer.
BASKETS: Final = Table(
    "baskets",
    METADATA,
    Column("basket_id", _Key, primary_key=True),
    Column("employee_id", _Key),
    Column("terminal_id", _Key),
    Column("customer_id", _Key),
    Column("started_at", UtcDateTime),
    Column("identified_at", UtcDateTime),
    Column("identified_by", _Key),
)

#: Every identification of a basket that was answered, failed ones too.
BASKET_IDENTIFICATIONS: Final = Table(
    "basket_identifications",
    METADATA,
    Column("event_id", _Key, primary_key=True),
    Column("basket_id", _Key, nullable=False),
    Column("lookup_id", _Key),
    Column("customer_identifier", _Key, nullable=False),
    Column("customer_id", _Key),
    Column("source", String(MAX_TEXT)),
    Column("reason", String(MAX_TEXT)),
    Column("identified_at", UtcDateTime, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Index(None, "basket_id"),
)

#: One row per HTTP attempt that reached the directory.
CUSTOMER_LOOKUP_LOGS: Final = Table(
    "customer_lookup_logs",
    METADATA,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("event_id", _Key, nullable=False),
    Column("lookup_id", _Key),
    Column("attempt", BigInteger),
    Column("waiters", BigInteger),
    Column("basket_id", _Key),
    Column("customer_identifier", _Key, nullable=False),
    Column("identifier_kind", String(MAX_TEXT)),
    Column("api_endpoint", Text),
    Column("call_started_at", UtcDateTime),
    Column("request_timestamp", UtcDateTime, nullable=False),
    Column("response_timestamp", UtcDateTime),
    Column("status", String(MAX_TEXT)),
    Column("http_status", BigInteger),
    Column("response_data", _Json),
    Column("error_message", Text),
    Column("duration_ms", BigInteger),
    # Of whom the response tells: the identifier may lead to somebody else by now, or to nobody.
    Column("customer_id", _Key),
    UniqueConstraint("event_id"),
    Index(None, "basket_id"),
    Index(None, "customer_id"),
    Index(None, "customer_identifier", "request_timestamp"),
    Index(None, "status", "request_timestamp"),
    Index(None, "request_timestamp"),
    sqlite_autoincrement=True,
)

#: One row per terminal answer.
LOOKUP_ANSWERS: Final = Table(
    "lookup_answers",
    METADATA,
    Column("event_id", _Key, primary_key=True),
    Column("lookup_id", _Key),
    Column("event_type", String(MAX_TEXT), nullable=False),
    Column("basket_id", _Key, nullable=False),
    Column("customer_identifier", _Key, nullable=False),
    Column("identifier_kind", String(MAX_TEXT)),
    Column("customer_id", _Key),
    Column("source", String(MAX_TEXT)),
    Column("reason", String(MAX_TEXT)),
    Column("error_message", Text),
    Column("attempts", BigInteger),
    Column("duration_ms", BigInteger),
    Column("age_ms", BigInteger),
    Column("config_version", BigInteger),
    Column("fetched_at", UtcDateTime),
    Column("fresh_until", UtcDateTime),
    Column("identified_at", UtcDateTime, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Index(None, "basket_id"),
    Index(None, "customer_identifier", "occurred_at"),
    Index(None, "occurred_at"),
)

# What operators look for is rare: indexes of nothing else cost the usual answer no write. The
# conditions are constants, which both databases must see to know that an index holds them.
FAILED: Final = text("reason IS NOT NULL AND reason <> 'NOT_FOUND'")
STALE: Final = text("source = 'STALE_CACHE'")
for _name, _condition in (("failed", FAILED), ("stale", STALE)):
    Index(
        f"ix_lookup_answers_{_name}",
        LOOKUP_ANSWERS.c.occurred_at,
        sqlite_where=_condition,
        postgresql_where=_condition,
    )

#: Who was forgotten, by the hashes of `domain.forgetting`. It outlives the rows that a rebuild
#: drops: of these subjects there is nothing from `forgotten_at` or before.
FORGOTTEN_SUBJECTS: Final = Table(
    "forgotten_subjects",
    METADATA,
    Column("subject", _Key, primary_key=True),
    Column("forgotten_at", UtcDateTime, nullable=False),
    Column("cache_entries", BigInteger, nullable=False),
    Index(None, "forgotten_at"),
)

#: What is made of the topics and of nothing else. Whoever writes or locks several of them takes
#: them in this order, so that two cannot wait for each other.
READ_MODEL: Final = (
    CUSTOMERS,
    CUSTOMER_IDENTIFIERS,
    BASKETS,
    BASKET_IDENTIFICATIONS,
    CUSTOMER_LOOKUP_LOGS,
    LOOKUP_ANSWERS,
)

#: One row per version of a plugin's configuration; the primary key lets each be written once.
PLUGIN_CONFIGURATIONS: Final = Table(
    "plugin_configurations",
    METADATA,
    Column("plugin", _Key, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("enabled", Boolean, nullable=False),
    Column("config", _Json, nullable=False),
    Column("description", Text, nullable=False),
    Column("updated_at", UtcDateTime),
    Column("updated_by", String(MAX_TEXT)),
    # What it replaced.
    Column("old_enabled", Boolean, nullable=False),
    Column("old_config", _Json, nullable=False),
)
