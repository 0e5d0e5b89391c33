"""`posstream topics`: more partitions for tables' changelogs and the topics that belong to them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from posstream.commands.running import read_settings, run
from posstream.domain.errors import GrowthRefused
from posstream.plugins.discovery import find_plugins
from posstream.settings import Settings

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from posstream.commands.topic_reader import TopicReader
    from posstream.streaming.table_spec import TableSpec
    from tables.moving import Change


@click.group("topics")
def command() -> None:
    """Work on the topics that posstream makes."""


@command.command("grow")
@click.argument("partitions", type=click.IntRange(1, 1000))
def _grow(partitions: int) -> None:
    """Give the co-partitioned topics PARTITIONS partitions, and move the cache's entries.

    These are the topics whose partition tells where a customer's cache entry is. Workers may go on
    meanwhile: they answer, and keep no new customers until they are started again with
    POSSTREAM_TOPIC_PARTITIONS=PARTITIONS. If the command is interrupted, run it again. Exits with 1
    if it is refused, or without a broker.
    """
    run(grow(read_settings(), partitions))


async def grow(settings: Settings, partitions: int) -> int:
    """Give each table's co-partitioned topics `partitions` partitions; move the table's entries.

    Returns:
        0 when all is done.

    Raises:
        GrowthRefused: with a sentence that says what to do.
        BrokerUnreachable: if the broker does not answer; run the command again.
    """
    from aiokafka.admin import AIOKafkaAdminClient

    from posstream.kafka.answering import answering

    servers = settings.bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=list(servers))
    try:
        with answering(servers):
            await admin.start()
            for plugin in find_plugins():
                for table in plugin.tables:
                    await _Growth(admin, servers, table, partitions).grow()
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


@dataclass(frozen=True, slots=True)
class _Growth:
    """One table that is given more partitions.

    The changelog comes first: workers that run stop writing to the table when they see it (see
    `streaming.co_partitioning`). The others come last: until all of them have as many, no worker
    starts, so none with the new count writes to the changelog while entries are moved.
    """

    admin: "AIOKafkaAdminClient"
    servers: Sequence[str]
    table: "TableSpec"
    partitions: int

    @property
    def changelog(self) -> str:
        return self.table.changelog.name

    @property
    def topics(self) -> Sequence[str]:
        return (*self.table.co_partitioned, self.changelog)

    async def grow(self) -> None:
        from posstream.kafka.growth import counted_by_workers, until_shared
        from posstream.kafka.preflight import partition_counts
        from posstream.streaming.co_partitioning import METADATA_SECONDS

        counts = await partition_counts(self.admin, self.topics)
        self._refuse_misfits(counts)
        workers = await counted_by_workers(self.admin)
        if None in workers:
            raise GrowthRefused(
                "a worker of another version is running: stop it first. It would go on writing to "
                "the cache while its entries are moved"
            )
        if self.partitions in workers:
            await self._refuse_to_move_beneath()
            print(
                f"{', '.join(self.topics)} have {self.partitions} partitions, and a worker runs "
                "with them: all is done"
            )
            return
        await self._give(counts, self.changelog)
        if await counted_by_workers(self.admin):  # one may have started meanwhile
            print("waiting until the workers write to the cache no more ...", flush=True)
            await until_shared(self.admin, self.changelog, self.partitions)
            # Workers that did not lead the rebalance see it when they next fetch the metadata.
            await asyncio.sleep(METADATA_SECONDS + 2)
        moved = await self._move()
        print(f"moved {moved} entries of the cache to the partitions of their keys")
        for topic in self.table.co_partitioned:
            await self._give(counts, topic)

    def _refuse_misfits(self, counts: Mapping[str, int]) -> None:
        if len(counts) < len(self.topics):
            raise GrowthRefused(
                f"no worker ever ran on this broker: it makes {', '.join(self.topics)} with "
                "POSSTREAM_TOPIC_PARTITIONS partitions"
            )
        topic, most = max(counts.items(), key=lambda it: it[1])
        if most > self.partitions:
            raise GrowthRefused(
                f"topic {topic} has {most} partitions and Kafka takes none away: grow to {most} or "
                "more"
            )

    async def _refuse_to_move_beneath(self) -> None:
        from posstream.commands.topic_reader import topic_reader
        from tables.moving import misplaced

        async with topic_reader(self.servers) as reader:
            left = await misplaced(lambda: self._records(reader), self.partitions)
        if left:
            raise GrowthRefused(
                f"a worker runs with {self.partitions} partitions, and {len(left)} entries of the "
                "cache are not where their keys belong: stop the workers, and run the command again"
            )

    async def _give(self, counts: Mapping[str, int], topic: str) -> None:
        from posstream.kafka.growth import add_partitions

        if counts[topic] < self.partitions:
            await add_partitions(self.admin, topic, self.partitions)
        print(f"{topic} has {self.partitions} partitions, before {counts[topic]}", flush=True)

    async def _move(self) -> int:
        import aiokafka

        from posstream.commands.topic_reader import topic_reader
        from tables.moving import move

        async with (
            topic_reader(self.servers) as reader,
            aiokafka.AIOKafkaProducer(bootstrap_servers=list(self.servers), acks="all") as producer,
        ):

            async def write(changes: "list[Change]") -> None:
                waiting = [
                    await producer.send(
                        self.changelog, it.value, key=it.key, partition=it.partition
                    )
                    for it in changes
                ]
                await asyncio.gather(*waiting)

            return await move(lambda: self._records(reader), write, self.partitions)

    def _records(self, reader: "TopicReader") -> AsyncIterator[Any]:
        return reader.records(self.changelog)
