"""The broker as a command meets it: whether it answers, and which topics it has."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from posstream.domain.errors import BrokerUnreachable
from posstream.streaming.preflight import partition_counts


@contextmanager
def answering(servers: Sequence[str]) -> Iterator[None]:
    """What is done within fails with one sentence if the broker does not answer.

    Raises:
        BrokerUnreachable: instead of any error of the network or of Kafka.
    """
    try:
        yield
    except (KafkaError, OSError) as why:
        raise BrokerUnreachable(
            f"the Kafka broker at {', '.join(servers)} does not answer ({type(why).__name__}): "
            "see POSSTREAM_BROKER"
        ) from why


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
