"""What this worker counted lately, kept in the worker: a page that is reloaded still has it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Final

from aiohttp import web

from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.pages.samples import Between, Sample, read_sample
from posstream.resilience.clock import Clock
from posstream.resilience.tasks import stop_task

#: Between two samples.
SAMPLE_SECONDS: Final = 2.0
#: Five minutes of steps.
MAX_STEPS: Final = 150


class Sampler:
    """Reads the metrics of one worker every two seconds."""

    def __init__(
        self, metrics: LookupMetrics, clock: Clock, *, sample_seconds: float = SAMPLE_SECONDS
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._sample_seconds = sample_seconds
        # There is always one: whatever was counted before it is not of the last minutes.
        self._samples: deque[Sample] = deque([self._read()], maxlen=MAX_STEPS + 1)
        self._sampled = asyncio.Condition()

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Signal `cleanup_ctx`: sample for as long as the view is served."""
        task = asyncio.create_task(self._go_on())
        yield
        await stop_task(task)

    async def take(self) -> None:
        """Take one sample now, and wake whoever waits for it."""
        self._samples.append(self._read())
        async with self._sampled:
            self._sampled.notify_all()

    async def next(self) -> None:
        """Wait until there is one more sample."""
        async with self._sampled:
            await self._sampled.wait()

    @property
    def latest(self) -> Sample:
        """The last sample."""
        return self._samples[-1]

    @property
    def steps(self) -> Sequence[Between]:
        """What happened from each sample to the next, oldest first."""
        return [Between(first, last) for first, last in pairwise(self._samples)]

    def since(self, seconds: float | None = None) -> Between:
        """What happened in the last seconds, or since the oldest sample."""
        begin = None if seconds is None else self.latest.taken_at - seconds
        first = next(
            sample for sample in self._samples if begin is None or sample.taken_at >= begin
        )
        return Between(first, self.latest)

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._sample_seconds)
            await self.take()

    def _read(self) -> Sample:
        return read_sample(self._metrics, self._clock.monotonic())
