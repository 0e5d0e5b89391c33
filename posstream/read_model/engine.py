"""Makes the async engine for SQLite or PostgreSQL, with the settings that both need here."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from posstream.domain.errors import DatabaseUnusable
from posstream.json.reading import read_json_exactly
from posstream.json.writing import write_json
from posstream.read_model.address import SqliteFile, read_address
from posstream.read_model.refusals import tell_absences

#: How long a SQLite connection waits for another one's write, in milliseconds.
BUSY_TIMEOUT_MS: Final = 5_000
#: A writer asks for the lock with this limit again and again: within 20 ms SQLite looks every 10 ms
#: at least. In one long wait it soon looks every 100 ms only, and misses the moments between two
#: transactions of another writer: two projections with a backlog refused each other for 10 s.
_LOOK_MS: Final = 20
#: Options of an engine: how its transactions begin, and how long a statement may take.
_BEGINS: Final = "posstream_begins"
_STATEMENT_SECONDS: Final = "posstream_statement_seconds"
_PAUSE_SECONDS: Final = 0.02
#: A checkpoint after 40,000 pages of 4 KiB, which are 160 MiB of log: indexes on random ids touch
#: pages all over the file. With 64,000 a row took 33 us of CPU and 7.4 KB of writes instead of 39
#: and 10.1 with 8,000 (800,000 answers with their baskets, transactions of 20,000); 40,000 takes
#: less disk. For all connections: one with SQLite's 1,000 would copy the log of all others in its
#: own small commit.
_CHECKPOINT: Final = "PRAGMA wal_autocheckpoint = 40000"
#: For a connection that writes many rows: a page cache of 64 MiB. With it, and a checkpoint after
#: 8,000 pages, a row took 32 us of CPU instead of 40 (200,000 answers, batches of 1,750).
_BULK: Final = "PRAGMA cache_size = -65536"
#: What holds for a PostgreSQL connection unless the URL says otherwise.
_CONNECTION: Final = {
    # A server that hangs still accepts connections, but never answers.
    "connect_timeout": "5",
    "client_encoding": "UTF8",
    "fallback_application_name": "posstream",
}
#: Environment variables that libpq reads beside those of its connection options.
_MORE_OF_LIBPQ: Final = ("PGGEQO", "PGREQUIRESSL", "PGLOCALEDIR")
#: Where service files are: read if the URL names a service.
_SERVICE_FILES: Final = frozenset({"PGSERVICEFILE", "PGSYSCONFDIR"})
#: How a session writes times. Environment variables: PgBouncer refuses options.
_SESSION: Final = {"PGTZ": "UTC", "PGDATESTYLE": "ISO"}

#: psycopg's own transactions and prepared statements belong to a session; see `_begin_postgresql`.
_POSTGRESQL: Final[Mapping[str, Any]] = {
    "pool_pre_ping": True,
    "use_native_hstore": False,
    "connect_args": {"autocommit": True, "prepare_threshold": None},
}

Insert = postgresql.Insert | sqlite.Insert


def _written(document: Any) -> str:
    """A document for a JSON column; foreign numbers stay as they were sent."""
    try:
        return write_json(document).decode()
    except orjson.JSONEncodeError as why:  # a TypeError, which no driver expects of a value
        raise ValueError(str(why)) from why


def _read(text: str | bytes) -> Any:
    return read_json_exactly(text.encode() if isinstance(text, str) else text)


def create_engine(
    url: str | URL,
    *,
    statement_seconds: float | None = None,
    bulk: bool = False,
    **pool: float,
) -> AsyncEngine:
    """An engine for `url`; nothing is opened yet.

    Args:
        url: as `address.read_address` reads it, or the URL of another engine.
        statement_seconds: PostgreSQL cancels a statement after this time; None = no limit.
        bulk: for an engine that writes many rows; each connection to SQLite takes up to 64 MiB.
        pool: SQLAlchemy's options for the pool, if not its own.

    Raises:
        DatabaseUnusable: with a sentence; the address is not repeated (it may hold a password).
    """
    if isinstance(url, str):
        url = _engine_url(url)
    on_postgresql = url.get_backend_name() == "postgresql"
    engine = create_async_engine(
        url,
        # Parameters are customers: they stay out of error messages, and so out of the log.
        hide_parameters=True,
        execution_options={_STATEMENT_SECONDS: statement_seconds},
        json_serializer=_written,
        json_deserializer=_read,
        **(_POSTGRESQL if on_postgresql else {}),
        # The one that writes keeps its page cache.
        **({"pool_use_lifo": True} if bulk and url.database != ":memory:" else {}),
        **pool,
    )
    tell_absences(engine)
    if on_postgresql:
        event.listen(engine.sync_engine, "begin", _begin_postgresql)
    else:
        event.listen(engine.sync_engine, "do_connect", _make_folder)
        event.listen(engine.sync_engine, "connect", partial(_prepare_sqlite, bulk=bulk))
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def read_only(engine: AsyncEngine) -> AsyncEngine:
    """The same engine and pool, for transactions that only read.

    On SQLite they take no write lock; on PostgreSQL the server refuses their writes.
    """
    return engine.execution_options(**{_BEGINS: "READ ONLY"})


def snapshots(engine: AsyncEngine) -> AsyncEngine:
    """The same engine and pool, for transactions that read one snapshot."""
    return engine.execution_options(**{_BEGINS: "ISOLATION LEVEL REPEATABLE READ"})


def insert_into(engine: AsyncEngine, table: Table) -> Insert:
    """An INSERT of the database's own dialect: only that has ON CONFLICT."""
    if engine.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _engine_url(url: str) -> URL:
    try:
        address = read_address(url)
    except ValueError as why:
        raise DatabaseUnusable(f"POSSTREAM_DATABASE_URL {why}") from why
    if isinstance(address, SqliteFile):
        return URL.create("sqlite+aiosqlite", database=str(address.path or ":memory:"))
    from psycopg.conninfo import make_conninfo  # not with SQLite: see `refusals`

    # libpq's own connection string: it knows more of hosts, TLS and services than SQLAlchemy.
    parameters = dict(address.parameters)
    _close_environment(service="service" in parameters)
    password = parameters.pop("password", None)
    conninfo = make_conninfo(**{**_CONNECTION, **parameters})
    return URL.create("postgresql+psycopg", password=password, query={"conninfo": conninfo})


