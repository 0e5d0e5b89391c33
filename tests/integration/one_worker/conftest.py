from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.harness import ForeignClient, Worker, foreign_client


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def worker(servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    """One worker for these tests: joining a group costs seconds, and an idle worker costs CPU."""
    datadir: Path = tmp_path_factory.mktemp("worker")
    worker = Worker(servers, datadir, api_query="?generate=1&delay_ms=20")
    worker.start()
    await worker.ready()
    yield worker
    assert worker.stop() == 0, worker.log[-3000:]


@pytest_asyncio.fixture(loop_scope="session")
async def client(servers: str, worker: Worker) -> AsyncIterator[ForeignClient]:
    """A till's integrator with a Kafka client of their own, while the worker is ready."""
    async with foreign_client(servers) as client:
        yield client
