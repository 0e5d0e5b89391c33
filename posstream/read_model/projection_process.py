"""Runs the child process of a worker that runs the projections.

A process of its own at low priority: a row takes some 350 us of CPU, and tills in the same process
would wait meanwhile (docs/decisions/0016-projections-in-a-process-of-their-own.md).
"""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from posstream.metrics import Metrics
from posstream.read_model.projecting import Setup
from posstream.read_model.projector import Standing
from posstream.resilience.retry import growing_pauses
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

_COMMAND: Final = (sys.executable, "-m", "posstream.read_model.projection_child")
#: How long the child may take to end.
_STOP_SECONDS: Final = 3.0
#: A child that ran for this long is started anew at once.
_RAN_WELL_SECONDS: Final = 60.0
#: The longest line that the child may write.
_LINE_BYTES: Final = 1024 * 1024


class ProjectionProcess:
    """Starts the child, starts it again when it ends, and reads how far the projections are.

    Args:
        setup: makes what the child is told, at each start.
        metrics: `projection_lag` and `projection_up`.
    """

    def __init__(self, setup: Callable[[], Setup], *, metrics: Metrics) -> None:
        self._setup = setup
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._trouble: str | None = None
        #: How far each projection is, by the plugin's name.
        self.standings: Mapping[str, Standing] = {}

    async def open(self) -> None:
        """Start the child."""
        self._task = asyncio.create_task(self._watch(), name="projections")

    async def close(self) -> None:
        """End the child. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)

    def warnings(self) -> Sequence[str]:
        """What is wrong with the read model: a sentence each."""
        if self._trouble is not None:
            return [self._trouble]
        return [
            f"the projection of {name} waits: {standing.trouble}"
            for name, standing in self.standings.items()
            if standing.trouble is not None
        ]

    async def _watch(self) -> None:
        while True:
            for pause in growing_pauses(longest_seconds=60.0):
                started = time.monotonic()
                try:
                    why = f"exit code {await self._run()}"
                except (OSError, ValueError) as error:  # a child that died may leave half a line
                    why = str(error)
                self._trouble = f"the process of the projections ended ({why})"
                for name in self.standings:
                    self._metrics.projection_up.labels(name).set(0)
                log.error("%s; again in %g s", self._trouble, pause)
                await asyncio.sleep(pause)
                if time.monotonic() - started > _RAN_WELL_SECONDS:
                    break

    async def _run(self) -> int:
        child = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for the worker, which ends the child
        )
        if child.stdin is None or child.stdout is None:
            raise AssertionError
        try:
            child.stdin.write(orjson.dumps(self._setup()) + b"\n")
            async for line in child.stdout:
                self._hear(line)
            return await child.wait()
        finally:
            child.stdin.close()
            await asyncio.shield(self._end(child))

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    def _hear(self, line: bytes) -> None:
        said = orjson.loads(line)
        if "log" in said:
            name, level, message = said["log"]
            logging.getLogger(name).log(level, "%s", message)
            return
        self.hear(said["standings"])

    def hear(self, standings: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what the child tells of each projection."""
        self._trouble = None
        self.standings = {name: Standing(**it) for name, it in standings.items()}
        for name, standing in self.standings.items():
            self._metrics.projection_lag.labels(name).set(standing.lag)
            self._metrics.projection_up.labels(name).set(standing.trouble is None)
