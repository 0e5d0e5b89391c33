"""Brokers that restart, die, freeze, and refuse to acknowledge."""

import asyncio
import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from agents.customer_lookup import topics
from posstream.kafka.topics import APP_ID
from posstream.plugins.discovery import find_plugins
from tests.chaos.checks import Publish, nothing_lost
from tests.chaos.stage import SESSION_SECONDS, Stage, Till
from tests.chaos.supervisor import Supervisor, supervised
from tests.servers.kafka import Cluster, Node

#: How long the worker may take for everything that waited, once the brokers are back.
BACK_SECONDS = 120


def held_out(supervisor: Supervisor) -> None:
    """The worker went on by itself, and was alive all the time."""
    assert (supervisor.restarts, dict(supervisor.not_live)) == (0, {})


async def caught_up(till: Till) -> float:
    """Seconds from now until a new scan, and as many as were sent before it, are answered."""
    began_at = time.monotonic()
    await till.send(till.scans(1, customers=200))
    await till.answers(len(till.ledger.sent), BACK_SECONDS)
    return time.monotonic() - began_at


async def coordinator(cluster: Cluster) -> Node:
    """The node that coordinates posstream's consumer group."""
    code = 0
    for letter in APP_ID:  # Java's String.hashCode
        code = (31 * code + ord(letter)) & 0xFFFFFFFF
    # `offsets.topic.num.partitions` of the test clusters.
    return await cluster.leader_of("__consumer_offsets", (code & 0x7FFFFFFF) % 6)


async def leader(cluster: Cluster) -> Node:
    """The node that leads one partition of the source topic."""
    return await cluster.leader_of(topics.CUSTOMER_IDENTIFIED, 0)


async def put_down(node: Node, how: str) -> None:
    if how == "SIGTERM":
        await node.stop()
    else:
        await asyncio.to_thread(node.kill)


@pytest.mark.parametrize("how", ["SIGTERM", pytest.param("SIGKILL", marks=pytest.mark.short)])
async def test_the_only_broker_restarts(stage: Stage, publish: Publish, how: str) -> None:
    """The only broker ends (SIGTERM, `kill -9`) under load and is away for 10 s."""
    (worker,) = await stage.started()
    (node,) = stage.cluster.nodes
    async with stage.till() as till, supervised(worker) as supervisor:
        async with till.keeps_scanning():
            await till.answers(100)
            await put_down(node, how)
            await asyncio.sleep(10)
            node.start()
            await stage.cluster.ready()
            seconds = await caught_up(till)
        note = f"{how}: caught up {seconds:.0f} s after; {supervisor}"
        count = publish(await stage.settle(till), note)
    nothing_lost(count)
    held_out(supervisor)
    assert how == "SIGKILL" or count.duplicated == 0


@pytest.mark.nodes(3)
@pytest.mark.parametrize("of", [pytest.param("leader", marks=pytest.mark.short), "coordinator"])
async def test_one_of_three_brokers_dies(stage: Stage, publish: Publish, of: str) -> None:
    """`kill -9` of one of three brokers, a leader or the group's coordinator, and its return."""
    (worker,) = await stage.started()
    async with stage.till() as till, supervised(worker) as supervisor:
        async with till.keeps_scanning():
            await till.answers(100)
            node = await (leader if of == "leader" else coordinator)(stage.cluster)
            await put_down(node, "SIGKILL")
            without = await caught_up(till)
            await asyncio.sleep(5)
            node.start()
            await stage.cluster.ready()
            again = await caught_up(till)
        note = f"{of}: caught up {without:.0f} s after the kill, {again:.0f} s after the return"
        count = publish(await stage.settle(till), f"{note}; {supervisor}")
    nothing_lost(count)
    held_out(supervisor)


@pytest.mark.nodes(3)
@pytest.mark.parametrize("seconds", [30, 90])
async def test_two_of_three_brokers_down(stage: Stage, publish: Publish, seconds: int) -> None:
    """`kill -9` of two of three brokers: nothing can be acknowledged until they are back."""
    (worker,) = await stage.started()
    async with stage.till() as till, supervised(worker) as supervisor:
        async with till.keeps_scanning():
            await till.answers(100)
            down = stage.chance.sample(list(stage.cluster.nodes), 2)
            for node in down:
                await put_down(node, "SIGKILL")
            await asyncio.sleep(seconds)
            for node in down:
                node.start()
            await stage.cluster.ready()
            again = await caught_up(till)
        note = f"{seconds} s: caught up {again:.0f} s after; {supervisor}"
        count = publish(await stage.settle(till), note)
    nothing_lost(count)
    held_out(supervisor)


