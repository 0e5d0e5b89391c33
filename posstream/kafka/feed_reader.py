"""Reads topics for the subscribers of this worker.

Without a group: each worker needs every event, because anybody may have subscribed to any worker.
Without Faust: an agent would read them without subscribers, too, and go on at its last offset.
"""

from posstream.kafka.event_feed import EventFeed
from posstream.kafka.reader import GrouplessReader
from posstream.kafka.security import Brokers


class FeedReader:
    """Reads topics while there are subscribers, beginning with the first one.

    Args:
        servers: host:port of each broker.
        feed: gets the records.
        topics: which.
        name: of its task.
    """

    def __init__(self, servers: Brokers, feed: EventFeed, *topics: str, name: str) -> None:
        self._reader = GrouplessReader(servers, *topics)
        self._feed = feed
        self._name = name
        self._fetch_wait_ms = 0

    async def open(self, *, fetch_wait_ms: int) -> None:
        """Start to read for subscribers; wait for a broker that is away.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back.
        """
        self._fetch_wait_ms = fetch_wait_ms
        self._reader.follow(self._read, name=self._name)

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
