"""Makes every aiokafka client but those of Faust."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.topics import DEAD_LETTER_MAX_BYTES

#: Where the brokers are: host:port of each.
Brokers = Sequence[str]

#: How long it may take to see partitions that were added to a topic.
_METADATA_MS: Final = 10_000
#: How long a record waits for others to share its batch.
_LINGER_MS: Final = 5
_BATCH_BYTES: Final = 262_144


def consumer_of(brokers: Brokers, **options: Any) -> Any:
    """An `AIOKafkaConsumer` of committed records; not started.

    It reads any header names once `patches.install` was called at the start of the process.
    """
    chosen = {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "metadata_max_age_ms": _METADATA_MS,
        "max_partition_fetch_bytes": 2 * DEAD_LETTER_MAX_BYTES,
        **options,
    }
    return aiokafka.AIOKafkaConsumer(bootstrap_servers=list(brokers), **chosen)


def producer_of(brokers: Brokers, *, request_ms: int) -> Any:
    """An `AIOKafkaProducer` with acks=all; not started."""
    return aiokafka.AIOKafkaProducer(
        bootstrap_servers=list(brokers),
        acks="all",
        linger_ms=_LINGER_MS,
        max_batch_size=_BATCH_BYTES,
        max_request_size=DEAD_LETTER_MAX_BYTES,
        request_timeout_ms=request_ms,
    )


def admin_of(brokers: Brokers) -> Any:
    """An `AIOKafkaAdminClient`; not started."""
    return AIOKafkaAdminClient(bootstrap_servers=list(brokers))


@asynccontextmanager
async def administering(brokers: Brokers) -> AsyncIterator[Any]:
    """A connected `AIOKafkaAdminClient`.

    Raises:
        BrokerUnreachable: if no broker answers, or it fails while it is asked.
    """
    admin = admin_of(brokers)
    try:
        with answering(brokers):
            await admin.start()
            yield admin
    finally:
        await admin.close()


@contextmanager
def answering(brokers: Brokers) -> Iterator[None]:
    """Turn any error of the network or of Kafka in the block into one sentence.

    Raises:
        BrokerUnreachable: instead of those errors.
    """
    try:
        yield
    except (KafkaError, OSError) as why:
        raise BrokerUnreachable(
            f"the Kafka broker at {', '.join(brokers)} does not answer ({type(why).__name__}): "
            "see POSSTREAM_BROKER"
        ) from why
