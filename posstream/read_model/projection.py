"""Projections, which write events into the read model: the interface and its base class."""

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import StaticPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.logs.noise import ONCE_A_MINUTE
from posstream.read_model.refusals import RowsRefused, refusals_told

log = logging.getLogger(__name__)

#: Seconds after which a transaction is given up: a dead connection or a foreign lock would hold
#: it for ever.
_PATIENCE_SECONDS: Final = 60.0


#: After a longer transaction a projection leaves the lock of a SQLite file to other writers.
_LONG_SECONDS: Final = 0.1
#: For how long: another writer looks every 10 ms at least (`engine._LOOK_MS`).
_LEFT_SECONDS: Final = 0.02


class ProjectedEvent(msgspec.Struct, frozen=True, gc=False):
    """A decoded record of one of the projected topics."""

    topic: str
    #: The JSON object, or what the projection's own decoder made of the record.
    value: Any
    #: Partition and offset of the record, as far as they are known.
    partition: int | None = None
    offset: int | None = None
    key: bytes | None = None

    @property
    def place(self) -> str:
        """Topic, partition and offset, for the log."""
        return self.topic if self.offset is None else f"{self.topic}/{self.partition}/{self.offset}"


Decoders = Mapping[str, Callable[[bytes], Any]]
NO_DECODERS: Final[Decoders] = MappingProxyType({})


class Projection(Protocol):
    """Writes events into the read model: idempotent, and guarded against older data."""

    #: By topic, a reader of its records: a faster one, or one of records that are no JSON. It gets
    #: a tombstone as no bytes. What it returns is the event's `value`; where it returns None,
    #: `read_json_exactly` reads the record.
    decoders: Decoders = NO_DECODERS

    async def prepare(self, events: Sequence[ProjectedEvent]) -> None:
        """Prepare the rows of a batch while another one is written.

        `apply` of the same list object uses them. Without them, as when this failed, it makes them.
        """
        del events  # by default nothing is prepared

    async def apply(self, events: Sequence[ProjectedEvent]) -> None:
        """Write a batch; order within the batch does not matter, but for one partition's.

        Raises:
            Exception: from the database, for what may pass: the caller tries the batch again. An
                event that can never be written is logged and skipped.
        """
        ...


class BatchProjection(Projection):
    """A projection that writes each batch in one transaction.

    Args:
        engine: from `engine.create_engine`, migrated.
        patience_seconds: after which a transaction is given up.
    """

    def __init__(self, engine: AsyncEngine, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._engine = engine
        self._patience_seconds = patience_seconds
        self._has_one_writer = engine.dialect.name == "sqlite"
        #: As for a SQLite database in memory: nothing may be read while a batch is written.
        self._has_one_connection = isinstance(engine.pool, StaticPool)

    @abstractmethod
    async def write(self, connection: AsyncConnection, events: Sequence[ProjectedEvent]) -> None:
        """Write the rows of a batch within a transaction; log and skip an unusable event."""

    def committed(self) -> None:
        """Take note that the transaction of the last `write` was committed."""

    async def apply(self, events: Sequence[ProjectedEvent]) -> None:
        """Write a batch in one transaction; order within the batch does not matter.

        One call at a time. An event whose rows the database refuses is logged without its content
        and skipped. To find it a batch is halved, each half in a transaction of its own.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: from the database, for what may pass: try again.
        """
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(self._patience_seconds),
                self._engine.begin() as connection,
            ):
                with refusals_told():
                    await self.write(connection, events)
            self.committed()
            if self._has_one_writer and time.monotonic() - began > _LONG_SECONDS:
                await asyncio.sleep(_LEFT_SECONDS)
        except RowsRefused as why:
            if len(events) == 1:
                log_skipped(events[0], str(why))
                return
            middle = len(events) // 2
            await self.apply(events[:middle])
            await self.apply(events[middle:])


def log_skipped(event: ProjectedEvent, why: str) -> None:
    """Log that an event leaves no row, without its content."""
    log.warning("skipped an event of %s: %s", event.place, why, extra=ONCE_A_MINUTE)
