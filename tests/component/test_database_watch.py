"""Whether the watch of the database tells a busy pool from a database that is away."""

from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from posstream.read_model.database_watch import DatabaseWatch
from posstream.resilience.clock import Clock


async def test_a_busy_pool_is_no_absence(tmp_path: Path) -> None:
    readers = create_async_engine(
        f"sqlite+aiosqlite:///{tmp_path / 'read.db'}",
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.05,
    )
    watch = DatabaseWatch(readers, Clock())
    async with readers.connect():
        await watch.look()
    assert watch.is_there
    await readers.dispose()
