"""A worker's data is its user's alone, in a directory that was open to others before."""

import pytest

from tests.integration.harness import ForeignClient, Tally, Worker, mixed_scans, produce

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nobody_else_can_read_what_a_worker_keeps(
    worker: Worker, client: ForeignClient
) -> None:
    scans = mixed_scans(20, distinct=20, tag="77")
    await produce(client, scans)
    await Tally(client).all_of(scans)

    kept = [worker.datadir, *worker.datadir.rglob("*")]
    assert [path for path in kept if path.stat().st_mode & 0o077] == []
    assert {"worker-name", "posstream.sqlite3", "CURRENT"} <= {path.name for path in kept}
    assert f"others could use the data directory {worker.datadir}" in worker.log
