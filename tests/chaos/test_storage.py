"""The cache's RocksDB and its changelog: deleted, damaged, full, cut off, made again."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from agents.customer_lookup import topics
from benchmarks.recovery import fingerprint, store_folders
from posstream.kafka.topics import APP_ID
from posstream.settings import PARTITIONS
from tables.cache_spec import CACHE_CHANGELOG
from tests.chaos.checks import COMMITTED_SECONDS, Publish, nothing_lost, restarted, stopped
from tests.chaos.stage import Stage, Till
from tests.chaos.supervisor import supervised
from tests.integration.harness import Worker

CUSTOMERS = 200
#: Enough that some are in each partition.
FORGOTTEN = 100
REBUILT = "is damaged and is rebuilt"
REBUILT_NEXT = "is rebuilt at the next start"
MADE_AGAIN = "is rebuilt, partitions "


async def until(done: Callable[[], bool], seconds: float = 60) -> None:
    give_up_at = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < give_up_at, f"not in {seconds} s"
        await asyncio.sleep(0.2)


async def scanned(till: Till, customers: int = CUSTOMERS) -> None:
    """Each customer is scanned once, and answered."""
    await till.send(till.scans(customers))
    await till.answers(len(till.ledger.sent))


@contextlib.asynccontextmanager
async def admin(stage: Stage) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=stage.servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


def partitions(topic: str) -> list[aiokafka.TopicPartition]:
    numbers = range(PARTITIONS)
    return [aiokafka.TopicPartition(topic, number) for number in numbers]


async def changelog(stage: Stage) -> list[tuple[bytes, bytes | None]]:
    """All that the changelog has now, in order for each key."""
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=stage.servers, group_id=None)
    await consumer.start()
    found = []
    try:
        tps = partitions(CACHE_CHANGELOG)
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        for tp, end in (await consumer.end_offsets(tps)).items():
            while await consumer.position(tp) < end:
                batch = (await consumer.getmany(tp, timeout_ms=200)).get(tp, ())
                found.extend((record.key, record.value) for record in batch)
    finally:
        await consumer.stop()
    return found


def cache_of(records: list[tuple[bytes, bytes | None]]) -> tuple[int, str]:
    """What a cache of these records is, as `fingerprint` has it."""
    digest = hashlib.sha256()
    kept = {key: value for key, value in dict(records).items() if value is not None}
    for pair in sorted(kept.items()):
        for part in pair:
            digest.update(len(part).to_bytes(4))
            digest.update(part)
    return len(kept), digest.hexdigest()


def cached(worker: Worker) -> tuple[int, str]:
    """The cache of a stopped worker."""
    return fingerprint(store_folders(worker.datadir))


async def is_the_changelogs(stage: Stage, worker: Worker) -> bool:
    """Stop a worker: its cache is that of the changelog, no more and no less."""
    await stopped(worker)
    return cached(worker) == cache_of(await changelog(stage))


def deleted(worker: Worker) -> None:
    folders = store_folders(worker.datadir)
    assert folders
    for folder in folders:
        shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["stopped", "running"])
async def test_the_stores_are_deleted(stage: Stage, publish: Publish, how: str) -> None:
    """The cache's RocksDB deleted, of a stopped worker or under a running one (then `kill -9`)."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        await scanned(till)
        if how == "stopped":
            await stopped(worker)
            deleted(worker)
        else:
            deleted(worker)
            await scanned(till, CUSTOMERS + 100)
            worker.kill()
        await restarted(worker)
        await scanned(till, CUSTOMERS)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    # A crash forgets what was not in the changelog yet; no offset behind it was committed either.
    assert count.extra_calls <= count.duplicated
    assert await is_the_changelogs(stage, worker)


