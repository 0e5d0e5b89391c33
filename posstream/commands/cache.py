"""`posstream cache`: forget cached customers, through the topic that every worker reads."""

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from posstream import events
from posstream.domain.cache_maintenance import Evict, EvictPrefix
from posstream.domain.errors import BrokerUnreachable
from posstream.domain.payment_card import mask
from posstream.settings import Settings
from posstream.streaming.preflight import partition_counts
from posstream.topics import CACHE_COMMANDS


async def evict(settings: Settings, command: Evict | EvictPrefix) -> int:
    """Publish an eviction and say when the broker has it; the workers do it at once after that.

    Returns:
        0 when it is acknowledged, 1 if no worker has ever run on this broker.

    Raises:
        BrokerUnreachable: if no broker answers, or it does not acknowledge.
    """
    try:
        partitions = await _partitions(settings)
        if not partitions:
            print(f"nothing to evict: no worker ever ran on this broker ({CACHE_COMMANDS})")
            return 1
        async with aiokafka.AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap_servers, acks="all"
        ) as producer:
            for record in events.commanded(command, partitions):
                await producer.send_and_wait(
                    record.topic, record.value, key=record.key, partition=record.partition
                )
    except (KafkaError, OSError) as why:
        raise BrokerUnreachable(
            f"the Kafka broker at {', '.join(settings.bootstrap_servers)} does not answer "
            f"({type(why).__name__}): see POSSTREAM_BROKER"
        ) from why
    print(f"the broker has it: every worker forgets {_what(command)}")
    return 0


async def _partitions(settings: Settings) -> int:
    """The topic's partitions; 0 if there is no such topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    try:
        await admin.start()
        return (await partition_counts(admin, [CACHE_COMMANDS])).get(CACHE_COMMANDS, 0)
    finally:
        await admin.close()


def _what(command: Evict | EvictPrefix) -> str:
    if isinstance(command, Evict):
        return f"the customer of {mask(command.identifier)}"
    if command.prefix:
        return f"each customer whose identifier starts with {mask(command.prefix)}"
    return "all customers"
