"""Stops a background task."""

import asyncio
import contextlib
from typing import Any


async def stop_task(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task, if there is one, and wait for its end.

    Raises:
        Exception: what the task raised, if it was not cancelled.
    """
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
