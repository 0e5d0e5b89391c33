"""`posstream topics`: more partitions for co-partitioned topics and the cache."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiokafka
import click
from aiokafka.admin import AIOKafkaAdminClient

from agents.customer_lookup.topics import CACHE_CHANGELOG, CO_PARTITIONED
from posstream.commands.running import read_settings, run
from posstream.commands.topic_reader import TopicReader, topic_reader
from posstream.domain.errors import GrowthRefused
from posstream.kafka.answering import answering
from posstream.kafka.growth import add_partitions, counted_by_workers, until_shared
from posstream.kafka.preflight import partition_counts
from posstream.settings import Settings
from posstream.streaming.co_partitioning import METADATA_SECONDS
from tables.moving import Change, misplaced, move


@click.group("topics")
def command() -> None:
    """Work on the topics that posstream makes."""


@command.command("grow")
@click.argument("partitions", type=click.IntRange(1, 1000))
def _grow_command(partitions: int) -> None:
    """Give the co-partitioned topics PARTITIONS partitions, and move the cache's entries.

    These are the topics whose partition tells where a customer's cache entry is. Workers may go on
    meanwhile: they answer, and keep no new customers until they are started again with
    POSSTREAM_TOPIC_PARTITIONS=PARTITIONS. If the command is interrupted, run it again. Exits with 1
    if it is refused, or without a broker.
    """
    run(grow(read_settings(), partitions))


async def grow(settings: Settings, partitions: int) -> int:
    """Give the co-partitioned topics `partitions` partitions; move the entries of the cache.

    The changelog comes first: workers that run stop writing to the cache when they see it (see
    `streaming.co_partitioning`). The others come last: until all of them have as many, no worker
    starts, so none with the new count writes to the changelog while entries are moved.

    Returns:
        0 when all is done.

    Raises:
        GrowthRefused: with a sentence that says what to do.
        BrokerUnreachable: if the broker does not answer; run the command again.
    """
    servers = settings.bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=list(servers))
    try:
        with answering(servers):
            await admin.start()
            await _grow(admin, servers, partitions)
    finally:
        await admin.close()
    print(
        f"Set POSSTREAM_TOPIC_PARTITIONS={partitions} and start every worker again: until then "
        "they answer, and\nkeep no new customers."
        if partitions != settings.topic_partitions
        else f"POSSTREAM_TOPIC_PARTITIONS is {partitions} already: start every worker that runs "
        "with another number\nagain."
    )
    return 0


async def _grow(admin: AIOKafkaAdminClient, servers: Sequence[str], partitions: int) -> None:
    counts = await partition_counts(admin, CO_PARTITIONED)
    _refuse_misfits(counts, partitions)
    workers = await counted_by_workers(admin)
    if None in workers:
        raise GrowthRefused(
            "a worker of another version is running: stop it first. It would go on writing to the "
            "cache while its entries are moved"
        )
    if partitions in workers:
        await _refuse_to_move_beneath(servers, partitions)
        print(f"{_listed()} have {partitions} partitions, and a worker runs with them: all is done")
        return
    await _give(admin, counts, CACHE_CHANGELOG, partitions)
    if await counted_by_workers(admin):  # one may have started meanwhile
        print("waiting until the workers write to the cache no more ...", flush=True)
        await until_shared(admin, CACHE_CHANGELOG, partitions)
        # Workers that did not lead the rebalance see it when they next fetch the metadata.
        await asyncio.sleep(METADATA_SECONDS + 2)
    moved = await _move(servers, partitions)
    print(f"moved {moved} entries of the cache to the partitions of their keys")
    for topic in CO_PARTITIONED:
        if topic != CACHE_CHANGELOG:
            await _give(admin, counts, topic, partitions)


def _refuse_misfits(counts: dict[str, int], partitions: int) -> None:
    if len(counts) < len(CO_PARTITIONED):
        raise GrowthRefused(
            f"no worker ever ran on this broker: it makes {_listed()} with "
            "POSSTREAM_TOPIC_PARTITIONS partitions"
        )
    topic, most = max(counts.items(), key=lambda it: it[1])
    if most > partitions:
        raise GrowthRefused(
            f"topic {topic} has {most} partitions and Kafka takes none away: grow to {most} or more"
        )


async def _refuse_to_move_beneath(servers: Sequence[str], partitions: int) -> None:
    async with topic_reader(servers) as reader:
        left = await misplaced(lambda: _changelog(reader), partitions)
    if left:
        raise GrowthRefused(
            f"a worker runs with {partitions} partitions, and {len(left)} entries of the cache are "
            "not where their keys belong: stop the workers, and run the command again"
        )


async def _give(
    admin: AIOKafkaAdminClient, counts: dict[str, int], topic: str, partitions: int
) -> None:
    if counts[topic] < partitions:
        await add_partitions(admin, topic, partitions)
    print(f"{topic} has {partitions} partitions, before {counts[topic]}", flush=True)


async def _move(servers: Sequence[str], partitions: int) -> int:
    async with (
        topic_reader(servers) as reader,
        aiokafka.AIOKafkaProducer(bootstrap_servers=list(servers), acks="all") as producer,
    ):

        async def write(changes: list[Change]) -> None:
            waiting = [
                await producer.send(CACHE_CHANGELOG, it.value, key=it.key, partition=it.partition)
                for it in changes
            ]
            await asyncio.gather(*waiting)

        return await move(lambda: _changelog(reader), write, partitions)


def _changelog(reader: TopicReader) -> AsyncIterator[Any]:
    return reader.records(CACHE_CHANGELOG)


def _listed() -> str:
    return ", ".join(CO_PARTITIONED)
