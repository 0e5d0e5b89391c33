"""`posstream cache`: forget cached customers, through the topic that every worker reads."""

import aiokafka

from agents.customer_lookup.cache_commands import Evict, EvictPrefix
from agents.customer_lookup.events.commands import commanded
from agents.customer_lookup.topics import CACHE_COMMANDS
from posstream.domain.payment_card import mask
from posstream.kafka.answering import answering
from posstream.kafka.partition_counts import partitions_of
from posstream.settings import Settings


async def evict(settings: Settings, command: Evict | EvictPrefix) -> int:
    """Publish an eviction and say when the broker has it; the workers do it at once after that.

    Returns:
        0 when it is acknowledged, 1 if no worker has ever run on this broker.

    Raises:
        BrokerUnreachable: if no broker answers, or it does not acknowledge.
    """
    servers = settings.bootstrap_servers
    partitions = (await partitions_of(servers, [CACHE_COMMANDS])).get(CACHE_COMMANDS, 0)
    if not partitions:
        print(f"nothing to evict: no worker ever ran on this broker ({CACHE_COMMANDS})")
        return 1
    with answering(servers):
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
            for record in commanded(command, partitions):
                await producer.send_and_wait(
                    record.topic, record.value, key=record.key, partition=record.partition
                )
    print(f"the broker has it: every worker forgets {_what(command)}")
    return 0


def _what(command: Evict | EvictPrefix) -> str:
    if isinstance(command, Evict):
        return f"the customer of {mask(command.identifier)}"
    if command.prefix:
        return f"each customer whose identifier starts with {mask(command.prefix)}"
    return "all customers"
