"""The broker as a command meets it: which topics it has."""

from collections.abc import Iterable, Sequence

from aiokafka.admin import AIOKafkaAdminClient

from posstream.kafka.answering import answering
from posstream.kafka.preflight import partition_counts


async def partitions_of(servers: Sequence[str], topics: Iterable[str]) -> dict[str, int]:
    """Topic -> partitions, for those that there are.

    Raises:
        BrokerUnreachable: if no broker answers.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=list(servers))
    try:
        with answering(servers):
            await admin.start()
            return await partition_counts(admin, topics)
    finally:
        await admin.close()
