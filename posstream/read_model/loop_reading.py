"""Reads a SQLite file in the event loop's own thread: for reads that take microseconds.

Handing a read to a thread costs many times more than the read. Nobody may wait for one: a read that
is not done soon, or that meets a lock, is left to the ordinary way.
"""

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from sqlalchemy import Dialect

from posstream.read_model.prepared import Prepared

#: How much CPU time of the loop's thread a statement may take. By the clock of the wall it would
#: often be given up for what other processes took of the core.
LOOP_SECONDS: Final = 0.002
#: How many times as long it may take by that clock: a disk may be slow.
_WAITING: Final = 10
#: Steps of SQLite's virtual machine from one look at the time to the next: some 50 microseconds.
_STEPS: Final = 1_000
#: Seconds before any query is tried again after an unreadable file.
_REST_SECONDS: Final = 1.0
#: Seconds before a query that took too long is tried again. They double each time in a row, up to
#: `_REST_SECONDS`.
_FIRST_REST_SECONDS: Final = 0.02


class _Rest(NamedTuple):
    """How long a query is left to the ordinary way, and until when."""

    seconds: float
    until: float


class LoopReader:
    """A connection that only reads and never waits; opened at the first read.

    Args:
        path: of the file.
        dialect: of the engine beside, which knows the types.
        seconds: how much CPU time a read may take.
    """

    def __init__(self, path: str, dialect: Dialect, *, seconds: float = LOOP_SECONDS) -> None:
        self._path = path
        self._dialect = dialect
        self._seconds = seconds
        self._connection: sqlite3.Connection | None = None
        self._ends_at = 0.0
        self._gives_up_at = 0.0
        self._rests_until = 0.0
        self._too_slow: dict[Prepared, _Rest] = {}

    def rows(self, query: Prepared, values: Mapping[str, Any]) -> list[Sequence[Any]] | None:
        """The rows of a statement; None if they cannot be read here and now."""
        now = time.monotonic()
        rest = self._too_slow.get(query)
        if now < self._rests_until or (rest is not None and now < rest.until):
            return None
        self._ends_at = time.thread_time() + self._seconds
        self._gives_up_at = now + self._seconds * _WAITING
        compiled = query.on(self._dialect)
        try:
            connection = self._connection or self._open()
            found = connection.execute(compiled.text, compiled.in_order(values)).fetchall()
        except sqlite3.Error as why:
            if getattr(why, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                seconds = _FIRST_REST_SECONDS if rest is None else rest.seconds * 2
                seconds = min(seconds, _REST_SECONDS)
                self._too_slow[query] = _Rest(seconds, now + seconds)
            else:
                self.close()
                self._rests_until = now + _REST_SECONDS
            return None
        if rest is not None:
            del self._too_slow[query]
        return compiled.rows(found)

    def close(self) -> None:
        """Close the file. The next read opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _is_over(self) -> bool:
        return time.thread_time() > self._ends_at or time.monotonic() > self._gives_up_at

    def _open(self) -> sqlite3.Connection:
        # Read-only: the last connection that may write moves the whole log into the file.
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(self._path))}?mode=ro",
            timeout=0,
            isolation_level=None,
            uri=True,
        )
        connection.set_progress_handler(self._is_over, _STEPS)
        self._connection = connection
        return connection
