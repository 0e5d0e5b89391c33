"""A message for a topic, and the interface that publishes it."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)  # not frozen: a frozen one takes four times as long to make
class Record:
    """One message for a topic. `partition` None: by the key, as Kafka's clients do."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


class EventPublisher(Protocol):
    """Publishes records to topics."""

    async def send(self, record: Record) -> Awaitable[None]:
        """Hand a record over; the result completes when the broker acknowledged it (acks=all).

        Raises:
            PublishFailed: from either await, when the broker did not take it.
        """
        ...

    async def publish(self, record: Record) -> None:
        """Hand a record over and wait for the broker's acknowledgement, but not for long.

        Raises:
            PublishFailed: when the broker did not take it in time; in rare cases it does later.
        """
        ...
