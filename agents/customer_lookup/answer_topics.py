"""The two answer topics on Kafka, read for the subscribers of this worker.

Without a group: each worker needs every answer, because any till may have subscribed to any worker.
Without Faust: an agent would read them without subscribers, too, and go on at its last offset.
"""

from agents.customer_lookup.answer_feed import AnswerFeed
from agents.customer_lookup.topics import CUSTOMER_DATA_FETCHED, CUSTOMER_LOOKUP_FAILED
from posstream.kafka.connection import Brokers
from posstream.kafka.reader import GrouplessReader


class AnswerReader:
    """Reads the answer topics while there are subscribers, beginning with the first one."""

    def __init__(self, servers: Brokers, feed: AnswerFeed) -> None:
        self._reader = GrouplessReader(servers, CUSTOMER_DATA_FETCHED, CUSTOMER_LOOKUP_FAILED)
        self._feed = feed
        self._fetch_wait_ms = 0

    async def open(self, *, fetch_wait_ms: int) -> None:
        """Start to read for subscribers; wait for a broker that is away.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back.
        """
        self._fetch_wait_ms = fetch_wait_ms
        self._reader.follow(self._read, name="answers")

    async def close(self) -> None:
        """Read no more. Idempotent."""
        await self._reader.close()

    async def _read(self) -> None:
        if not self._feed.is_wanted:
            self._feed.pause()
            await self._reader.disconnect()
            await self._feed.wanted()
        if not self._reader.is_connected:
            if not self._feed.flows:
                self._reader.forget_place()
            await self._reader.connect(fetch_wait_ms=self._fetch_wait_ms)
        if not self._feed.flows:
            await self._reader.skip_to_the_end()
            self._feed.begin()
        for record in await self._reader.fetch():
            self._feed.take(record.key, record.value)
