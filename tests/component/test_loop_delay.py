"""The delay of the event loop is measured from outside the code that holds it up."""

import asyncio
import time

import pytest

from posstream.metrics import Metrics
from posstream.resilience.tasks import stop_task
from posstream.streaming import loop_delay
from posstream.streaming.loop_delay import measure_loop_delay

HELD_SECONDS = 0.3


async def test_code_that_computes_for_long_is_seen_as_a_delay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop_delay, "_PAUSE_SECONDS", 0.01)
    delays: list[float] = []
    task = asyncio.create_task(measure_loop_delay(delays.append))
    await asyncio.sleep(0.05)
    time.sleep(HELD_SECONDS)  # noqa: ASYNC251 - as a plugin's code would
    await asyncio.sleep(0.05)
    await stop_task(task)
    assert max(delays) > HELD_SECONDS - 0.02
    assert min(delays) >= 0
    assert len(delays) > 2, "it goes on"


async def test_the_delays_are_a_histogram() -> None:
    metrics = Metrics()
    metrics.event_loop_delay.observe(0.03)
    buckets = {
        float(sample.labels["le"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "posstream_event_loop_delay_seconds_bucket"
    }
    assert (buckets[0.02], buckets[0.05]) == (0, 1)
