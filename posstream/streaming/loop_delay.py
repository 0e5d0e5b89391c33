"""Measures how late the event loop is: code that computes for long makes every till wait."""

import asyncio
from collections.abc import Callable
from typing import Final

_PAUSE_SECONDS: Final = 0.1


async def measure_loop_delay(observe: Callable[[float], object]) -> None:
    """Sleep again and again, and tell how late each sleep ended, until cancelled.

    Args:
        observe: gets the delay in seconds, ten times a second.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _PAUSE_SECONDS
        await asyncio.sleep(_PAUSE_SECONDS)
        observe(max(0.0, loop.time() - due))
