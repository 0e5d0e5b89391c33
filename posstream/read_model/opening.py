"""Opens the database at a worker's start: at once, or later, while tills are answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from posstream.read_model.refusals import absence, kind
from posstream.resilience.retry import growing_pauses
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

#: How long a start waits. What is under way then, maybe a migration, is not cut.
_PATIENCE_SECONDS: Final = 2


class DatabaseOpening:
    """Runs the steps that open the database, in the background if the database is away.

    The database is off the lookup path, so a database that is away stops no worker. A database that
    refuses the worker stops it: nobody would look for that in the log of a worker that runs.

    Args:
        steps: opens the database; may be called again after a failure.
    """

    def __init__(self, steps: Callable[[], Awaitable[None]]) -> None:
        self._steps = steps
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Run the steps; go on in the background if the database is away.

        Raises:
            Exception: whatever else the steps raise.
        """
        first = asyncio.ensure_future(self._steps())
        await asyncio.wait([first], timeout=_PATIENCE_SECONDS)
        why = first.exception() if first.done() else TimeoutError("no answer yet")
        if why is None:
            return
        away = absence(why)
        if away is None or not away.passes:
            raise why
        log.warning("the database is away (%s): tills are answered, rows will follow", away)
        self._task = asyncio.create_task(self._go_on(first, str(away)), name="database")

    async def close(self) -> None:
        """Stop trying. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)

    async def _go_on(self, steps: "asyncio.Future[None]", told: str) -> None:
        for pause in growing_pauses():
            try:
                await steps
            except Exception as why:  # noqa: BLE001 - nothing watches this task but us
                if told != (told := str(absence(why) or kind(why))):
                    log.warning("the database is not open yet (%s)", told)
            else:
                log.warning("the database is open")
                return
            await asyncio.sleep(pause)
            steps = asyncio.ensure_future(self._steps())
