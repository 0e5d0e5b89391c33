"""The real servers do what the tests that break them believe."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiokafka
import asyncpg
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from tests.servers import kafka, postgres
from tests.servers.needed import need

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="module")]

TOPIC = "kept"
ALL = {1, 2, 3}


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[kafka.Cluster]:
    need(kafka)
    with kafka.cluster(nodes=3) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(three_nodes: kafka.Cluster) -> kafka.Cluster:
    """All three nodes, whatever the test before has done to them, and the topic `kept`."""
    for node in three_nodes.nodes:
        if not node.running:
            node.start()
        node.resume()
    await three_nodes.ready()
    await create(three_nodes, TOPIC)
    return three_nodes


@pytest.fixture
def database() -> Iterator[postgres.Server]:
    need(postgres)
    with postgres.server() as server:
        yield server


async def create(
    cluster: kafka.Cluster, topic: str, nodes: Collection[int] = ALL, **configs: str
) -> None:
    """Create a topic of one partition with a copy on each of `nodes`; leave one that exists."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers)
    await admin.start()
    try:
        dotted = {name.replace("_", "."): value for name, value in configs.items()}
        copies = {0: list(nodes)}
        await admin.create_topics(
            [NewTopic(topic, -1, -1, replica_assignments=copies, topic_configs=dotted)]
        )
    finally:
        await admin.close()


@asynccontextmanager
async def producing(cluster: kafka.Cluster) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    async with aiokafka.AIOKafkaProducer(
        bootstrap_servers=cluster.servers, acks="all", request_timeout_ms=5_000
    ) as producer:
        yield producer


async def read_all(cluster: kafka.Cluster, topic: str) -> list[bytes]:
    partition = aiokafka.TopicPartition(topic, 0)
    async with aiokafka.AIOKafkaConsumer(bootstrap_servers=cluster.servers) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        values = []
        while await consumer.position(partition) < end:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                values.extend(record.value for record in batch)
        return values


async def test_a_record_outlives_the_kill_of_its_leader_and_another_node_leads(
    cluster: kafka.Cluster,
) -> None:
    value = uuid.uuid4().bytes
    killed = await cluster.leader_of(TOPIC, 0)
    async with producing(cluster) as producer:
        await producer.send_and_wait(TOPIC, value)
        killed.kill()
        assert not killed.running
        assert await cluster.leader_of(TOPIC, 0) is not killed
        assert (await read_all(cluster, TOPIC))[-1] == value


async def test_a_killed_node_comes_back_at_its_address_and_into_every_replica_set(
    cluster: kafka.Cluster,
) -> None:
    address, node = cluster.address, await cluster.leader_of(TOPIC, 0)
    node.kill()
    assert not await node.answers()
    node.start()
    await cluster.ready()
    assert cluster.address == address
    views = [await each.view() for each in cluster.nodes]
    assert [in_sync(view) for view in views] == [ALL] * 3


async def test_a_paused_leader_is_silent_and_replaced_and_takes_part_again_when_it_goes_on(
    cluster: kafka.Cluster,
) -> None:
    paused = await cluster.leader_of(TOPIC, 0)
    paused.pause()
    assert paused.running
    assert not await paused.answers()
    assert await cluster.leader_of(TOPIC, 0) is not paused
    paused.resume()
    await cluster.ready()
    assert in_sync(await paused.view()) == ALL


async def test_a_write_needs_two_copies(cluster: kafka.Cluster) -> None:
    leads, follows, _ = cluster.nodes
    topic = f"twice-{uuid.uuid4().hex}"
    await create(cluster, topic, nodes=(leads.id, follows.id))
    async with producing(cluster) as producer:
        await producer.send_and_wait(topic, b"on two")
        follows.kill()
        with pytest.raises(KafkaError):
            await producer.send_and_wait(topic, b"on one")
        follows.start()
        await cluster.ready()
        await producer.send_and_wait(topic, b"on two again")


