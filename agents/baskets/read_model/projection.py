"""Writes the baskets into SQL, from the changelog of their table: the newest copy of each."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.baskets.known import Known, decode
from agents.baskets.read_model.rows import row_of, traces_of, with_normal_start
from agents.baskets.read_model.schema import TILL_BASKETS
from posstream.forgetting.forgotten import ForgottenSubjects
from posstream.forgetting.marks import Marks, Trace
from posstream.read_model.ahead import Ahead
from posstream.read_model.engine import Insert
from posstream.read_model.projection import BatchProjection, ProjectedEvent, log_skipped
from posstream.read_model.rows_writer import ReadyRows, RowsWriter, written_columns
from tables.baskets import BASKET_CHANGELOG

#: Rows that are made without a pause for other tasks.
_MADE_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class _Ready:
    """The prepared rows of a batch, and the traces of persons in them."""

    traces: Sequence[Trace]
    rows: ReadyRows | None


class BasketProjection(BatchProjection):
    """The projection of the baskets, into SQLite or PostgreSQL."""

    #: Most copies are older than another one of their batch, and are not decoded.
    decoders = MappingProxyType({BASKET_CHANGELOG: bytes})

    def __init__(self, engine: AsyncEngine, **options: float) -> None:
        super().__init__(engine, **options)
        self._forgotten = ForgottenSubjects(engine)
        self._rows = RowsWriter(engine, TILL_BASKETS, _upsert)
        self._ahead = Ahead[_Ready]()

    async def prepare(self, events: Sequence[ProjectedEvent]) -> None:
        """Prepare the rows of a batch, as if nobody had been forgotten."""
        self._ahead.put(events, await self._ready(events, Marks()))

    async def write(self, connection: AsyncConnection, events: Sequence[ProjectedEvent]) -> None:
        """Write the newest copies, without the names of customers who were forgotten since."""
        await self._forgotten.lock(connection, to_forget=False)
        ready = self._ahead.take(events) or await self._ready(events, Marks())
        traces = ready.traces
        if traces and await self._forgotten.any_since(connection, min(it.at for it in traces)):
            marks = await self._forgotten.marks(connection, traces)
            if marks:
                ready = await self._ready(events, marks)
        if ready.rows is not None:
            await self._rows.write_ready(connection, ready.rows)

    async def _ready(self, events: Sequence[ProjectedEvent], marks: Marks) -> _Ready:
        baskets = newest(events)
        traces = [trace for known in baskets.values() for trace in traces_of(known.events)]
        # By key, so that two workers cannot wait for each other.
        keys, rows = sorted(baskets), []
        for start in range(0, len(keys), _MADE_AT_ONCE):
            some = keys[start : start + _MADE_AT_ONCE]
            rows += [row_of(basket_id, baskets[basket_id], marks) for basket_id in some]
            await asyncio.sleep(0)  # the batch that is being written comes first
        return _Ready(traces, self._rows.ready(rows) if rows else None)


def newest(events: Iterable[ProjectedEvent]) -> Mapping[str, Known]:
    """The newest copy of each basket. The row of a basket that has left the table does not change.

    Args:
        events: records of the changelog, those of a partition in their order. A tombstone has no
            bytes; what comes behind it is a basket begun anew, which knows less.
    """
    last: dict[tuple[bytes, int], ProjectedEvent] = {}
    left: Counter[bytes] = Counter()
    for event in events:
        key = event.key or b""
        if event.value:
            last[key, left[key]] = event
        else:
            left[key] += 1
    baskets: dict[str, Known] = {}
    for (key, _), event in last.items():
        known = decode(event.value)
        if not known.events:
            log_skipped(event, "it is no basket that this version can read")
            continue
        basket_id = key.decode()
        before = baskets.get(basket_id)
        if before is None or len(known.events) >= len(before.events):
            baskets[basket_id] = with_normal_start(known)
    return baskets


def _upsert(insert: Insert) -> Insert:
    """The higher revision wins; of two that are equal, the later one."""
    new, old = insert.excluded, TILL_BASKETS.c
    return insert.on_conflict_do_update(
        index_elements=["basket_id"],
        set_={name: new[name] for name in written_columns(TILL_BASKETS) if name != "basket_id"},
        where=new.revision >= old.revision,
    )
