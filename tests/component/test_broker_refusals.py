"""Why a broker lets nobody in, in one sentence. Real refusals are in tests/integration/secured."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from posstream.domain.errors import BrokerUnreachable, StartRefused
from posstream.kafka.connection import answering
from posstream.kafka.embedded_broker import free_port
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.refusals import refusal_of, sentence_of


@contextlib.asynccontextmanager
async def closing() -> AsyncIterator[str]:
    """A server that closes connections, like a broker that starts or wants another security."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4)
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_broker_that_closes_the_connection_may_be_starting() -> None:
    async with closing() as server:
        refusal = await refusal_of([server])
    assert refusal is not None
    assert not refusal.lasts
    assert refusal.sentence == (
        f"the broker at {server} closes the connection, maybe because it wants another security: "
        "see POSSTREAM_BROKER_SECURITY"
    )


async def test_a_start_says_so_once_its_patience_is_over() -> None:
    async with closing() as server:
        with pytest.raises(StartRefused, match="see POSSTREAM_BROKER_SECURITY"):
            await prepare_topics([server], [], partitions=1, replication=1, patience_seconds=0)


async def test_nobody_there_is_no_refusal() -> None:
    server = f"127.0.0.1:{free_port()}"
    assert await refusal_of([server]) is None
    assert await sentence_of([server], KafkaConnectionError()) == (
        f"the Kafka broker at {server} does not answer (KafkaConnectionError): see POSSTREAM_BROKER"
    )


async def test_a_right_that_a_command_misses() -> None:
    with pytest.raises(BrokerUnreachable) as refused:
        async with answering(["one:9092"]):
            raise TopicAuthorizationFailedError("pos-events")
    assert str(refused.value) == (
        "the broker at one:9092 refuses: a right is missing (TopicAuthorizationFailedError: "
        "pos-events); see docs/how-to/secure-the-broker.md"
    )
