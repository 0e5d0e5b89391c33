"""Topics that are given partitions, and a changelog that is made anew, under real workers."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from agents.customer_lookup import topics
from posstream.kafka.partitioner import partition_of
from tables.cache_spec import CACHE_CHANGELOG
from tests.integration.harness import (
    ForeignClient,
    Scan,
    Tally,
    Worker,
    environment,
    foreign_client,
)
from tests.servers import kafka
from tests.servers.needed import need

pytestmark = pytest.mark.kafka

OLD, NEW = 4, 6
SHOPPERS = [f"+4930{number:05}" for number in range(60)]
MOVING = sum(partition_of(who.encode(), OLD) != partition_of(who.encode(), NEW) for who in SHOPPERS)


@pytest.fixture
def servers() -> Iterator[str]:
    """A Kafka of the test's own: topics cannot be made smaller again."""
    need(kafka)
    with kafka.running() as address:
        yield address.removeprefix("kafka://")


@asynccontextmanager
async def admin_of(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def worker_of(servers: str, datadir: Path, partitions: int, **settings: object) -> Worker:
    return Worker(
        servers, datadir, api_query="?generate=1", topic_partitions=partitions, **settings
    )


def growing(servers: str, datadir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "posstream.cli", "topics", "grow", str(NEW)],
        env=environment(broker=f"kafka://{servers}", datadir=datadir, topic_partitions=OLD),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def grow(servers: str, datadir: Path) -> str:
    command = growing(servers, datadir)
    output, _ = command.communicate(timeout=180)
    assert command.returncode == 0, output
    return output


async def add_partitions(servers: str, topic: str) -> None:
    """As somebody does it by hand."""
    async with admin_of(servers) as admin:
        await admin.create_partitions({topic: NewPartitions(NEW)})


async def until_ready(worker: Worker, status: str, end: str = "") -> None:
    """Wait until /health/ready says a status, with a sentence that ends so."""
    give_up_at = time.monotonic() + 60
    document: dict[str, Any] = {}
    async with aiohttp.ClientSession() as http:
        while document.get("status") != status or not "".join(document["reasons"]).endswith(end):
            assert worker.running, worker.log[-3000:]
            assert time.monotonic() < give_up_at, document
            await asyncio.sleep(0.2)
            with contextlib.suppress(aiohttp.ClientError):  # it is starting
                async with http.get(f"{worker.url}/health/ready") as response:
                    document = await response.json()


class Till:
    """Scans all shoppers, again and again."""

    def __init__(self, client: ForeignClient, name: str) -> None:
        self._client = client
        self._name = name
        self._tally = Tally(client)
        self._count = 0

    async def sources(self, *, partitions: int | None = None) -> Counter[str]:
        """Scan each shopper; where the answers came from.

        Args:
            partitions: send to each of so many in turns, whatever the key.
        """
        self._count += 1
        name = f"{self._name}-{self._count}"
        scans = [Scan(f"{name}-{who}", f"b-{name}-{who}", who) for who in SHOPPERS]
        await self._send(scans, partitions)
        answers = await self._tally.all_of(scans, 90)
        return Counter(answer["source"] for answer in answers)

    async def _send(self, scans: Sequence[Scan], partitions: int | None) -> None:
        for number, scan in enumerate(scans):
            await self._client.producer.send_and_wait(
                topics.CUSTOMER_IDENTIFIED,
                scan.value,
                key=scan.identifier.encode(),
                partition=None if partitions is None else number % partitions,
            )


ALL_CACHED = Counter({"CACHE": len(SHOPPERS)})
ALL_ASKED = Counter({"API": len(SHOPPERS)})


#: What a worker says that counts other partitions than the topics have: some have more, or all.
RUN_GROW = f"and start the workers again with POSSTREAM_TOPIC_PARTITIONS={NEW}"
START_AGAIN = f"but POSSTREAM_TOPIC_PARTITIONS is {OLD}. Set POSSTREAM_TOPIC_PARTITIONS={NEW}"


async def test_a_worker_goes_on_when_a_topic_grows_and_growing_all_moves_the_cache(
    servers: str, tmp_path: Path
) -> None:
    worker = worker_of(servers, tmp_path / "worker", OLD)
    worker.start()
    try:
        await worker.ready()
        async with foreign_client(servers) as client:
            assert await Till(client, "before").sources() == ALL_ASKED
        await add_partitions(servers, topics.CUSTOMER_IDENTIFIED)
        await until_ready(worker, "degraded", RUN_GROW)
        async with foreign_client(servers) as client:
            till = Till(client, "after")
            assert await till.sources(partitions=NEW) == ALL_CACHED
            output = grow(servers, tmp_path)
            assert f"moved {MOVING} entries of {CACHE_CHANGELOG}" in output
            assert f"POSSTREAM_TOPIC_PARTITIONS={NEW}" in output
            await until_ready(worker, "degraded", START_AGAIN)
            assert await till.sources(partitions=NEW) == ALL_CACHED, "it goes on meanwhile"
            assert worker.stop() == 0
            worker = worker_of(servers, tmp_path / "worker", NEW)
            worker.start()
            await until_ready(worker, "ok")
        async with foreign_client(servers) as client:  # one that reads the new partitions, too
            till = Till(client, "grown")
            assert await till.sources() == ALL_CACHED
            assert await till.sources(partitions=NEW) == ALL_CACHED
    finally:
        worker.stop()


async def test_a_growth_that_was_killed_refuses_starts_until_it_is_run_again(
    servers: str, tmp_path: Path
) -> None:
    worker = worker_of(servers, tmp_path / "worker", OLD)
    worker.start()
    try:
        await worker.ready()
        async with foreign_client(servers) as client:
            assert await Till(client, "before").sources() == ALL_ASKED
        command = growing(servers, tmp_path)
        assert command.stdout is not None
        while CACHE_CHANGELOG not in command.stdout.readline():
            assert command.poll() is None
        command.kill()
        command.communicate()
        assert worker.stop() == 0
        for partitions in (OLD, NEW):
            worker = worker_of(servers, tmp_path / "worker", partitions)
            worker.start()
            assert worker.wait() != 0
            assert f"`posstream topics grow {NEW}`" in worker.log
        assert f"moved {MOVING} entries of {CACHE_CHANGELOG}" in grow(servers, tmp_path)
        assert "moved 0 entries" in grow(servers, tmp_path), "once more does no harm"
        worker.start()
        await until_ready(worker, "ok")
        async with foreign_client(servers) as client:
            assert await Till(client, "after").sources() == ALL_CACHED
        assert "all is done" in grow(servers, tmp_path), "beneath a worker nothing is moved"
    finally:
        worker.stop()


async def test_two_workers_share_their_caches_and_are_started_again_one_after_the_other(
    servers: str, tmp_path: Path
) -> None:
    """Topics with different numbers of partitions are not assigned together."""
    workers = [worker_of(servers, tmp_path / name, OLD) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            await worker.ready()
        async with foreign_client(servers) as client:
            assert await Till(client, "before").sources() == ALL_ASKED
        await add_partitions(servers, topics.CUSTOMER_IDENTIFIED)
        for worker in workers:
            await until_ready(worker, "degraded", RUN_GROW)
        async with foreign_client(servers) as client:
            assert await Till(client, "after").sources(partitions=NEW) == ALL_CACHED
        grow(servers, tmp_path)
        async with foreign_client(servers) as client:  # it reads the new partitions, too
            till = Till(client, "grown")
            for number, worker in enumerate(workers):
                worker.stop()
                workers[number] = worker_of(servers, worker.datadir, NEW)
                workers[number].start()
                await until_ready(workers[number], "ok")
                assert (await till.sources(partitions=NEW)).total() == len(SHOPPERS)
            for worker in workers:
                await until_ready(worker, "ok")
            assert await till.sources(partitions=NEW) == ALL_CACHED
    finally:
        for worker in workers:
            worker.stop()


async def test_a_changelog_that_was_made_anew_and_outgrew_the_store_is_read_instead_of_it(
    servers: str, tmp_path: Path
) -> None:
    worker = worker_of(servers, tmp_path / "worker", OLD)
    worker.start()
    try:
        await worker.ready()
        async with foreign_client(servers) as client:
            assert await Till(client, "before").sources() == ALL_ASKED
        assert worker.stop() == 0
        async with admin_of(servers) as admin:
            await admin.delete_topics([CACHE_CHANGELOG])
        async with admin_of(servers) as admin:
            await made_anew(admin)
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=servers) as producer:
            for number in range(50 * OLD):
                await producer.send(
                    CACHE_CHANGELOG, b"x", key=b"%d" % number, partition=number % OLD
                )
        worker.start()
        await until_ready(worker, "ok")
        async with foreign_client(servers) as client:
            assert await Till(client, "after").sources() == ALL_ASKED
        assert worker.log.count("is rebuilt") == 1
    finally:
        worker.stop()


async def made_anew(admin: AIOKafkaAdminClient) -> None:
    give_up_at = time.monotonic() + 30
    while True:
        answer = await admin.create_topics([NewTopic(CACHE_CHANGELOG, OLD, 1)])
        if not answer.topic_errors[0][1]:
            return
        assert time.monotonic() < give_up_at, answer  # it takes a moment to be gone
        await asyncio.sleep(0.2)
