"""An aiokafka client that notices within seconds that a broker has frozen.

aiokafka's consumer gives every request as much time as a join, which may last as long as a
rebalance. So a broker that freezes, or is cut off, keeps fetches, heartbeats and metadata requests
waiting for a minute and a half, even if other brokers took over its partitions at once.
"""

import asyncio
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.consumer import consumer
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.group import HeartbeatRequest

#: How long a heartbeat may take, and any request that is not about groups.
REQUEST_SECONDS: Final = 10


class Client(AIOKafkaClient):
    """aiokafka's client, with short timeouts for all but group requests."""

    def __init__(self, *, request_timeout_ms: int, **options: Any) -> None:
        super().__init__(
            request_timeout_ms=min(request_timeout_ms, REQUEST_SECONDS * 1000), **options
        )
        self._group_seconds = request_timeout_ms / 1000

    async def _get_conn(
        self, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, **options: Any
    ) -> Any:
        conn = await super()._get_conn(node_id, group=group, **options)
        if conn is not None and group == ConnectionGroup.COORDINATION:
            conn._request_timeout = self._group_seconds
        return conn

    async def send(
        self, node_id: Any, request: Any, *, group: Any = ConnectionGroup.DEFAULT
    ) -> Any:
        """Send a request; a heartbeat that is not answered closes the connection.

        No heartbeat is sent during a join, so no join is broken off. Other requests that wait for
        the coordinator fail too, and are sent to the next one.
        """
        if not isinstance(request, HeartbeatRequest):
            return await super().send(node_id, request, group=group)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await super().send(node_id, request, group=group)
        except TimeoutError as why:
            conn = self._conns.get((node_id, group))
            if conn is not None:
                conn.close(reason=CloseReason.CONNECTION_TIMEOUT)
            raise RequestTimedOutError from why


def leave_at_stop(consumer: Any) -> None:
    """Let a consumer leave its group when it stops, so that others go on at once.

    aiokafka stays in the group for the whole session timeout if the consumer has a name, or if its
    generation is 0, as the first one is on the embedded broker. Call this just before the stop.
    """
    coordinator = consumer._coordinator
    if coordinator is not None:
        coordinator._group_instance_id = None
        coordinator.generation = coordinator.generation or 1


def install() -> None:
    """Make aiokafka's consumers of this process use `Client`."""
    consumer.AIOKafkaClient = Client
