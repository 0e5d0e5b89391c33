"""The rows behind the console's pages: customers, and ten days of lookups, baskets and alerts."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.baskets.known import Known
from agents.baskets.read_model.rows import row_of as basket_row
from agents.baskets.read_model.schema import TILL_BASKETS
from agents.customer_lookup.read_model.schema import (
    BASKETS,
    CUSTOMER_LOOKUP_LOGS,
    LOOKUP_ANSWERS,
)
from agents.fraud_detection.events.outputs import FraudEpisode
from agents.fraud_detection.read_model.rows import row_of as alert_row
from agents.fraud_detection.read_model.schema import FRAUD_ALERTS
from benchmarks import customer_search
from benchmarks.choice import asked_for
from benchmarks.counted_spans import count_spans
from posstream.domain.times import from_ms
from posstream.forgetting.marks import Marks
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.rows_writer import RowsWriter
from posstream.read_model.stored_time import stored
from tests.component.basket_copies import PURCHASE
from tests.component.fraud_alerts import alert

CUSTOMERS: Final = 100_000
LOOKUPS: Final = 1_000_000
#: The newest lookups bought something, and some of them look like fraud.
_PURCHASES: Final = 100_000
_ALERTS: Final = 10_000
_DAYS: Final = 10
TILLS: Final = 200
EMPLOYEES: Final = 500
#: Versions of the configuration, one after the other.
VERSIONS: Final = 20
_BATCH: Final = 4_000
#: One lookup in so many called the directory, was answered by the stale cache, was for an unknown
#: customer, or failed.
_CALLED, _STALE, _UNKNOWN, _FAILED = 10, 211, 53, 101

Row = dict[str, Any]


async def fill(url: str, *, customers: int = CUSTOMERS, lookups: int = LOOKUPS) -> int:
    """Migrate an empty database, and fill it.

    Args:
        url: of the database.
        customers: in it, each with two identifiers.
        lookups: the answers of ten days up to now, each for a basket of its own.

    Returns:
        The time of the newest lookup, in ms since 1970: it is now.
    """
    engine = create_engine(url)
    await upgrade(engine, find_plugins())
    await customer_search.fill(engine, customers)
    now_ms = time.time_ns() // 1_000_000
    now = from_ms(now_ms)

    def rows(make: Callable[[int, datetime, int], Row]) -> Callable[[int], Row]:
        step = timedelta(days=_DAYS) / lookups
        return lambda number: make(
            number, now - (lookups - 1 - number) * step, asked_for(number, customers)
        )

    calls = (number for number in range(lookups) if _is_call(number))
    await _write(engine, BASKETS, map(rows(_basket), range(lookups)))
    await _write(engine, LOOKUP_ANSWERS, map(rows(_answer), range(lookups)))
    await _write(engine, CUSTOMER_LOOKUP_LOGS, map(rows(_attempt), calls))
    newest = range(max(0, lookups - _PURCHASES), lookups)
    await _write(engine, TILL_BASKETS, map(rows(_purchases()), newest))
    newest = range(max(0, lookups - _ALERTS), lookups)
    await _write(engine, FRAUD_ALERTS, map(rows(_alerts()), newest))
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("ANALYZE"))
        if engine.dialect.name == "postgresql":
            # As autovacuum leaves it: without it, an index-only scan reads the table, too.
            await connection.execute(text("VACUUM"))
    step = timedelta(days=_DAYS) / lookups
    await count_spans(engine, (stored(now - number * step) for number in range(lookups)))
    await engine.dispose()
    return now_ms


async def _write(engine: AsyncEngine, table: Table, rows: Iterator[Row]) -> None:
    writer = RowsWriter(engine, table, lambda insert: insert.on_conflict_do_nothing())
    while batch := list(islice(rows, _BATCH)):
        async with engine.begin() as connection:
            await writer.write(connection, batch)


def basket_id(number: int) -> str:
    """The basket of a lookup."""
    return f"basket-{number:07}"


def customer_id(customer: int) -> str:
    """As `customer_search` names its customers."""
    return f"CUST_{customer:07}"


def phone(customer: int) -> str:
    """As above."""
    return f"+4955{customer:07}"


def till(number: int) -> dict[str, str]:
    """Till and employee of a lookup."""
    return {
        "terminal_id": f"till-{number % TILLS:03}",
        "employee_id": str(1_000 + number % EMPLOYEES),
    }


def _is_call(number: int) -> bool:
    return any(number % it == 0 for it in (_CALLED, _STALE, _FAILED))


def _basket(number: int, at: datetime, customer: int) -> Row:
    return {
        "basket_id": basket_id(number),
        "customer_id": customer_id(customer),
        "started_at": stored(at - timedelta(seconds=30)),
        "identified_at": stored(at),
        "identified_by": f"answer-{number}",
        **till(number),
    }


def _answer(number: int, at: datetime, customer: int) -> Row:
    source: str | None = "API" if number % _CALLED == 0 else "CACHE"
    reason = None
    if number % _STALE == 0:
        source = "STALE_CACHE"
    elif number % _FAILED == 0:
        source, reason = None, ("TIMEOUT", "API_ERROR", "CIRCUIT_OPEN")[number % 3]
    elif number % _UNKNOWN == 0:
        reason = "NOT_FOUND"
    found = reason is None
    return {
        "event_id": f"answer-{number}",
        "lookup_id": f"lookup-{number}",
        "event_type": "CUSTOMER_DATA_FETCHED" if found else "CUSTOMER_LOOKUP_FAILED",
        "basket_id": basket_id(number),
        "customer_identifier": phone(customer),
        "identifier_kind": "PHONE",
        "customer_id": customer_id(customer) if found else None,
        "source": source,
        "reason": reason,
        "error_message": None if found else "no customer",
        "attempts": int(_is_call(number)),
        "duration_ms": 20 if _is_call(number) else 1,
        "age_ms": 60_000 if found else None,
        "config_version": 1 + number * VERSIONS // LOOKUPS,
        "fetched_at": stored(at - timedelta(minutes=1)) if found else None,
        "fresh_until": stored(at + timedelta(minutes=59)) if found else None,
        "identified_at": stored(at),
        "occurred_at": stored(at),
    }


def _attempt(number: int, at: datetime, customer: int) -> Row:
    status, http = "SUCCESS", 200
    if number % _FAILED == 0:
        status, http = "FAILED", 503
    elif number % _UNKNOWN == 0:
        status, http = "NOT_FOUND", 404
    return {
        "event_id": f"attempt-{number}",
        "lookup_id": f"lookup-{number}",
        "attempt": 1,
        "waiters": 1,
        "basket_id": basket_id(number),
        "customer_identifier": phone(customer),
        "identifier_kind": "PHONE",
        "api_endpoint": f"https://{('one', 'two')[number * 2 // LOOKUPS]}.directory.test/",
        "call_started_at": stored(at),
        "request_timestamp": stored(at),
        "response_timestamp": stored(at + timedelta(milliseconds=20)),
        "status": status,
        "http_status": http,
        "response_data": {"customer_id": customer_id(customer)},
        "error_message": None if http == 200 else f"HTTP {http}",  # noqa: PLR2004
        "duration_ms": 20,
        "customer_id": customer_id(customer),
    }


def _purchases() -> Callable[[int, datetime, int], Row]:
    """Makes the till's basket of a lookup: always the same purchase, of somebody else."""
    bought = basket_row("", Known(events=PURCHASE), Marks())

    def purchase(number: int, at: datetime, customer: int) -> Row:
        return {
            **bought,
            "basket_id": basket_id(number),
            "status": "OPEN" if number % 50 == 0 else bought["status"],
            "customer_id": customer_id(customer),
            "customer_identifier": phone(customer),
            "started_at": stored(at - timedelta(seconds=30)),
            "completed_at": stored(at),
            **till(number),
        }

    return purchase


def _alerts() -> Callable[[int, datetime, int], Row]:
    """Makes an alert that names the basket of a lookup."""
    document = alert()
    episode = {
        "alert": document,
        "rule_state": "ACTIVE",
        "snoozed": False,
        "hits": 1,
        "last_hit_at": document["occurred_at"],
        "revision": 1,
    }
    same = alert_row(msgspec.convert(episode, FraudEpisode), Marks())

    def made(number: int, at: datetime, customer: int) -> Row:
        return {
            **same,
            "alert_id": f"alert-{number}",
            "severity": ("LOW", "MEDIUM", "HIGH")[number % 3],
            "basket_id": basket_id(number),
            "customer_id": customer_id(customer),
            "occurred_at": stored(at),
            "last_hit_at": stored(at),
            **till(number),
        }

    return made
