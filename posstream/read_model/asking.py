"""Checks whether a worker can use a database; changes nothing in it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Executable, Table, delete, false, insert, inspect, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.domain.errors import DatabaseAway, DatabaseUnusable
from posstream.plugin import Plugin
from posstream.read_model.migrate import PLATFORM, Chain, chains, upgrade
from posstream.read_model.refusals import reason
from posstream.read_model.schema import METADATA
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


async def ask(engine: AsyncEngine, plugins: Sequence[Plugin]) -> bool:
    """Try what a worker does: migrate, read and write, in a transaction that is rolled back.

    Migrations are rehearsed only where there is no schema yet: in a database that is in use they
    would lock its tables.

    Args:
        engine: from `engine.create_engine`.
        plugins: whose tables are wanted.

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
            known = await _has_schema(connection, plugins)
            if known:
                await _try_tables(connection, plugins)
        if not known:
            await upgrade(engine, plugins, keep=False)
    except SQLAlchemyError as why:
        raise DatabaseUnusable(reason(why)) from why
    return True


def _is_there(path: Path) -> bool:
    """Whether the SQLite file exists; refuses a file that neither exists nor can be made."""
    try:
        if path.exists():
            return True
        why = folder_refusal(path.parent)
    except OSError as error:
        why = f"{path}: {error.strerror}"
    if why is not None:
        raise DatabaseUnusable(why)
    return False


async def _has_schema(connection: AsyncConnection, plugins: Sequence[Plugin]) -> bool:
    """Whether the database has posstream's schema; it may lack the newest migrations."""
    if connection.dialect.name == "postgresql":
        number = int(str(await connection.scalar(text("SHOW server_version_num"))))
        if number < _OLDEST:
            version = await connection.scalar(text("SHOW server_version"))
            raise DatabaseUnusable(f"PostgreSQL {version} is too old: 11 is the oldest that works")
        if await connection.scalar(text("SHOW transaction_read_only")) == "on":
            raise DatabaseAway("SQLSTATE 25006: the server takes no writes now", passes=True)
    wanted = _tables_by_chain(plugins)
    revisions = {chain: await connection.run_sync(chain.revision) for chain in wanted}
    if not any(revisions.values()):
        return False
    if connection.dialect.name == "postgresql":
        behind = [chain for chain, revision in revisions.items() if revision != chain.head]
        names = sorted(table.name for chain in behind for table in wanted[chain])
        foreign = list(await connection.scalars(_NOT_OURS, {"names": names}))
        if foreign:
            raise DatabaseUnusable(
                f"SQLSTATE 42501: its tables must be migrated, but {', '.join(foreign)} belong to "
                "another role"
            )
    return True


def _tables_by_chain(plugins: Sequence[Plugin]) -> Mapping[Chain, Sequence[Table]]:
    found = chains(plugins)
    own = {found[it.name]: it.read_model.tables() for it in plugins if it.read_model is not None}
    return {PLATFORM: METADATA.sorted_tables, **own}


async def _try_tables(connection: AsyncConnection, plugins: Sequence[Plugin]) -> None:
    there = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    wanted = _tables_by_chain(plugins).values()
    tables = [table for some in wanted for table in some if table.name in there]
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