@pytest.mark.nodes(3)
@pytest.mark.parametrize("seconds", [20, 45])
@pytest.mark.parametrize("of", ["leader", "coordinator"])
async def test_one_of_three_brokers_freezes(
    stage: Stage, publish: Publish, of: str, seconds: int
) -> None:
    """SIGSTOP of one of three brokers, a leader or the group's coordinator, and SIGCONT."""
    (worker,) = await stage.started()
    async with stage.till() as till, supervised(worker) as supervisor:
        async with till.keeps_scanning():
            await till.answers(100)
            node = await (leader if of == "leader" else coordinator)(stage.cluster)
            frozen_at = time.time()
            node.pause()
            await asyncio.sleep(seconds)
            node.resume()
            await stage.cluster.ready()
            again = await caught_up(till)
        count = await stage.settle(till)
        longest = till.ledger.longest_wait(till.client.seen, since=frozen_at)
        note = f"{of}, {seconds} s: caught up {again:.0f} s after, the longest wait {longest:.0f} s"
        publish(count, f"{note}; {supervisor}")
    nothing_lost(count)
    held_out(supervisor)


@pytest.mark.parametrize(
    "seconds", [pytest.param(SESSION_SECONDS + 4, marks=pytest.mark.short), 45]
)
async def test_the_only_broker_freezes(stage: Stage, publish: Publish, seconds: int) -> None:
    """SIGSTOP of the only broker for longer than the session timeout, and SIGCONT."""
    (worker,) = await stage.started()
    (node,) = stage.cluster.nodes
    async with stage.till() as till, supervised(worker) as supervisor:
        async with till.keeps_scanning():
            await till.answers(100)
            node.pause()
            await asyncio.sleep(seconds)
            node.resume()
            again = await caught_up(till)
        note = f"{seconds} s: caught up {again:.0f} s after; {supervisor}"
        count = publish(await stage.settle(till), note)
    nothing_lost(count)
    held_out(supervisor)


@pytest.mark.nodes(3)
async def test_acknowledgements_are_refused(stage: Stage, publish: Publish) -> None:
    """More replicas in sync are asked for than live, for 15 s: no answer is acknowledged."""
    (worker,) = await stage.started()
    async with stage.till() as till, supervised(worker) as supervisor:
        async with till.keeps_scanning():
            await till.answers(100)
            await put_down(stage.chance.choice(stage.cluster.nodes), "SIGKILL")
            await caught_up(till)
            await ask_for(stage, 3)
            await till.client.read_for(2)
            before = till.ledger.unanswered(till.client.seen)
            await till.client.read_for(13)
            assert before <= till.ledger.unanswered(till.client.seen), "it was not refused"
            await ask_for(stage, 2)
            again = await caught_up(till)
        note = f"caught up {again:.0f} s after; {supervisor}"
        count = publish(await stage.settle(till), note)
    nothing_lost(count)
    held_out(supervisor)
    assert count.duplicated == 0


async def ask_for(stage: Stage, replicas: int) -> None:
    """Set `min.insync.replicas` of all topics but the source."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.servers)
    await admin.start()
    asked = {"min.insync.replicas": str(replicas)}
    (response,) = await admin.alter_configs(
        [
            ConfigResource(ConfigResourceType.TOPIC, spec.name, {**spec.config, **asked})
            for spec in find_plugins().topics
            if spec.name != topics.CUSTOMER_IDENTIFIED
        ]
    )
    assert {code for code, *_ in response.resources} == {0}
    await admin.close()


async def test_a_stop_without_brokers(stage: Stage, publish: Publish) -> None:
    """SIGTERM while the only broker is away, and a start once it is back."""
    (worker,) = await stage.started()
    (node,) = stage.cluster.nodes
    async with stage.till() as till:
        async with till.keeps_scanning():
            await till.answers(100)
            await put_down(node, "SIGKILL")
            began_at = time.monotonic()
            await asyncio.to_thread(worker.stop, 60)
            ended = time.monotonic() - began_at
            node.start()
            await stage.cluster.ready()
            worker.start()
            await worker.ready()
            again = await caught_up(till)
        note = f"it ended after {ended:.0f} s, and caught up {again:.0f} s after the start"
        count = publish(await stage.settle(till), note)
    nothing_lost(count)
