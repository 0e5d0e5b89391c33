"""Writes the events of the web view by the producer of any plugin that runs."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from posstream.domain.errors import PublishFailed
from posstream.kafka.record import EventPublisher, Record
from posstream.streaming.publisher import FaustPublisher


class PluginsPublisher(EventPublisher):
    """Finds a producer anew for each event: apps come and go with their plugins.

    Args:
        apps: gives the apps that run now.
    """

    def __init__(self, apps: Callable[[], Iterable[Any]]) -> None:
        self._apps = apps

    async def send(self, record: Record) -> Awaitable[None]:
        """Hand a record over; see `EventPublisher.send`."""
        return await self._publisher().send(record)

    async def publish(self, record: Record) -> None:
        """Hand a record over and wait for the broker's acknowledgement; see `EventPublisher`."""
        await self._publisher().publish(record)

    def _publisher(self) -> FaustPublisher:
        for app in self._apps():
            return FaustPublisher(app)
        raise PublishFailed("no plugin runs on this worker")