def scribble(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = len(content) // 4
    content[middle : middle + 200] = bytes(b ^ 0xFF for b in content[middle : middle + 200])
    file.write_bytes(content)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("files", "harm"),
    [
        ("MANIFEST-*", scribble),
        pytest.param("CURRENT", cut, marks=pytest.mark.short),
        ("*.sst", cut),
        ("*.sst", Path.unlink),
    ],
)
async def test_damage_of_a_stopped_workers_stores(
    stage: Stage, publish: Publish, files: str, harm: Callable[[Path], None]
) -> None:
    """The cache's RocksDB damaged while its worker is stopped: rebuilt at the start."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        await scanned(till)
        await stopped(worker)
        lost = cached(worker)
        folders = store_folders(worker.datadir)
        for folder in folders:
            for file in folder.glob(files):
                harm(file)
        await restarted(worker)
        assert worker.log.count(REBUILT) == len(folders), "one line for each partition"
        await scanned(till)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert count.extra_calls == 0
    assert await is_the_changelogs(stage, worker)
    assert cached(worker) == lost


async def test_damage_of_a_killed_workers_log(stage: Stage, publish: Publish) -> None:
    """`kill -9`, and the write-ahead logs of the cache's RocksDB are damaged."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        await scanned(till)
        worker.kill()
        for folder in store_folders(worker.datadir):
            for file in folder.glob("*.log"):
                scribble(file)
        await restarted(worker)
        await scanned(till)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    # A crash forgets what was not in the changelog yet; no offset behind it was committed either.
    assert count.extra_calls <= count.duplicated
    assert await is_the_changelogs(stage, worker)


async def test_damage_that_is_found_when_it_is_read(stage: Stage, publish: Publish) -> None:
    """Damage in the cache's RocksDB that shows only when an entry is read: one restart."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        await scanned(till)
        await stopped(worker)
        for folder in store_folders(worker.datadir):
            for file in folder.glob("*.sst"):
                scribble(file)
        worker.start()
        async with supervised(worker) as supervisor:
            await scanned(till)
            await worker.ready()
            count = publish(await stage.settle(till), str(supervisor))
    nothing_lost(count)
    assert REBUILT_NEXT in worker.log
    assert supervisor.restarts == 1
    assert count.extra_calls == 0
    assert await is_the_changelogs(stage, worker)


@contextlib.contextmanager
def small_disk(worker: Worker) -> Iterator[Path]:
    """The worker's stores on a disk of a few megabytes."""
    place = worker.datadir / "tables"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as why:
        pytest.skip(f"no disk can be mounted: {why}")
    try:
        yield place
    finally:
        if worker.running:
            worker.kill()
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = place / "ballast"
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(bytes(4096)) == 4096:
            pass
    return ballast


async def test_the_disk_is_full(stage: Stage, publish: Publish) -> None:
    """The disk of the cache's RocksDB is full under load, and has room again later."""
    worker = stage.worker()
    with small_disk(worker) as place:
        await restarted(worker)
        async with stage.till() as till, supervised(worker) as supervisor:
            await scanned(till)
            ballast = fill(place)
            async with till.keeps_scanning(per_second=100, customers=2000):
                await till.answers(1500)
            await till.answers(len(till.ledger.sent))
            assert "cannot be written" in worker.log
            ballast.unlink()
            await scanned(till, 300)
            count = publish(await stage.settle(till), str(supervisor))
        nothing_lost(count)
        assert count.late == 0
        assert supervisor.restarts == 0
        await stopped(worker)
        await restarted(worker)  # what was not written is read again
        assert await is_the_changelogs(stage, worker)


async def test_a_start_on_a_full_disk(stage: Stage, publish: Publish) -> None:
    """`kill -9` and starts on a full disk: events wait until there is room."""
    worker = stage.worker()
    with small_disk(worker) as place:
        await restarted(worker)
        async with stage.till() as till:
            await scanned(till)
            worker.kill()
            ballast = fill(place)
            worker.start()
            async with supervised(worker) as supervisor:
                await till.send(till.scans(CUSTOMERS))
                await until(lambda: supervisor.restarts >= 2)
                ballast.unlink()
                await till.answers(len(till.ledger.sent))
                await worker.ready()
            count = publish(await stage.settle(till), str(supervisor))
        nothing_lost(count)
        assert count.extra_calls == 0
        await stopped(worker)
        await restarted(worker)  # what a start without room could not write is read again
        assert await is_the_changelogs(stage, worker)


