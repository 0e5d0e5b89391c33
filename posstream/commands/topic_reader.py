"""A topic read to its end by a command."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from posstream.kafka import topic_reader as adapter
from posstream.kafka.topic_reader import TopicReader
from posstream.streaming import patches

__all__ = ["TopicReader", "topic_reader"]


@asynccontextmanager
async def topic_reader(servers: Sequence[str]) -> AsyncIterator[TopicReader]:
    """Connect.

    Raises:
        BrokerUnreachable: if no broker answers, or it fails while it is read.
    """
    patches.install()  # a foreign record's header name may be no UTF-8
    async with adapter.topic_reader(servers) as reader:
        yield reader
