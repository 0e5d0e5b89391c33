"""Asks the broker how far the projections are that run apart, by `posstream project`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from posstream.domain.errors import BrokerUnreachable
from posstream.metrics import Metrics
from posstream.resilience.clock import Clock
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 15.0
#: A projection works if its waiting events get fewer within this time, or if none wait.
_STANDS_SECONDS: Final = 60.0


class ProjectionsApart:
    """Looks at the projections' consumer groups every few seconds; reports like the worker's own.

    Args:
        lags: by the name of each projection, asks how many events it has not written; raises
            BrokerUnreachable.
        metrics: `projection_lag` and `projection_up`.
        clock: time.
    """

    #: They run in none of this worker's processes.
    pid: Final = None

    def __init__(
        self, lags: Mapping[str, Callable[[], Awaitable[int]]], *, metrics: Metrics, clock: Clock
    ) -> None:
        self._asks = lags
        self._metrics = metrics
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._lags: dict[str, int] = {}
        #: When each lag was 0 or fell, in monotonic seconds.
        self._fell_at: dict[str, float] = {}

    async def open(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._watch(), name="projections apart")

    async def close(self) -> None:
        """Stop looking. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)

    async def look(self) -> None:
        """Ask once; while no broker answers, the last figures stay."""
        for name, ask in self._asks.items():
            try:
                lag = await ask()
            except BrokerUnreachable:
                continue
            before, self._lags[name] = self._lags.get(name), lag
            if before is None or lag < before or lag == 0:
                self._fell_at[name] = self._clock.monotonic()
            self._metrics.projection_lag.labels(name).set(lag)
            self._metrics.projection_up.labels(name).set(not self._stands(name))

    def warnings(self) -> Sequence[str]:
        """A sentence for each projection that writes nothing, or less than comes."""
        return [
            f"{lag:,} events wait for the projection of {name}, and do not get fewer: check that "
            "posstream project runs"
            for name, lag in self._lags.items()
            if self._stands(name)
        ]

    def late(self) -> Sequence[str]:
        """Nothing: how old the oldest of these events is, only the other process knows."""
        return ()

    def _stands(self, name: str) -> bool:
        return self._clock.monotonic() - self._fell_at[name] >= _STANDS_SECONDS

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # nobody watches this task
                log.exception("the projections apart could not be looked at")
            await asyncio.sleep(_LOOK_SECONDS)
