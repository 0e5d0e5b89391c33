"""Faust's table in our store: written outside of streams too, and knows what the broker has.

Faust takes a table's partition from the present event of a stream. But when a call ends, the stream
may be at a later event, or there is no stream at all. So `put_at` and `remove_at` name the
partition by a stand-in for the event.
"""

import asyncio
import sys
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import faust
from faust.streams import _current_event
from faust.types import TP

from posstream.domain.errors import StartRefused, StorageFailed
from posstream.streaming.patches.store import Store


@dataclass(slots=True, weakref_slot=True)
class _StandIn:
    """Stands for a stream's event: Faust asks it which partition of the table is meant."""

    message: "_StandInMessage"


@dataclass(slots=True)
class _StandInMessage:
    topic: str
    partition: int


@contextmanager
def _standing_in(tp: TP) -> Iterator[None]:
    event = _StandIn(_StandInMessage(*tp))  # Faust holds it weakly
    token = _current_event.set(weakref.ref(event))
    try:
        yield
    finally:
        _current_event.reset(token)


class Table(faust.Table):
    """A table in our store, that knows which of its changes the broker has.

    Args:
        hot_bytes: the memory for values that all its partitions keep, in bytes; each
            partition has its share.
    """

    def __init__(self, *args: Any, hot_bytes: int = 0, **options: Any) -> None:
        self._hot_bytes = hot_bytes
        #: Changes that upstream hands over.
        self._unacknowledged: set[asyncio.Future[Any]] = set()
        #: Batches with changes -> the place of the last one in the batch.
        self._batches: dict[asyncio.Future[int], int] = {}
        super().__init__(*args, **options)

    def send_changelog(self, *args: Any, **options: Any) -> Any:
        """Send a change; see `acknowledged`."""
        future = super().send_changelog(*args, **options)
        self._unacknowledged.add(future)
        future.add_done_callback(self._unacknowledged.discard)
        return future

    def _verify_source_topic_partitions(self, source_topic: str) -> None:
        """Do nothing: upstream ends the worker at its next write after partitions were added.

        An entry's partition follows from its key, so added partitions are no reason to stop: see
        `co_partitioning`.
        """

    async def acknowledged(self) -> None:
        """Wait until the broker has every change that was made so far.

        Raises:
            KafkaError: if it refused one.
        """
        waiting = [*self._unacknowledged, *self._batches]
        if waiting:
            # Not `gather`: it would cancel batches that others wait for.
            await asyncio.wait(waiting)
        for each in waiting:
            each.result()

    def put_at(self, tp: TP, key: bytes, value: bytes) -> None:
        """Keep a value in the partition of a source topic's partition, outside of any stream.

        The change goes straight into the producer's batch. On upstream's way there, each
        change costs a message, two futures, a queue, and a write of the offset.
        """
        if self._hand_over(tp, key, value):
            self.data.write(tp.partition, key, value)

    def put_all_at(self, tp: TP, values: Mapping[bytes, bytes]) -> dict[bytes, Exception]:
        """Keep values as `put_at` does; the store writes them together.

        Returns:
            by key, why a value was not kept; empty if all were.
        """
        handed_over: dict[bytes, bytes] = {}
        refused: dict[bytes, Exception] = {}
        for key, value in values.items():
            try:
                if self._hand_over(tp, key, value):
                    handed_over[key] = value
            except Exception as why:  # noqa: BLE001 - no value may hold up the others
                refused[key] = why
        if handed_over:
            try:
                self.data.write_all(tp.partition, handed_over)
            except StorageFailed as why:
                refused |= dict.fromkeys(handed_over, why)
        return refused

    def _hand_over(self, tp: TP, key: bytes, value: bytes) -> bool:
        """Give a change to the producer.

        Returns:
            False if it went upstream's way, which has stored the value too.
        """
        put = None
        if not self._unacknowledged:  # a change must not pass an earlier one of its key
            producer, topic = self.app.producer, self.changelog_topic.get_topic_name()
            put = producer.put(topic, key, value, tp.partition, [])
        if put is None:
            with _standing_in(tp):
                self[key] = value
            return False
        batch, place = put
        if batch not in self._batches:
            changelog = TP(topic, tp.partition)
            batch.add_done_callback(lambda written: self._note_written(changelog, written))
        self._batches[batch] = place
        return True

    def _note_written(self, changelog: TP, batch: "asyncio.Future[int]") -> None:
        """Note how far the store has the changelog, once for all changes of a batch."""
        place = self._batches.pop(batch)
        # Without an offset the broker had the batch before: its first answer was lost.
        if not batch.cancelled() and batch.exception() is None and batch.result() >= 0:
            self.data.set_persisted_offset(changelog, batch.result() + place)

    def remove_at(self, tp: TP, key: bytes) -> bool:
        """Remove a key, from the changelog too (a tombstone); False if there was none."""
        with _standing_in(tp):
            # This `get` also tells Faust in which partition it has to delete.
            if self.get(key) is None:
                return False
            del self[key]
        return True

    def is_assigned(self, topic: str, partition: int) -> bool:
        """Whether this worker has a partition; `assigned_actives` would build a set of them all."""
        return partition in self.app.assignor._assignment.actives.get(topic, ())

    def reset_state(self) -> None:
        """Delete the table's files (`faust reset`), unless a worker has the data directory."""
        try:
            self.app.membership.claim()
        except StartRefused as why:
            sys.exit(f"error: {why}")
        super().reset_state()

    def _new_store_by_url(self, url: Any) -> Store:
        return Store(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
            hot_bytes=self._hot_bytes // self.partitions,
        )
