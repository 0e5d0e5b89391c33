"""A worker that is killed, and one that is told to stop: nothing is lost."""

import os
from collections import Counter
from pathlib import Path

import pytest

from posstream import topics
from posstream.embedded_broker import EmbeddedBroker
from tests.integration.harness import Worker, foreign_client, free_port, mixed_scans, produce

ANSWERS = (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED)

pytestmark = pytest.mark.skipif(
    "POSSTREAM_TEST_BROKER" in os.environ, reason="needs a broker without another worker"
)


async def answered_after(tmp_path: Path, *, kill: bool) -> tuple[set[str], Counter[str], Worker]:
    """Send 1,000 events, end the worker in the middle, start it again, wait for the rest."""
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    worker = Worker(broker.address, tmp_path / "worker", api_query="?generate=1&delay_ms=100")
    try:
        worker.start()
        await worker.ready()
        async with foreign_client(broker.address) as client:
            scans = mixed_scans(1000, 300, "77")
            await produce(client, scans)
            await client.read_until(lambda seen: len(seen.of(*ANSWERS)) > 50)
            if kill:
                worker.kill()
            else:
                assert worker.stop() == 0
            worker.start()
            await worker.ready()
            wanted = {scan.lookup_id for scan in scans}
            await client.read_until(
                lambda seen: wanted <= set(seen.counts("lookup_id", *ANSWERS))
            )
            await client.read_for(1)
            counts = client.seen.counts("lookup_id", *ANSWERS)
            ids = {(v["lookup_id"], v["event_id"]) for v in client.seen.of(*ANSWERS)}
            assert len(ids) == len(counts), "a repeated answer must carry the same ids"
            return wanted, counts, worker
    finally:
        if worker.running:
            worker.stop()
        broker.stop()


async def test_after_kill_9_in_the_middle_nothing_is_missing_and_repeats_carry_the_same_ids(
    tmp_path: Path,
) -> None:
    wanted, counts, _ = await answered_after(tmp_path, kill=True)
    assert wanted == set(counts)


async def test_sigterm_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    wanted, counts, _ = await answered_after(tmp_path, kill=False)
    assert dict.fromkeys(wanted, 1) == dict(counts)
