"""Marks spans of time whose rows have changed, so that they are counted again."""

from collections.abc import Collection
from random import getrandbits
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.schema import LOOKUP_COUNTS
from posstream.read_model.engine import Insert
from posstream.read_model.rows_writer import RowsWriter

#: The bits of a mark: a random number that differs from write to write.
_MARK_BITS: Final = 62


class Uncounted:
    """Writes into `lookup_counts` which spans are to be counted again.

    Args:
        engine: from `engine.create_engine`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._writer = RowsWriter(engine, LOOKUP_COUNTS, _upsert)

    async def write(self, connection: AsyncConnection, spans: Collection[str]) -> None:
        """Mark spans, as the last write of the transaction that changes their rows.

        Other projections wait for the newest spans until the transaction ends.
        """
        mark = getrandbits(_MARK_BITS)
        rows = [{"span": span, "mark": mark, "counts": None} for span in sorted(spans)]
        if rows:
            await self._writer.write(connection, rows)


def _upsert(insert: Insert) -> Insert:
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["span"], set_={"mark": new.mark, "counts": new.counts}
    )
