"""What holds after every scenario, and how a worker stops and starts in one."""

import asyncio
from collections.abc import Callable
from typing import Final

from tests.chaos.ledger import Count
from tests.integration.harness import Worker

#: The fixture `publish`.
Publish = Callable[..., Count]

#: Commits come twice a second.
COMMITTED_SECONDS: Final = 1


def nothing_lost(count: Count) -> None:
    assert count.sent > 0
    assert (count.lost, count.wrong, count.failed, count.sql_missing) == (0, 0, 0, 0)


async def stopped(worker: Worker) -> None:
    assert await asyncio.to_thread(worker.stop) == 0, worker.log[-3000:]


async def restarted(worker: Worker) -> None:
    worker.start()
    await worker.ready()
