"""Runs the child process of a worker that runs the projections.

A process of its own at low priority: a row takes some 350 us of CPU, and tills in the same process
would wait meanwhile (docs/decisions/0016-projections-in-a-process-of-their-own.md).
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from posstream.metrics import Metrics
from posstream.processes.child import ChildProcess
from posstream.read_model.projecting import Setup
from posstream.read_model.projector import Standing

_COMMAND: Final = (sys.executable, "-m", "posstream.read_model.projection_child")
_NAME: Final = "the process of the projections"
#: How long the child may take to end.
_STOP_SECONDS: Final = 3.0
#: Rows usually follow their events within a second.
_LATE_SECONDS: Final = 60.0


class ProjectionProcess:
    """Starts the child, starts it again when it ends, and reads how far the projections are.

    Args:
        setup: makes what the child is told, at each start.
        metrics: `projection_lag` and `projection_up`.
        now: seconds since 1970.
    """

    def __init__(
        self,
        setup: Callable[[], Setup],
        *,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._setup = setup
        self._metrics = metrics
        self._child = ChildProcess(
            _COMMAND,
            name=_NAME,
            setup=self._told,
            hear=lambda said: self.hear(said["standings"]),
            ended=self._ended,
            stop_seconds=lambda: _STOP_SECONDS,
        )
        self._trouble: str | None = None
        #: How far each projection is, by the plugin's name.
        self.standings: Mapping[str, Standing] = {}

    async def open(self) -> None:
        """Start the child."""
        await self._child.open()

    async def close(self) -> None:
        """End the child. Idempotent."""
        await self._child.close()

    @property
    def pid(self) -> int | None:
        """The id of the child's process; None if it does not run."""
        return self._child.pid

    def warnings(self) -> Sequence[str]:
        """What is wrong with the read model: a sentence each."""
        if self._trouble is not None:
            return [self._trouble]
        return [
            f"the projection of {name} waits: {standing.trouble}"
            for name, standing in self.standings.items()
            if standing.trouble is not None
        ]

    def late(self) -> Sequence[str]:
        """A sentence for each projection whose rows are late."""
        behind = {
            name: self._now() - it.oldest_ms / 1000
            for name, it in self.standings.items()
            if it.trouble is None and it.lag and it.oldest_ms > 0
        }
        return [
            f"the rows of {name} are {seconds:,.0f} s late: "
            f"{self.standings[name].lag:,} events wait"
            for name, seconds in behind.items()
            if seconds >= _LATE_SECONDS
        ]

    async def _told(self) -> bytes:
        return orjson.dumps(self._setup()) + b"\n"

    def _ended(self, why: str) -> None:
        self._trouble = f"{_NAME} ended ({why})"
        for name in self.standings:
            self._metrics.projection_up.labels(name).set(0)

    def hear(self, standings: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what the child tells of each projection."""
        self._trouble = None
        self.standings = {name: Standing(**it) for name, it in standings.items()}
        for name, standing in self.standings.items():
            self._metrics.projection_lag.labels(name).set(standing.lag)
            self._metrics.projection_up.labels(name).set(standing.trouble is None)