def _close_environment(*, service: bool) -> None:
    """Remove libpq's variables from the environment: only POSSTREAM_ names are settings."""
    from psycopg.pq import Conninfo

    read = [it.envvar.decode() for it in Conninfo.get_defaults() if it.envvar]
    for name in {*read, *_MORE_OF_LIBPQ, *_SERVICE_FILES}:
        if not (service and name in _SERVICE_FILES):
            os.environ.pop(name, None)
    os.environ.update(_SESSION)


def _begin_postgresql(connection: Connection) -> None:
    # All in one message. A pooler may give each transaction another session, so settings hold for
    # one transaction only, and there are no prepared statements.
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    connection.exec_driver_sql(
        begin_on_postgresql(options), execution_options={"no_parameters": True}
    )


def begin_on_postgresql(options: Mapping[str, Any]) -> str:
    """How a transaction begins with these options of an engine."""
    seconds = options.get(_STATEMENT_SECONDS)
    limit = "" if seconds is None else f"; SET LOCAL statement_timeout = {seconds * 1000:.0f}"
    # The session's zone is ours, but a pooler may give us another session.
    return f"BEGIN {options.get(_BEGINS, '')}; SET LOCAL TIME ZONE 'UTC'{limit}"


def _make_folder(_dialect: object, _record: object, arguments: Any, _options: object) -> None:
    (path, *_) = arguments
    if path == ":memory:":
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise DatabaseUnusable(
            f"the folder of the database, {Path(path).parent}, cannot be made "
            f"({why.strerror or type(why).__name__}): see POSSTREAM_DATABASE_URL and "
            "POSSTREAM_DATADIR"
        ) from why


def _prepare_sqlite(connection: Any, _record: object, *, bulk: bool) -> None:
    # We begin transactions ourselves (`_begin_sqlite`). The driver begins them late, and SQLite
    # then refuses the write lock without waiting.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _switch_to_wal(cursor)
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute(_CHECKPOINT)
        if bulk:
            cursor.execute(_BULK)
    finally:
        cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    # While the file is new, this one statement ignores busy_timeout.
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
    if connection.get_execution_options().get(_BEGINS):
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {_LOOK_MS}")
    cursor = connection.connection.cursor()
    try:
        if not _takes_write_lock(cursor):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises as any other statement
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.close()


def _takes_write_lock(cursor: Any) -> bool:
    give_up_at = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while time.monotonic() < give_up_at:
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as why:
            if getattr(why, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                return False
        else:
            return True
    return False
