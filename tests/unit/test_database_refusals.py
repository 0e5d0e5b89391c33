"""What an error of the database means: away for now, refused, or about something else."""

import sqlite3

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from posstream.read_model.refusals import absence, kind, reason, state_of

FAILED = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("its words")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_X"
    return error


@pytest.mark.parametrize(
    "why",
    [
        TimeoutError(),
        ConnectionResetError(),
        errors.AdminShutdown(),
        errors.CrashShutdown(),
        errors.CannotConnectNow(),
        errors.TooManyConnections(),
        errors.DiskFull(),
        errors.IoError(),
        errors.ReadOnlySqlTransaction(),
        errors.IdleSessionTimeout(),
        errors.ProtocolViolation("query_wait_timeout"),
        psycopg.OperationalError("consuming input failed: server closed the connection"),
        psycopg.OperationalError("the connection is lost"),
        psycopg.InterfaceError("the connection is closed"),
        psycopg.OperationalError(FAILED + "Connection refused\n\tIs the server running?"),
        psycopg.OperationalError(FAILED + "SSL SYSCALL error: EOF detected"),
        psycopg.OperationalError(FAILED + "FATAL:  the database system is starting up"),
        psycopg.OperationalError(FAILED + "FATAL:  sorry, too many clients already"),
        psycopg.OperationalError(FAILED + "FATAL:  session is read-only"),
        psycopg.OperationalError(FAILED + "FATAL:  server login has been failing, try again later"),
        psycopg.OperationalError(FAILED + "FATAL:  no more connections allowed (max_client_conn)"),
        psycopg.OperationalError("failed to resolve host 'x': Name or service not known"),
        psycopg.OperationalError("failed to resolve host 'db.invalid': Name or service not known"),
        psycopg.OperationalError(
            'connection to server at "password-db.example", port 5432 failed: Connection refused'
        ),
        psycopg.errors.ConnectionTimeout("connection timeout expired"),
        sqlite_error(sqlite3.SQLITE_BUSY),
        sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT),
        sqlite_error(sqlite3.SQLITE_LOCKED_SHAREDCACHE),
        sqlite_error(sqlite3.SQLITE_FULL),
        sqlite_error(sqlite3.SQLITE_IOERR_WRITE),
    ],
    ids=repr,
)
def test_an_absence_that_passes(why: Exception) -> None:
    found = absence(why)
    assert found is not None
    assert found.passes


@pytest.mark.parametrize(
    ("why", "state"),
    [
        ('FATAL:  password authentication failed for user "u"', "28P01"),
        ('FATAL:  role "u" does not exist', "28000"),
        ('FATAL:  database "x" does not exist', "3D000"),
        ('FATAL:  no pg_hba.conf entry for host "127.0.0.1"', "28000"),
        ('FATAL:  permission denied for database "x"', "42501"),
        ("FATAL:  no such database: x", "3D000"),
        ("FATAL:  unsupported startup parameter: options", ""),
        ("FATAL:  Passwort-Authentifizierung fehlgeschlagen", ""),
        ("server does not support SSL, but SSL was required", ""),
        ("SSL error: certificate verify failed", ""),
        ('root certificate file "/nowhere" does not exist', ""),
        ("fe_sendauth: no password supplied", ""),
    ],
)
def test_a_server_that_refuses_us_is_no_absence_that_passes(why: str, state: str) -> None:
    error = psycopg.OperationalError(FAILED + why)
    found = absence(error)
    assert found is not None
    assert (found.passes, state_of(error)) == (False, state)
    words = why.removeprefix("FATAL:  ")
    assert str(found) == (f"SQLSTATE {state}: {words}" if state else words)


def test_of_several_hosts_one_that_refuses_is_enough() -> None:
    lines = f'{FAILED}Connection refused\n{FAILED}FATAL:  password authentication failed for "u"'
    found = absence(psycopg.OperationalError(lines))
    assert found is not None
    assert not found.passes


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB]
)
def test_a_file_that_refuses_us_does_not_pass(code: int) -> None:
    found = absence(sqlite_error(code))
    assert found is not None
    assert (found.passes, str(found)) == (False, "SQLITE_X: its words")


@pytest.mark.parametrize(
    "why",
    [
        errors.UndefinedTable(),
        errors.UniqueViolation(),
        errors.QueryCanceled(),
        errors.DeadlockDetected(),
        sqlite_error(sqlite3.SQLITE_CONSTRAINT),
        sqlite_error(sqlite3.SQLITE_INTERRUPT),
        ValueError(),
    ],
    ids=repr,
)
def test_what_is_no_absence(why: Exception) -> None:
    assert absence(why) is None


def test_an_error_in_sqlalchemys_wrapping_keeps_its_code() -> None:
    why = DBAPIError("SELECT 1", None, errors.InsufficientPrivilege("permission denied"))
    assert (kind(why), reason(why)) == (
        "DBAPIError 42501",
        "SQLSTATE 42501: permission denied",
    )
