"""Bring the schema up to date, once, however many workers start together."""

from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

SCRIPT_LOCATION: Final = "agents:customer_lookup/read_model/migrations"
#: PostgreSQL's advisory locks are numbers; this one is ours ("posstrea" in ASCII).
_LOCK: Final = int.from_bytes(b"posstrea")


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Run the missing migrations in one transaction; all of them or none.

    Safe for workers that start together: the first one migrates, the others wait and find
    nothing to do. Alembic keeps its context per process, so upgrade one database at a time
    in one process.

    Args:
        engine: from `engine.create_engine`.
        revision: how far.

    Raises:
        sqlalchemy.exc.DBAPIError: from the database.
        alembic.util.CommandError: for a database that a newer posstream has migrated.
    """
    # On SQLite the transaction itself is the lock: it begins with BEGIN IMMEDIATE.
    async with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_upgrade, revision)


async def rehearse(engine: AsyncEngine) -> None:
    """Run the missing migrations in a transaction, and roll it back.

    Raises:
        sqlalchemy.exc.DBAPIError: from the database.
    """
    # The transaction begins here: otherwise Alembic would begin and commit one.
    async with engine.connect() as connection, connection.begin() as transaction:
        await connection.run_sync(_upgrade, "head")
        await transaction.rollback()


def configuration() -> Config:
    """Alembic's configuration, without a connection."""
    config = Config()
    config.set_main_option("script_location", SCRIPT_LOCATION)
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection, revision: str) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
