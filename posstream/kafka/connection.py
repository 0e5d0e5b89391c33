"""Makes every aiokafka client but those of Faust."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.client_options import security_options
from posstream.kafka.refusals import sentence_of
from posstream.kafka.security import Brokers
from posstream.kafka.topics import DEAD_LETTER_MAX_BYTES

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
    return aiokafka.AIOKafkaConsumer(**_connecting(brokers), **chosen)


def producer_of(brokers: Brokers, *, request_ms: int) -> Any:
    """An `AIOKafkaProducer` with acks=all; not started."""
    return aiokafka.AIOKafkaProducer(
        **_connecting(brokers),
        acks="all",
        linger_ms=_LINGER_MS,
        max_batch_size=_BATCH_BYTES,
        max_request_size=DEAD_LETTER_MAX_BYTES,
        request_timeout_ms=request_ms,
    )


def admin_of(brokers: Brokers) -> Any:
    """An `AIOKafkaAdminClient`; not started."""
    return AIOKafkaAdminClient(**_connecting(brokers))


@asynccontextmanager
async def asking(brokers: Brokers) -> AsyncIterator[Any]:
    """A connected `AIOKafkaClient`, for requests that the others do not send."""
    client = AIOKafkaClient(**_connecting(brokers))
    try:
        await client.bootstrap()
        yield client
    finally:
        await client.close()


def _connecting(brokers: Brokers) -> dict[str, Any]:
    return {"bootstrap_servers": list(brokers), **security_options(brokers)}


@asynccontextmanager
async def administering(brokers: Brokers) -> AsyncIterator[Any]:
    """A connected `AIOKafkaAdminClient`.

    Raises:
        BrokerUnreachable: if no broker answers, or it fails while it is asked.
    """
    admin = admin_of(brokers)
    try:
        async with answering(brokers):
            await admin.start()
            yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def answering(brokers: Brokers) -> AsyncIterator[None]:
    """Turn any error of the network or of Kafka in the block into one sentence.

    Raises:
        BrokerUnreachable: instead of those errors.
    """
    try:
        yield
    except (KafkaError, OSError) as why:
        raise BrokerUnreachable(await sentence_of(brokers, why)) from why
