"""Which errors of a database are about the rows themselves and come again however long one waits.

All others may pass: no connection, a lock, a deadlock, a full disk, a missing table or grant.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, StatementError

#: The classes of SQLSTATE for data that does not fit, and for more than PostgreSQL can hold.
_ABOUT_ROWS: Final = ("22", "54")


class RowsRefused(Exception):
    """The database will never take these rows. The message quotes none of them."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """Run statements; connect before, for an error of connecting is never about rows.

    Raises:
        RowsRefused: in the place of an error that is about the rows.
    """
    try:
        yield
    except (StatementError, ValueError, OverflowError) as why:
        if not _is_about_rows(why):
            raise
        raise RowsRefused(f"the database refuses its rows ({_name(why)})") from why


def _is_about_rows(why: Exception) -> bool:
    if not isinstance(why, DBAPIError):
        return True  # a value that cannot even be sent
    if isinstance(why, DataError) or str(_sqlstate(why)).startswith(_ABOUT_ROWS):
        return True
    # What asyncpg cannot encode is to SQLAlchemy like any misuse of a connection.
    return why.orig is not None and isinstance(why.orig.__cause__, ValueError)


def _sqlstate(why: DBAPIError) -> str | None:
    state: str | None = getattr(why.orig, "sqlstate", None)
    return state


def _name(why: Exception) -> str:
    state = _sqlstate(why) if isinstance(why, DBAPIError) else None
    return f"{type(why).__name__} {state}" if state else type(why).__name__
