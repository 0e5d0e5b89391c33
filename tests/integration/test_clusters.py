"""A data directory that was used with one cluster and then with another."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from tests.integration.harness import Scan, Tally, Worker, foreign_client

SHOPPERS = [f"+4930{number:05}" for number in range(12)]


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """An embedded broker: each has topics of its own, and the offsets of all begin at 0."""
    broker = EmbeddedBroker(free_port(), log_file=folder / "broker.log")
    broker.start()
    yield broker.address
    broker.stop()


async def sources(worker: Worker, who: list[str]) -> list[str]:
    """Start a worker, scan, and stop the worker; where each answer came from."""
    worker.start()
    try:
        await worker.ready()
        async with foreign_client(worker.servers) as client:
            name = f"{worker.datadir.name}-{worker.starts}"
            scans = [Scan(f"{name}-{it}", f"b-{name}-{it}", it) for it in who]
            for scan in scans:
                await client.producer.send_and_wait(
                    "customer-identified", scan.value, key=scan.identifier.encode()
                )
            return [answer["source"] for answer in await Tally(client).all_of(scans)]
    finally:
        assert worker.stop() == 0


def worker_of(servers: str, datadir: Path) -> Worker:
    return Worker(servers, datadir, api_query="?generate=1", topic_partitions=1, projection="alone")


async def test_a_cache_serves_no_customers_of_another_cluster(tmp_path: Path) -> None:
    with cluster(tmp_path) as one:
        worker = worker_of(one, tmp_path / "worker")
        assert await sources(worker, SHOPPERS) == ["API"] * len(SHOPPERS)
    with cluster(tmp_path) as other:
        # Its changelog has grown further than the store: by offsets alone the store fits.
        strangers = [f"+4989{number:05}" for number in range(2 * len(SHOPPERS))]
        await sources(worker_of(other, tmp_path / "stranger"), strangers)
        worker = worker_of(other, tmp_path / "worker")
        assert await sources(worker, SHOPPERS) == ["API"] * len(SHOPPERS)
        assert worker.log.count("customer-cache is rebuilt") == 1

        assert await sources(worker, SHOPPERS[:1]) == ["CACHE"]
        assert worker.log.count("customer-cache is rebuilt") == 1, (
            "it is the other cluster's by now"
        )