async def evicted(worker: Worker, identifiers: list[str]) -> None:
    before = await worker.metric("posstream_cache_removed_total", why="evicted")
    for identifier in identifiers:
        await worker.graphql(
            "mutation ($it: String) { evictCustomer(identifier: $it) { success } }", it=identifier
        )
    give_up_at = time.monotonic() + 30
    while await worker.metric("posstream_cache_removed_total", why="evicted") < before + len(
        identifiers
    ):
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.1)


async def tombstones_gone(stage: Stage, till: Till) -> None:
    """Let the changelog's compaction forget what was deleted; it needs new records to go on."""
    async with admin(stage) as client:
        config = {
            "cleanup.policy": "compact",
            "segment.ms": "500",
            "delete.retention.ms": "100",
            "min.cleanable.dirty.ratio": "0.01",
        }
        resource = ConfigResource(ConfigResourceType.TOPIC, CACHE_CHANGELOG, config)
        await client.alter_configs([resource])
    give_up_at = time.monotonic() + 60
    customer = CUSTOMERS
    while any(value is None for _, value in await changelog(stage)):
        assert time.monotonic() < give_up_at, "the tombstones stay"
        await till.send(till.scans(customer + 50)[customer:])
        await till.answers(len(till.ledger.sent))
        customer += 50


async def records_deleted(stage: Stage, till: Till) -> None:
    """Delete all records of the changelog: DeleteRecords, as the broker's retention would."""
    async with admin(stage) as client:
        tps = partitions(CACHE_CHANGELOG)
        await client.delete_records({tp: RecordsToDelete(before_offset=-1) for tp in tps})


@pytest.mark.parametrize(
    "forget", [tombstones_gone, pytest.param(records_deleted, marks=pytest.mark.short)]
)
async def test_a_worker_that_missed_deletions(
    stage: Stage, publish: Publish, forget: Callable[[Stage, Till], object]
) -> None:
    """Customers forgotten while a worker was away, and the changelog has compacted that away."""
    (away,) = await stage.started()
    async with stage.till() as till:
        await scanned(till)
        await stopped(away)
        (other,) = await stage.started()
        forgotten = [scan.identifier for scan in till.scans(FORGOTTEN)]
        await evicted(other, forgotten)
        await forget(stage, till)
        await stopped(other)
        away.start()
        async with supervised(away) as supervisor:
            await till.send(till.scans(FORGOTTEN))
            await till.answers(len(till.ledger.sent))
            await away.ready()
            count = publish(await stage.settle(till), str(supervisor))
    nothing_lost(count)
    for identifier in forgotten:
        assert stage.directory.calls_of(identifier) == 2, "it was asked for anew"
    assert await is_the_changelogs(stage, away)


async def deleted_topic(stage: Stage, topic: str) -> None:
    """Delete a topic and wait until the brokers have forgotten it."""
    async with admin(stage) as client:
        await client.delete_topics([topic])
        give_up_at = time.monotonic() + 30
        while topic in await client.list_topics():
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.1)


