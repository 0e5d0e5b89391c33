"""A worker that is killed, and one that is told to stop: nothing is lost."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from agents.customer_lookup import topics
from posstream.kafka.embedded_broker import EmbeddedBroker
from tests.integration.harness import Seen, Worker, foreign_client, free_port, mixed_scans, produce

ANSWERS = (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED)


@contextlib.contextmanager
def broker_without_a_worker(tmp_path: Path) -> Iterator[str]:
    """The given broker (this module runs before the session's worker joins), or an own one."""
    given = os.environ.get("POSSTREAM_TEST_BROKER")
    if given:
        yield given.removeprefix("kafka://")
        return
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    yield broker.address
    broker.stop()


async def answered_after(tmp_path: Path, *, kill: bool) -> tuple[set[str], Counter[str]]:
    """Send 1,000 events, end the worker in the middle, start it again, wait for the rest."""
    with broker_without_a_worker(tmp_path) as servers:
        worker = Worker(
            servers, tmp_path / "worker", api_query="?generate=1&delay_ms=100", projection="alone"
        )
        worker.start()
        try:
            await worker.ready()
            return await _interrupted(worker, servers, kill=kill)
        finally:
            worker.stop()


async def _interrupted(
    worker: Worker, servers: str, *, kill: bool
) -> tuple[set[str], Counter[str]]:
    async with foreign_client(servers) as client:
        scans = mixed_scans(1000, 300, f"{os.getpid() % 10_000:04}{int(kill)}")
        wanted = {scan.lookup_id for scan in scans}

        def answers(seen: Seen) -> list[dict[str, str]]:
            return [value for value in seen.of(*ANSWERS) if value["lookup_id"] in wanted]

        await produce(client, scans)
        await client.read_until(lambda seen: len(answers(seen)) > 50)
        if kill:
            worker.kill()
        else:
            assert worker.stop() == 0
        worker.start()
        await worker.ready()
        await client.read_until(
            lambda seen: wanted == {value["lookup_id"] for value in answers(seen)}
        )
        await client.read_for(1)
        counts = Counter(value["lookup_id"] for value in answers(client.seen))
        ids = {(value["lookup_id"], value["event_id"]) for value in answers(client.seen)}
        assert len(ids) == len(counts), "a repeated answer must carry the same ids"
        return wanted, counts


async def test_after_kill_9_in_the_middle_nothing_is_missing_and_repeats_carry_the_same_ids(
    tmp_path: Path,
) -> None:
    wanted, counts = await answered_after(tmp_path, kill=True)
    assert wanted == set(counts)


async def test_sigterm_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    wanted, counts = await answered_after(tmp_path, kill=False)
    assert dict.fromkeys(wanted, 1) == dict(counts)
