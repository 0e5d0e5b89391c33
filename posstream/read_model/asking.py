"""Checks whether a worker can use a database; changes nothing in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Executable, Table, delete, false, insert, inspect, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.schema import METADATA
from posstream.domain.errors import DatabaseAway, DatabaseUnusable
from posstream.read_model.migrate import configuration, rehearse
from posstream.read_model.refusals import reason
from posstream.startup.writable_folder import folder_refusal

#: The oldest PostgreSQL that has what the read model uses (`sha256`), as its number.
_OLDEST: Final = 110_000
_SEQUENCES: Final = text(
    "SELECT sequence FROM unnest(CAST(:names AS text[])) AS names(name), "
    "LATERAL pg_get_serial_sequence(name, 'id') AS sequence "
    "WHERE NOT has_sequence_privilege(sequence, 'USAGE')"
)
_NOT_OURS: Final = text(
    "SELECT relname FROM pg_class WHERE oid = ANY "
    "(SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS names(name)) "
    "AND NOT pg_has_role(relowner, 'USAGE')"
)


async def ask(engine: AsyncEngine) -> bool:
    """Try what a worker does: migrate, read and write, in a transaction that is rolled back.

    Migrations are rehearsed only where there is no schema yet: in a database that is in use they
    would lock its tables.

    Args:
        engine: from `engine.create_engine`.

    Returns:
        False if it is a SQLite file that does not exist yet.

    Raises:
        DatabaseAway: if the database does not answer, or cannot be used for now.
        DatabaseUnusable: if the database refuses the worker; the message is its reason.
    """
    path = engine.url.database if engine.dialect.name == "sqlite" else None
    if path is not None and path != ":memory:" and not _is_there(Path(path)):
        return False
    try:
        async with engine.connect() as connection:
            known = await _has_schema(connection)
            if known:
                await _try_tables(connection)
        if not known:
            await rehearse(engine)
    except SQLAlchemyError as why:
        raise DatabaseUnusable(reason(why)) from why
    return True


def _is_there(path: Path) -> bool:
    """Whether the SQLite file exists; refuses one that neither exists nor can be made."""
    try:
        if path.exists():
            return True
        why = folder_refusal(path.parent)
    except OSError as error:
        why = f"{path}: {error.strerror}"
    if why is not None:
        raise DatabaseUnusable(why)
    return False


async def _has_schema(connection: AsyncConnection) -> bool:
    """Whether the database has posstream's schema; it may lack the newest migrations."""
    if connection.dialect.name == "postgresql":
        number = int(str(await connection.scalar(text("SHOW server_version_num"))))
        if number < _OLDEST:
            version = await connection.scalar(text("SHOW server_version"))
            raise DatabaseUnusable(f"PostgreSQL {version} is too old: 11 is the oldest that works")
        if await connection.scalar(text("SHOW transaction_read_only")) == "on":
            raise DatabaseAway("SQLSTATE 25006: the server takes no writes now", passes=True)
    revision = await connection.run_sync(
        lambda sync: MigrationContext.configure(sync).get_current_revision()
    )
    if revision is None:
        return False
    scripts = ScriptDirectory.from_config(configuration())
    if revision not in {script.revision for script in scripts.walk_revisions()}:
        raise DatabaseUnusable(f"a newer posstream has migrated it, to {revision}")
    if revision != scripts.get_current_head() and connection.dialect.name == "postgresql":
        names = sorted(METADATA.tables)
        foreign = list(await connection.scalars(_NOT_OURS, {"names": names}))
        if foreign:
            raise DatabaseUnusable(
                f"SQLSTATE 42501: its tables must be migrated, but {', '.join(foreign)} belong to "
                "another role"
            )
    return True


async def _try_tables(connection: AsyncConnection) -> None:
    there = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    tables = [table for table in METADATA.sorted_tables if table.name in there]
    for table in tables:
        for statement in _no_change(table):
            await connection.execute(statement)
    if connection.dialect.name == "postgresql":
        names = [table.name for table in tables if "id" in table.columns]
        refused = list(await connection.scalars(_SEQUENCES, {"names": names}))
        if refused:
            raise DatabaseUnusable(
                f"SQLSTATE 42501: permission denied for sequence {', '.join(refused)}"
            )
    await connection.rollback()


def _no_change(table: Table) -> Iterator[Executable]:
    """Statements that read and write a table as a worker does, but touch no row."""
    key = next(iter(table.primary_key))
    yield select(key).where(false())
    yield insert(table).from_select([key.name], select(key).where(false()), include_defaults=False)
    yield update(table).where(false()).values({key.name: key})
    yield delete(table).where(false())
