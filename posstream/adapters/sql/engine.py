"""Open the database: one async engine for SQLite or PostgreSQL, with the traps closed."""

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from posstream.domain.errors import DatabaseUnusable
from posstream.json_input import read_json_exactly
from posstream.json_output import write_json

#: How long a SQLite connection waits for another one's write, in milliseconds.
BUSY_TIMEOUT_MS: Final = 5_000
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
#: The engine option of connections that only read.
READ_ONLY: Final = "posstream_read_only"
_PAUSE_SECONDS: Final = 0.02
#: A server that hangs takes connections all the same, and never greets.
_CONNECT_SECONDS: Final = 5

#: Numbers of others stay as they were sent.
_JSON: Final[Mapping[str, Any]] = {
    "json_serializer": lambda document: write_json(document).decode(),
    "json_deserializer": lambda text: read_json_exactly(
        text.encode() if isinstance(text, str) else text
    ),
}

Insert = postgresql.Insert | sqlite.Insert


def create_engine(url: str | URL, **pool: float) -> AsyncEngine:
    """An engine for `url`; nothing is opened yet, but for SQLite the folder is made.

    Args:
        url: `sqlite…` or `postgresql…`; without a driver ours is taken.
        pool: SQLAlchemy's options for the pool, if not its own.

    Raises:
        DatabaseUnusable: with a sentence; the address is not repeated (it may hold a password).
    """
    try:
        return _engine(make_url(url), pool)
    except (ArgumentError, OSError) as why:
        raise DatabaseUnusable(
            f"the database cannot be opened ({type(why).__name__}): see POSSTREAM_DATABASE_URL "
            "and POSSTREAM_DATADIR"
        ) from why


def _engine(address: URL, pool: Mapping[str, Any]) -> AsyncEngine:
    driver = _DRIVERS.get(address.get_backend_name())
    if driver is None:
        raise DatabaseUnusable("the database must be sqlite or postgresql")
    address = address.set(drivername=driver)
    if address.get_backend_name() == "postgresql":
        return create_async_engine(
            address,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"timeout": _CONNECT_SECONDS},
            **_JSON,
            **pool,
        )
    if address.database and address.database != ":memory:":
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    # Parameters are customers: they stay out of error messages, and so out of the log.
    engine = create_async_engine(address, hide_parameters=True, **_JSON, **pool)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def read_only(engine: AsyncEngine) -> AsyncEngine:
    """The same engine and pool, for transactions that only read.

    On SQLite they take no write lock; on PostgreSQL the server refuses their writes.
    """
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True)
    return engine.execution_options(**{READ_ONLY: True})


def insert_into(engine: AsyncEngine, table: Table) -> Insert:
    """An INSERT of the database's own kind: only those know what to do on a conflict."""
    if engine.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Transactions are ours (`_begin_sqlite`): the driver's own begin late, and the lock that
    # they then ask for is refused without waiting.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _switch_to_wal(cursor)
        cursor.execute("PRAGMA synchronous = NORMAL")
    finally:
        cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    # The one statement that does not heed busy_timeout while the file is new.
    for pauses_left in range(int(BUSY_TIMEOUT_MS / 1000 / _PAUSE_SECONDS), -1, -1):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if not pauses_left:
                raise
            await_only(asyncio.sleep(_PAUSE_SECONDS))
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A plain BEGIN takes the write lock at the first write, after the row to change was read.
    only_reads = connection.get_execution_options().get(READ_ONLY)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")
