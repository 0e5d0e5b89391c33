"""`posstream topics`: adds partitions to co-partitioned topics, and moves their tables' entries."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import click

from posstream.commands.group import CommandGroup
from posstream.commands.running import read_settings, run
from posstream.domain.errors import GrowthRefused
from posstream.kafka.connection import administering
from posstream.kafka.counts import partition_counts
from posstream.kafka.growth import add_partitions, counted_by_workers, until_shared
from posstream.kafka.reader import topic_reader
from posstream.kafka.record import Record
from posstream.kafka.security import Brokers
from posstream.kafka.writer import TopicWriter
from posstream.plugin import Plugin
from posstream.plugins.discovery import find_plugins
from posstream.settings import Settings
from posstream.streaming.co_partitioning import METADATA_SECONDS
from tables.moving import Change, PlacedBy, misplaced, move


@click.group("topics", cls=CommandGroup)
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
    """Give the co-partitioned topics `partitions` partitions; move the entries of the tables.

    The changelogs grow first: running workers then stop writing to the table (see
    `streaming.co_partitioning`). The other topics grow last: no worker starts before all topics
    have the new count, so none writes to a changelog while entries are moved.

    Returns:
        0 when all is done.

    Raises:
        GrowthRefused: with a sentence that says what to do.
        BrokerUnreachable: if the broker does not answer; run the command again.
    """
    brokers = settings.bootstrap_servers
    plugins = [plugin for plugin in find_plugins() if plugin.tables]
    async with administering(brokers) as admin:
        await _grow(admin, brokers, plugins, partitions)
    print(
        f"Set POSSTREAM_TOPIC_PARTITIONS={partitions} and start every worker again: until then "
        "they answer, and\nkeep no new customers."
        if partitions != settings.topic_partitions
        else f"POSSTREAM_TOPIC_PARTITIONS is {partitions} already: start every worker that runs "
        "with another number\nagain."
    )
    return 0


async def _grow(admin: Any, brokers: Brokers, plugins: Sequence[Plugin], partitions: int) -> None:
    #: Changelog -> the consumer group of its workers.
    groups = {
        table.changelog.name: plugin.consumer_group for plugin in plugins for table in plugin.tables
    }
    running = sorted(set(groups.values()))
    tables = [table for plugin in plugins for table in plugin.tables]
    placed = {table.changelog.name: table.placed_by for table in tables}
    topics = list(dict.fromkeys(topic for table in tables for topic in table.topics))
    counts = await partition_counts(admin, topics)
    _refuse_misfits(topics, counts, partitions)
    # A worker makes those of a new plugin at its start, and starts only once the others fit.
    topics = [topic for topic in topics if topic in counts]
    groups = {changelog: group for changelog, group in groups.items() if changelog in counts}
    workers = await counted_by_workers(admin, running)
    if None in workers:
        raise GrowthRefused(
            "a worker of another version is running: stop it first. It would go on writing to the "
            "tables while their entries are moved"
        )
    if partitions in workers:
        await _refuse_to_move_beneath(brokers, {it: placed[it] for it in groups}, partitions)
        print(
            f"{', '.join(topics)} have {partitions} partitions, and a worker runs with them: all "
            "is done"
        )
        return
    for changelog in groups:
        await _give(admin, counts, changelog, partitions)
    if await counted_by_workers(admin, running):  # one may have started meanwhile
        print("waiting until the workers have stopped writing to the tables ...", flush=True)
        for changelog, group in groups.items():
            await until_shared(admin, group, changelog, partitions)
        # Workers that did not lead the rebalance see it when they next fetch the metadata.
        await asyncio.sleep(METADATA_SECONDS + 2)
    for changelog in groups:
        moved = await _move(brokers, changelog, partitions, placed[changelog])
        print(f"moved {moved} entries of {changelog} to the partitions of their keys", flush=True)
    for topic in topics:
        if topic not in groups:
            await _give(admin, counts, topic, partitions)


def _refuse_misfits(topics: Sequence[str], counts: Mapping[str, int], partitions: int) -> None:
    if not counts:
        raise GrowthRefused(
            f"no worker ever ran on this broker: it makes {', '.join(topics)} with "
            "POSSTREAM_TOPIC_PARTITIONS partitions"
        )
    topic, most = max(counts.items(), key=lambda it: it[1])
    if most > partitions:
        raise GrowthRefused(
            f"topic {topic} has {most} partitions and Kafka cannot remove partitions: grow to "
            f"{most} or more"
        )


async def _refuse_to_move_beneath(
    brokers: Brokers, placed: Mapping[str, PlacedBy], partitions: int
) -> None:
    left = 0
    for changelog, placed_by in placed.items():
        async with topic_reader(brokers, changelog) as reader:
            read = partial(reader.records, changelog)
            left += len(await misplaced(read, partitions, placed_by))
    if left:
        raise GrowthRefused(
            f"a worker runs with {partitions} partitions, and {left} entries of the tables are "
            "not where their keys belong: stop the workers, and run the command again"
        )


async def _give(admin: Any, counts: Mapping[str, int], topic: str, partitions: int) -> None:
    if counts[topic] < partitions:
        await add_partitions(admin, topic, partitions)
    print(f"{topic} has {partitions} partitions, before {counts[topic]}", flush=True)


async def _move(brokers: Brokers, changelog: str, partitions: int, placed_by: PlacedBy) -> int:
    async with topic_reader(brokers, changelog) as reader, TopicWriter(brokers) as writer:

        async def write(changes: list[Change]) -> None:
            written = [
                writer.write(Record(changelog, it.key, it.value, partition=it.partition))
                for it in changes
            ]
            await asyncio.gather(*written)

        return await move(lambda: reader.records(changelog), write, partitions, placed_by)
