"""A small connection pool for the readers of the web view, with a time limit on each statement.

The projection and the agents have a pool of their own, so many readers do not hold them up. Short
reads of a SQLite file need no connection of the pool (see `loop_reading`).
"""

import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import StaticPool, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.domain.errors import ReadModelBusy
from posstream.read_model.engine import create_engine
from posstream.read_model.loop_reading import LoopReader
from posstream.read_model.one_message import rows_in_one_message
from posstream.read_model.prepared import Prepared
from posstream.read_model.refusals import was_given_up

#: How long one statement may take. A query of GraphQL may take as long in all.
STATEMENT_SECONDS: Final = 10.0
#: Connections in the pool: each may keep a core of the database busy.
READERS: Final = 4
#: How long a reader waits for a connection if all are taken.
_WAIT_SECONDS: Final = 3.0
#: Steps of SQLite's virtual machine from one look at the time to the next: about a millisecond.
_STEPS: Final = 10_000
_ENDS_AT: Final = "posstream_ends_at"
#: How long after its last use a connection to PostgreSQL is taken without asking whether the server
#: is still there. That question costs as much as a short read.
_JUST_USED_SECONDS: Final = 1.0
#: The option of an engine that holds its `LoopReader`.
_LOOP_READER: Final = "posstream_loop_reader"
#: Whether short reads go to PostgreSQL in one message.
_IN_ONE_MESSAGE: Final = "posstream_in_one_message"


def create_reading_engine(
    beside: AsyncEngine, *, statement_seconds: float = STATEMENT_SECONDS
) -> AsyncEngine:
    """A second engine for the same database; a database in memory has only the first one.

    Args:
        beside: from `engine.create_engine`.
        statement_seconds: after which the database gives a statement up.
    """
    if isinstance(beside.pool, StaticPool):
        return beside
    engine = create_engine(
        beside.url,
        statement_seconds=statement_seconds,
        pool_size=READERS,
        max_overflow=0,
        pool_timeout=_WAIT_SECONDS,
    )
    if engine.dialect.name == "sqlite":
        _limit_sqlite(engine, statement_seconds)
        loop_reader = LoopReader(str(engine.url.database), engine.dialect)
        engine.update_execution_options(**{_LOOP_READER: loop_reader})
        event.listen(engine.sync_engine, "engine_disposed", lambda _: loop_reader.close())
    else:
        engine.update_execution_options(**{_IN_ONE_MESSAGE: True})
        _ping_rarely(engine)
    return engine


async def read(
    engine: AsyncEngine, query: Prepared, values: Mapping[str, Any]
) -> Sequence[Sequence[Any]]:
    """The rows of a short read: by their keys, or the next ones of an index.

    Raises:
        ReadModelBusy, DatabaseAway: as `reading`.
    """
    options = engine.get_execution_options()
    loop_reader: LoopReader | None = options.get(_LOOP_READER)
    if loop_reader is not None and (found := loop_reader.rows(query, values)) is not None:
        return found
    if options.get(_IN_ONE_MESSAGE):
        async with reading(engine) as connection:
            return await rows_in_one_message(connection, query, values)
    return await read_in_turn(engine, query, values)


async def read_in_turn(
    engine: AsyncEngine, query: Prepared, values: Mapping[str, Any]
) -> Sequence[Sequence[Any]]:
    """The rows of a read by a connection of the pool, as `read`."""
    async with reading(engine) as connection:
        rows: Sequence[Sequence[Any]] = (await connection.execute(query.statement, values)).all()
        return rows


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to read with.

    Raises:
        ReadModelBusy: if none is free, or a statement took too long.
        DatabaseAway: if the database cannot be used.
    """
    try:
        async with engine.connect() as connection:
            yield connection
    except PoolExhausted as why:
        raise ReadModelBusy("too many read at once: try again later") from why
    except DBAPIError as why:
        if not was_given_up(why.orig):
            raise
        raise ReadModelBusy("the answer took too long: ask for less") from why


def _limit_sqlite(engine: AsyncEngine, seconds: float) -> None:
    def prepare(connection: Any, record: Any) -> None:
        def is_over() -> bool:
            ends_at: float = record.info.get(_ENDS_AT, math.inf)
            return time.monotonic() > ends_at

        connection.run_async(lambda driver: driver.set_progress_handler(is_over, _STEPS))

    def begin(connection: Any, *_: object) -> None:
        connection.info[_ENDS_AT] = time.monotonic() + seconds

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "before_cursor_execute", begin)


def _ping_rarely(engine: AsyncEngine) -> None:
    """Do without SQLAlchemy's ping (`pool_pre_ping`) where a connection answered just now.

    If the server went away meanwhile, one more read fails than those that were under way.
    """
    dialect: Any = engine.dialect
    ping = dialect.do_ping
    used_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def do_ping(connection: Any) -> bool:
        last = used_at.get(connection.driver_connection, -math.inf)
        return time.monotonic() - last < _JUST_USED_SECONDS or ping(connection)

    def note_use(connection: Any, _record: object) -> None:
        driver = None if connection is None else connection.driver_connection
        if driver is None or driver.closed:
            used_at.clear()  # the others may be lost, too
        else:
            used_at[driver] = time.monotonic()

    dialect.do_ping = do_ping
    event.listen(engine.sync_engine, "checkin", note_use)
