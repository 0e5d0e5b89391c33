"""Writes dead letters through a producer of their own.

The worker's own producer is idempotent: it numbers its records, so that the broker writes each of
them once. A record that the broker refuses leaves a gap in these numbers, and the worker must
restart. Other systems choose what a dead letter holds: a refused one must not restart the worker.
"""

from posstream.dead_letters.record import cut_short
from posstream.domain.errors import PublishFailed
from posstream.kafka.record import Record
from posstream.kafka.security import Brokers
from posstream.kafka.writer import TopicWriter


class DeadLetterWriter:
    """Writes dead letters of all plugins; connects to the broker with the first one."""

    def __init__(self, brokers: Brokers) -> None:
        self._writer = TopicWriter(brokers, within_seconds=None)

    async def write(self, letter: Record) -> None:
        """Write a letter and wait for the broker's acknowledgement, for as long as that takes.

        A letter that is refused is written once more without its neighbours in the batch, because
        the broker may have refused one of those, and then once more, cut short.

        Raises:
            PublishFailed: if the broker refuses it for good.
        """
        for form, is_alone in ((letter, False), (letter, True)):
            try:
                await self._writer.write(form, is_alone=is_alone)
            except PublishFailed:
                continue
            return
        await self._writer.write(cut_short(letter), is_alone=True)

    async def close(self) -> None:
        """Close the connection. Idempotent; messages whose letters were not written come again."""
        await self._writer.close()
