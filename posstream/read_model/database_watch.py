"""Watches whether the database answers, for the log, metrics and health."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.domain.errors import DatabaseUnusable
from posstream.read_model.refusals import absence
from posstream.resilience.clock import Clock
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 10.0


class DatabaseWatch:
    """Sends the database a tiny query every few seconds.

    Args:
        readers: the engine that reads.
        clock: time.
    """

    def __init__(self, readers: AsyncEngine, clock: Clock) -> None:
        self._readers = readers
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._away: str | None = None
        self._away_since = 0.0

    @property
    def is_there(self) -> bool:
        """Whether it answered when it was asked last."""
        return self._away is None

    @property
    def warnings(self) -> Sequence[str]:
        """A sentence if the database is away."""
        if self._away is None:
            return ()
        return [f"the database is away ({self._away}): tills are answered, rows will follow"]

    async def open(self) -> None:
        """Watch from now on."""
        self._task = asyncio.create_task(self._watch(), name="database watch")

    async def close(self) -> None:
        """Watch no more. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)

    async def look(self) -> None:
        """Ask once, and log if the database has gone away or is back."""
        why = await self._ask()
        now = self._clock.monotonic()
        if why is not None and self._away is None:
            self._away_since = now
            log.error("the database is away (%s): tills are answered, rows will follow", why)
        elif why is None and self._away is not None:
            log.warning("the database is back after %.0f s", now - self._away_since)
        self._away = why

    async def _ask(self) -> str | None:
        """Why it does not answer; None if it does, or refuses for another reason."""
        # SQLite answers SELECT 1 even if its file is gone.
        is_sqlite = self._readers.dialect.name == "sqlite"
        question = "PRAGMA schema_version" if is_sqlite else "SELECT 1"
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._readers.connect() as connection:
                await connection.exec_driver_sql(question)
        except TimeoutError:
            return f"no answer for {_PATIENCE_SECONDS:g} s"
        except PoolExhausted:
            return None  # every connection is in use: busy is not away
        except DatabaseUnusable as why:
            return str(why)
        except Exception as why:  # noqa: BLE001 - the driver's, whichever it is
            away = absence(why)
            return None if away is None else str(away)
        return None

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)