async def test_a_node_that_is_told_to_stop_hands_its_partitions_over_and_ends(
    cluster: kafka.Cluster,
) -> None:
    leader = await cluster.leader_of(TOPIC, 0)
    await leader.stop()
    assert not leader.running
    assert await cluster.leader_of(TOPIC, 0) is not leader


async def test_small_segments_are_compacted_in_seconds(cluster: kafka.Cluster) -> None:
    compacted = f"compacted-{uuid.uuid4().hex}"
    await create(
        cluster,
        compacted,
        cleanup_policy="compact",
        segment_ms="1",
        min_cleanable_dirty_ratio="0.01",
    )
    async with producing(cluster) as producer, asyncio.timeout(30):
        for number in range(20):
            await producer.send_and_wait(compacted, b"%d" % number, key=b"the same")
        while len(values := await read_all(cluster, compacted)) > 2:  # noqa: ASYNC110 - Kafka tells nobody
            await asyncio.sleep(0.1)
    assert values[-1] == b"19"


async def test_a_cluster_is_gone_whatever_was_done_to_its_nodes() -> None:
    need(kafka)
    with kafka.cluster(nodes=3) as cluster:
        killed, paused, untouched = cluster.nodes
        killed.kill()
        paused.pause()
        assert [node.running for node in cluster.nodes] == [False, True, True]
    assert [node.running for node in cluster.nodes] == [False] * 3
    assert not untouched.folder.exists()


async def test_a_node_that_cannot_start_says_why_at_once() -> None:
    need(kafka)
    with kafka.cluster() as cluster:
        (node,) = cluster.nodes
        node.kill()
        node.properties.write_text(node.properties.read_text() + "process.roles=baker\n")
        node.start()
        with pytest.raises(RuntimeError, match="baker"):
            await node.ready()


async def test_postgresql_has_its_rows_after_a_kill(database: postgres.Server) -> None:
    await database.ready()
    open_one = await database.connect(5)
    await open_one.execute("CREATE TABLE kept AS SELECT 1 AS value")
    database.kill()
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await open_one.fetchval("SELECT value FROM kept")
    with pytest.raises(ConnectionRefusedError):
        await database.connect(5)

    database.start()
    await database.ready()
    assert await asked(database, "SELECT value FROM kept") == 1


async def test_postgresql_refuses_while_it_is_stopped(database: postgres.Server) -> None:
    await database.ready()
    await asked(database, "CREATE TABLE kept AS SELECT 1 AS value")
    await database.stop()
    with pytest.raises(ConnectionRefusedError):
        await database.connect(5)
    database.start()
    await database.ready()
    assert await asked(database, "SELECT value FROM kept") == 1


async def test_a_paused_postgresql_takes_connections_and_answers_none_old_or_new(
    database: postgres.Server,
) -> None:
    await database.ready()
    old = await database.connect(5)
    database.pause()
    waiting = asyncio.create_task(old.fetchval("SELECT 2"))
    assert await asyncio.wait([waiting], timeout=0.5) == (set(), {waiting})
    with pytest.raises(TimeoutError):
        await database.connect(0.5)
    database.resume()
    assert await waiting == 2
    await old.close()
    assert await asked(database, "SELECT 3") == 3


async def test_a_paused_postgresql_is_gone_after_its_test() -> None:
    need(postgres)
    with postgres.server() as database:
        await database.ready()
        processes = [Path("/proc") / str(pid) for pid in database.processes()]
        database.pause()
    assert len(processes) > 1
    assert [process for process in processes if process.exists()] == []


async def asked(database: postgres.Server, query: str) -> object:
    connection = await database.connect(5)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def in_sync(view: dict[str, Any] | None) -> set[int]:
    assert view is not None
    (isr,) = (
        set(partition["isr"])
        for topic in view["topics"]
        if topic["topic"] == TOPIC
        for partition in topic["partitions"]
    )
    return isr
