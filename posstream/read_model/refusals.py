"""Classifies database errors: bad rows, a database that is away for now, or a refusal.

The only module that reads SQLSTATEs, SQLite's codes and libpq's messages.
"""

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeGuard

from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DataError, DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.domain.errors import DatabaseAway

if TYPE_CHECKING:
    import psycopg

#: The classes of SQLSTATE for data that does not fit, and for more than PostgreSQL can hold.
_ABOUT_ROWS: Final = ("22", "54")
#: A server that is out of reach, full, starting, stopping, or takes no writes for now; its disk.
_AWAY: Final = ("08", "53", "57P", "58030", "25006", "25P03")
#: PostgreSQL's SQLSTATE `query_canceled`.
_CANCELED: Final = "57014"
#: SQLite's primary codes for a file that cannot be used now, and for one that stays unusable.
_SQLITE_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_SQLITE_REFUSES: Final = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)
#: SQLSTATE -> messages of failed connections that mean this state: libpq gives no code for them.
_STATES: Final = tuple(
    (state, re.compile(pattern))
    for state, pattern in (
        ("53300", r"too many|connection slots are reserved|no more connections allowed"),
        ("57P03", r"starting up|shutting down|in recovery|not yet accept|not accepting"),
        (
            "08006",
            r"server.login.(retry|has been)|_timeout|server down|connect failed|crash",
        ),
        ("25006", r"session is read-only|in hot standby mode"),
        ("28P01", r"(password|SASL|SCRAM) authentication failed|wrong password"),
        ("28000", r"role .* does not exist|no such user|pg_hba\.conf|not permitted to log in"),
        ("3D000", r"database .* does not exist|no such database"),
        ("42501", r"permission denied"),
    )
)
#: Messages of a failed connection that would fail in the same way again.
_LASTING: Final = re.compile(
    r"FATAL|SSL(?! SYSCALL)|certificate|GSS|authentication|password|of service|service file"
    r"|invalid|not supported"
)
#: Quoted names of hosts, roles and databases: the word `invalid` in `db.invalid` means nothing.
_QUOTED: Final = re.compile(r"""(['"]).*?\1""")
_DECORATION: Final = re.compile(
    r"connection (failed|is bad): |connection to server at .*? failed: |FATAL:\s+|ERROR:\s+"
)


class RowsRefused(Exception):
    """The database will never take these rows. The message quotes none of them."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """Run statements on an open connection, and raise `RowsRefused` for errors about rows.

    Raises:
        RowsRefused: instead of an error about the rows.
    """
    try:
        yield
    except (StatementError, ValueError, OverflowError) as why:
        if not _is_about_rows(why):
            raise
        raise RowsRefused(f"the database refuses its rows ({kind(why)})") from why


def tell_absences(engine: AsyncEngine) -> None:
    """Make the engine raise `DatabaseAway` wherever the database cannot be used."""

    def tell(context: ExceptionContext) -> None:
        if context.is_pre_ping:  # the pool connects anew
            return
        away = absence(context.original_exception)
        if away is not None:
            raise away from context.original_exception

    event.listen(engine.sync_engine, "handle_error", tell)


@contextmanager
def raised_by_sqlalchemy() -> Iterator[None]:
    """Use psycopg itself, with the errors that SQLAlchemy and `tell_absences` would raise.

    Raises:
        DatabaseAway: if the database cannot be used.
        DBAPIError: for any other error of the driver.
    """
    import psycopg

    try:
        yield
    except psycopg.Error as why:
        error = absence(why) or DBAPIError.instance(
            None, None, why, psycopg.Error, hide_parameters=True
        )
        raise error from why


def absence(why: BaseException) -> DatabaseAway | None:
    """The `DatabaseAway` for an error, if the database cannot be used; None for any other error."""
    if isinstance(why, DatabaseAway):
        return why
    if isinstance(why, OSError | PoolExhausted):  # timeouts are among them
        return DatabaseAway(str(why) or type(why).__name__, passes=True)
    if isinstance(why, sqlite3.Error):
        code = getattr(why, "sqlite_errorcode", 0) & 0xFF
        away, passes = code in _SQLITE_AWAY | _SQLITE_REFUSES, code in _SQLITE_AWAY
    elif _is_of_postgresql(why, "OperationalError", "InterfaceError") and not why.sqlstate:
        away, passes = True, not _is_refused(why)
    else:
        away = passes = state_of(why).startswith(_AWAY)
    return DatabaseAway(reason(why), passes=passes) if away else None


def was_given_up(why: BaseException | None) -> bool:
    """Whether a statement was cancelled by its time limit."""
    if isinstance(why, sqlite3.Error):
        return getattr(why, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
    return state_of(why) == _CANCELED


def reason(why: BaseException) -> str:
    """The database's own message, with its error code.

    Not for errors about rows: their messages quote the rows.
    """
    error = why.orig if isinstance(why, DBAPIError) and why.orig is not None else why
    if isinstance(error, sqlite3.Error):
        return f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"
    words = error.diag.message_primary if _is_of_postgresql(error, "Error") else None
    words = words or _DECORATION.sub("", str(error)).strip().partition("\n")[0]
    words = words or type(error).__name__
    state = state_of(error)
    return f"SQLSTATE {state}: {words}" if state else words


def reason_without_rows(why: BaseException) -> str:
    """The error's own message; of an error that may be about rows only its type and code."""
    about_rows = isinstance(why, StatementError) and _is_about_rows(why)
    return kind(why) if about_rows else reason(why)


def kind(why: BaseException) -> str:
    """An error by its type and code, without its words: those may quote a row."""
    state = state_of(why)
    return f"{type(why).__name__} {state}" if state else type(why).__name__


def state_of(why: BaseException | None) -> str:
    """The SQLSTATE of an error of PostgreSQL; empty where there is none."""
    if isinstance(why, DBAPIError):
        why = why.orig
    if not _is_of_postgresql(why, "Error"):
        return ""
    if why.sqlstate is not None:
        return why.sqlstate
    return next((state for state, words in _STATES if words.search(str(why))), "")


def _is_of_postgresql(why: BaseException | None, *types: str) -> "TypeGuard[psycopg.Error]":
    # A process on SQLite does not import psycopg: 63 of the 259 ms of a short command's imports.
    driver = sys.modules.get("psycopg")
    return driver is not None and isinstance(why, tuple(getattr(driver, it) for it in types))


def _is_refused(why: "psycopg.Error") -> bool:
    # With several hosts each has its lines in the message; one lasting refusal is enough.
    return any(
        _LASTING.search(_QUOTED.sub("", line)) is not None
        and not next((s for s, words in _STATES if words.search(line)), "").startswith(_AWAY)
        for line in str(why).splitlines()
    )


def _is_about_rows(why: Exception) -> bool:
    if not isinstance(why, DBAPIError):
        return True  # a value that cannot even be sent
    return isinstance(why, DataError) or state_of(why).startswith(_ABOUT_ROWS)
