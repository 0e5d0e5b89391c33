"""Counts the lookups of a filled database, as a worker does."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.counting import Counting
from agents.customer_lookup.read_model.spans import LENGTHS, spans_of
from agents.customer_lookup.read_model.uncounted import Uncounted


async def count_spans(engine: AsyncEngine, times: Iterable[str]) -> None:
    """Count the spans of rows that no projection wrote.

    Args:
        engine: the engine of the database.
        times: the stored times of answers and attempts.
    """
    async with engine.begin() as connection:
        await Uncounted(engine).write(connection, spans_of(times))
    counting = Counting(engine)
    rounds_without = 0
    while rounds_without < len(LENGTHS):
        rounds_without = 0 if await counting.round() else rounds_without + 1
