"""How long a query may take: whoever asks too much is told so, and keeps nobody waiting."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

T = TypeVar("T")

#: Seconds for one query. A till has given up long before.
QUERY_SECONDS: Final = 10.0


async def in_time(execution: Awaitable[T], seconds: float) -> T | None:
    """The result, or None if it was not there in time."""
    task = asyncio.ensure_future(execution)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        # Not waited for: a statement of SQLite ends when it ends.
        if not task.done():
            task.add_done_callback(_forget)
            task.cancel()
    return None


def _forget(task: "asyncio.Future[T]") -> None:
    if not task.cancelled():
        task.exception()  # said to have been seen, or asyncio logs it
