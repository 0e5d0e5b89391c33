"""Writes the baskets into SQL, from the changelog of their table: the newest copy of each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.baskets.known import Known, decode
from agents.baskets.read_model.rows import row_of, traces_of, with_normal_start
from agents.baskets.read_model.schema import TILL_BASKETS
from posstream.forgetting.forgotten import ForgottenSubjects
from posstream.forgetting.marks import Marks
from posstream.read_model.engine import Insert
from posstream.read_model.projection import BatchProjection, ProjectedEvent, log_skipped
from posstream.read_model.rows_writer import RowsWriter, written_columns
from tables.baskets import BASKET_CHANGELOG


class BasketProjection(BatchProjection):
    """The projection of the baskets, into SQLite or PostgreSQL."""

    #: Most copies are older than another one of their batch, and are not decoded.
    decoders = MappingProxyType({BASKET_CHANGELOG: bytes})

    def __init__(self, engine: AsyncEngine, **options: float) -> None:
        super().__init__(engine, **options)
        self._forgotten = ForgottenSubjects(engine)
        self._rows = RowsWriter(engine, TILL_BASKETS, _upsert)

    async def write(self, connection: AsyncConnection, events: Sequence[ProjectedEvent]) -> None:
        """Write the newest copies, without the names of customers who were forgotten since."""
        baskets = newest(events)
        traces = [trace for known in baskets.values() for trace in traces_of(known.events)]
        marks = Marks()
        await self._forgotten.lock(connection, to_forget=False)
        if traces and await self._forgotten.any_since(connection, min(it.at for it in traces)):
            marks = await self._forgotten.marks(connection, traces)
        # By key, so that two workers cannot wait for each other.
        rows = [row_of(basket_id, known, marks) for basket_id, known in sorted(baskets.items())]
        if rows:
            await self._rows.write(connection, rows)


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
