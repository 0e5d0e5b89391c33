"""A read model that has the customers of the cache, as it has in a shop after some days."""

from collections.abc import Iterator, Sequence
from typing import Final

from agents.customer_lookup import topics
from agents.customer_lookup.read_model.rows import Batch
from agents.customer_lookup.read_model.schema import CUSTOMER_IDENTIFIERS, CUSTOMERS
from agents.customer_lookup.read_model.written_answers import read_found
from benchmarks.cache_entries import document, identifier
from benchmarks.contestants.answers import Known, Moment
from posstream.read_model.engine import create_engine
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.rows_writer import RowsWriter

#: Customers in a transaction.
_AT_ONCE: Final = 10_000


async def write_customers(url: str, count: int, fetched_at_ms: int) -> None:
    """Write what the first answer about each customer leaves, except the rows of the answer.

    Args:
        url: of a migrated database; no worker writes it.
        count: of the customers.
        fetched_at_ms: as the cache has it.
    """
    engine = create_engine(url, bulk=True)
    writers = [
        (table, RowsWriter(engine, table, lambda it: it.on_conflict_do_nothing()))
        for table in (CUSTOMERS, CUSTOMER_IDENTIFIERS)
    ]
    try:
        for start in range(0, count, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, count))
            batch = Batch()
            batch.take_all(_answers(numbers, fetched_at_ms))
            async with engine.begin() as connection:
                for table, writer in writers:
                    await writer.write(connection, batch.in_order(table))
    finally:
        await engine.dispose()


def _answers(numbers: Sequence[int], fetched_at_ms: int) -> Iterator[ProjectedEvent]:
    moment = Moment()
    for number in numbers:
        event = {
            "event_id": f"known-{number}",
            "basket_id": f"known-{number}",
            "customer_identifier": identifier(number),
            "occurred_at": "2026-01-31T09:00:00.000Z",
        }
        _, text, _ = moment.full(event, Known.of(document(number), fetched_at_ms))
        yield ProjectedEvent(topics.CUSTOMER_DATA_FETCHED, read_found(text))
