"""The rows behind the GraphQL servers of the benchmarks: customers, and the lookups of an hour."""

import time
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import insert

from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, LOOKUP_ANSWERS
from benchmarks import customer_search
from benchmarks.counted_spans import count_spans
from posstream.domain.times import from_ms
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.stored_time import stored

#: Lookups before now, one a second.
LOOKUPS: Final = 1_000
#: One in so many called the directory.
_CALLS_ONE_IN: Final = 10

Rows = list[dict[str, Any]]


async def fill(url: str, customers: int) -> None:
    """Migrate an empty database, and fill it."""
    engine = create_engine(url)
    await upgrade(engine, find_plugins())
    await customer_search.fill(engine, customers)
    answers, attempts = _lookups(time.time_ns() // 1_000_000)
    async with engine.begin() as connection:
        await connection.execute(insert(LOOKUP_ANSWERS), answers)
        await connection.execute(insert(CUSTOMER_LOOKUP_LOGS), attempts)
    await count_spans(engine, (stored(it["occurred_at"]) for it in answers))
    await engine.dispose()


def _lookups(now_ms: int) -> tuple[Rows, Rows]:
    """Rows of answers, and of the attempts behind some of them."""
    now = from_ms(now_ms)
    answers: Rows = []
    attempts: Rows = []
    for number in range(LOOKUPS):
        at = now - timedelta(seconds=number)
        called = number % _CALLS_ONE_IN == 0
        answers.append(
            {
                "event_id": f"answer-{number}",
                "event_type": "CUSTOMER_DATA_FETCHED",
                "basket_id": f"basket-{number}",
                "customer_identifier": f"+4955{number:07}",
                "source": "API" if called else "CACHE",
                "identified_at": at,
                "occurred_at": at,
            }
        )
        if called:
            attempts.append(
                {
                    "event_id": f"attempt-{number}",
                    "lookup_id": f"lookup-{number}",
                    "customer_identifier": f"+4955{number:07}",
                    "status": "SUCCESS",
                    "waiters": 2,
                    "duration_ms": 20 + number % 7,
                    "request_timestamp": at,
                }
            )
    return answers, attempts
