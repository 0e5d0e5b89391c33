"""A small connection pool for the readers of the web view, with a time limit on each statement.

The projection and the agents have a pool of their own, so many readers do not hold them up.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import StaticPool, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.domain.errors import ReadModelBusy
from posstream.read_model.engine import create_engine
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
    return engine


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