@pytest.mark.short
async def test_the_changelog_is_made_again(stage: Stage, publish: Publish) -> None:
    """The cache's changelog deleted while the worker is stopped: it starts with an empty cache."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        await scanned(till)
        await stopped(worker)
        await deleted_topic(stage, CACHE_CHANGELOG)
        await restarted(worker)
        assert MADE_AGAIN in worker.log
        await scanned(till)
        await scanned(till)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert count.extra_calls == CUSTOMERS, "each was asked for anew, once"
    assert await is_the_changelogs(stage, worker)


async def test_the_changelog_is_deleted_under_a_running_worker(
    stage: Stage, publish: Publish
) -> None:
    """The cache's changelog deleted under a running worker, which is started again later."""
    (worker,) = await stage.started()
    async with stage.till() as till, supervised(worker) as supervisor:
        await scanned(till)
        await deleted_topic(stage, CACHE_CHANGELOG)
        await scanned(till, CUSTOMERS + 100)
        worker.kill()
        await scanned(till, CUSTOMERS + 100)
        await worker.ready()
        count = publish(await stage.settle(till), str(supervisor))
    nothing_lost(count)
    assert await is_the_changelogs(stage, worker)


async def committed_far_ahead(stage: Stage) -> None:
    """Let the group's offsets of the source topic lie beyond its end."""
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=stage.servers, group_id=APP_ID, enable_auto_commit=False
    )
    tps = partitions(topics.CUSTOMER_IDENTIFIED)
    consumer.assign(tps)
    await consumer.start()
    try:
        await consumer.commit(dict.fromkeys(tps, 100_000))
    finally:
        await consumer.stop()


@pytest.mark.parametrize("commits", ["deleted with it", "beyond its end"])
async def test_the_source_topic_is_made_again(stage: Stage, publish: Publish, commits: str) -> None:
    """The source topic deleted while the worker is stopped, its commits with it or not."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        await scanned(till)
        await stage.settle(till)
        await stopped(worker)
        await deleted_topic(stage, topics.CUSTOMER_IDENTIFIED)
        if commits == "beyond its end":
            await restarted(worker)  # makes the topic
            await stopped(worker)
            await committed_far_ahead(stage)
        await restarted(worker)
        await scanned(till)
        await asyncio.sleep(COMMITTED_SECONDS)
        worker.kill()
        await restarted(worker)
        await scanned(till)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert count.duplicated == 0, "what was committed after is not read again"
    assert count.extra_calls == 0


async def test_the_source_topic_is_made_again_under_a_running_worker(
    stage: Stage, publish: Publish
) -> None:
    """The source topic deleted and made again under a running worker."""
    (worker,) = await stage.started()
    async with stage.till() as till, supervised(worker) as supervisor:
        await scanned(till)
        await stage.settle(till)
        await deleted_topic(stage, topics.CUSTOMER_IDENTIFIED)
        await made(stage, topics.CUSTOMER_IDENTIFIED, PARTITIONS)
        await scanned(till)
        count = publish(await stage.settle(till), str(supervisor))
    nothing_lost(count)
    assert count.extra_calls == 0


async def made(stage: Stage, topic: str, number: int) -> None:
    async with admin(stage) as client:
        await client.create_topics([NewTopic(topic, number, 1)])


async def test_partitions_that_do_not_match(stage: Stage, publish: Publish) -> None:
    """The source topic has fewer partitions than the changelog: refused, until it is put right."""
    (worker,) = await stage.started()
    await stopped(worker)
    await deleted_topic(stage, topics.CUSTOMER_IDENTIFIED)
    await made(stage, topics.CUSTOMER_IDENTIFIED, PARTITIONS // 2)
    async with stage.till() as till:
        await till.send(till.scans(CUSTOMERS))
        worker.start()
        assert await asyncio.to_thread(worker.wait) != 0
        assert f"has {PARTITIONS // 2} partitions" in worker.log
        assert f"POSSTREAM_TOPIC_PARTITIONS is {PARTITIONS}" in worker.log
        async with admin(stage) as client:
            await client.create_partitions({topics.CUSTOMER_IDENTIFIED: NewPartitions(PARTITIONS)})
        await restarted(worker)
        await till.answers(CUSTOMERS)
        await scanned(till)
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert count.duplicated == 0
    assert count.extra_calls == 0
