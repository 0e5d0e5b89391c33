"""Databases for the SQL tests: SQLite always, PostgreSQL when a server is given.

POSSTREAM_TEST_DATABASE_URL names a PostgreSQL server and a role that may create databases; each
test gets its own database there.
"""

import os
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup import PLUGIN, topics
from agents.customer_lookup.read_model.part import READ_MODEL
from agents.customer_lookup.read_model.projection import SqlProjection
from posstream.forgetting.projection import MarkProjection
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.projection import ProjectedEvent, Projection

SERVER = os.environ.get("POSSTREAM_TEST_DATABASE_URL")
DATABASES = ("sqlite", "postgresql") if SERVER else ("sqlite",)


@asynccontextmanager
async def database(kind: str, folder: Path) -> AsyncIterator[str]:
    """The URL of an empty database that is dropped afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'data' / 'posstream.db'}"
        return
    name = f"posstream_test_{uuid.uuid4().hex[:12]}"
    await _command(f'CREATE DATABASE "{name}"')
    try:
        yield make_url(SERVER or "").set(database=name).render_as_string(hide_password=False)
    finally:
        await _command(f'DROP DATABASE "{name}" WITH (FORCE)')


async def _command(command: str) -> None:
    engine = create_engine(SERVER or "")
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text(command))
    await engine.dispose()


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Make or upgrade the platform's tables and those of customer_lookup."""
    assert await upgrade(engine, [PLUGIN], revision) == {}


async def make_tables(engine: AsyncEngine) -> None:
    """Migrate an empty database: of SQLite, once in each process, and copy the file afterwards."""
    if engine.dialect.name != "sqlite":
        await migrate(engine)
        return
    file = Path(str(engine.url.database))
    assert not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    if not _migrated:
        with TemporaryDirectory() as folder:
            first = create_engine(f"sqlite:///{folder}/posstream.db")
            await migrate(first)
            await first.dispose()
            _migrated.append(Path(folder, "posstream.db").read_bytes())
    file.write_bytes(_migrated[0])


#: The bytes of a migrated file, once there is one.
_migrated: list[bytes] = []


class BothProjections(Projection):
    """The platform's projection and the plugin's, each with its own events."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._marks = MarkProjection(engine, [READ_MODEL.erase] if READ_MODEL.erase else [])
        self._rows = SqlProjection(engine)

    async def apply(self, events: Sequence[ProjectedEvent]) -> None:
        marks = [event for event in events if event.topic == CUSTOMER_FORGOTTEN]
        rows = [event for event in events if event.topic != CUSTOMER_FORGOTTEN]
        # In the order of the batch's first event: either may come first.
        parts = [(self._marks, marks), (self._rows, rows)]
        for projection, some in parts if events[:1] == marks[:1] else reversed(parts):
            if some:
                await projection.prepare(some)
                await projection.apply(some)


def at(second: int) -> str:
    """A time of the test day as the topics write it."""
    return f"2026-01-31T08:{second // 60:02}:{second % 60:02}.000Z"


JOHN: Mapping[str, Any] = {
    "customer_id": "CUST_001",
    "first_name": "John",
    "last_name": "Doe",
    "email": "john@example.com",
    "phone": "+1234567890",
    "loyalty_points": 1250,
    "tier": "GOLD",
    "total_purchases": "1234.50",
    "last_purchase_date": "2026-01-30T10:00:00.000Z",
    "attributes": {"favourite": "tea"},
}


def found(
    event_id: str,
    *,
    basket: str = "basket_1",
    identifier: str = "+1234567890",
    fetched: int = 10,
    identified: int | None = None,
    customer: Mapping[str, Any] = JOHN,
    **changes: Any,
) -> ProjectedEvent:
    """A `customer-data-fetched` event; times in seconds of the test day."""
    value = {
        "event_id": event_id,
        "event_type": "CUSTOMER_DATA_FETCHED",
        "schema_version": 1,
        "occurred_at": at(fetched + 1),
        "lookup_id": f"lookup-{event_id}",
        "basket_id": basket,
        "customer_identifier": identifier,
        "identifier_kind": "EMAIL" if "@" in identifier else "PHONE",
        "identified_at": at(fetched if identified is None else identified),
        "source": "API",
        "attempts": 1,
        "duration_ms": 12,
        "config_version": 1,
        "fetched_at": at(fetched),
        "fresh_until": at(fetched + 60),
        "age_ms": 0,
        "customer": customer,
    }
    return ProjectedEvent(topics.CUSTOMER_DATA_FETCHED, value | changes)


def failed(
    event_id: str, *, basket: str = "basket_1", identified: int = 10, **changes: Any
) -> ProjectedEvent:
    """A `customer-lookup-failed` event."""
    value = {
        "event_id": event_id,
        "event_type": "CUSTOMER_LOOKUP_FAILED",
        "occurred_at": at(identified + 1),
        "lookup_id": f"lookup-{event_id}",
        "basket_id": basket,
        "customer_identifier": "+999",
        "identifier_kind": "PHONE",
        "identified_at": at(identified),
        "source": None,
        "attempts": 2,
        "duration_ms": 40,
        "config_version": 1,
        "reason": "TIMEOUT",
        "error_message": "no answer within 5 s",
    }
    return ProjectedEvent(topics.CUSTOMER_LOOKUP_FAILED, value | changes)


def logged(event_id: str, **changes: Any) -> ProjectedEvent:
    """A `customer-lookup-logged` event."""
    value = {
        "event_id": event_id,
        "event_type": "CUSTOMER_LOOKUP_LOGGED",
        "lookup_id": "lookup-1",
        "attempt": 1,
        "waiters": 0,
        "basket_id": "basket_1",
        "customer_identifier": "+1234567890",
        "identifier_kind": "PHONE",
        "api_endpoint": "http://directory.test/",
        "request_timestamp": at(10),
        "response_timestamp": at(11),
        "status": "SUCCESS",
        "http_status": 200,
        "response_data": {"customer_id": "CUST_001"},
        "error_message": None,
        "duration_ms": 9,
    }
    return ProjectedEvent(topics.CUSTOMER_LOOKUP_LOGGED, value | changes)


def started(basket: str = "basket_1", *, second: int | None = 5, **changes: Any) -> ProjectedEvent:
    """A `basket-started` event."""
    value: dict[str, Any] = {"basket_id": basket, "employee_id": 1, "terminal_id": "t1"}
    if second is not None:
        value["occurred_at"] = at(second)
    return ProjectedEvent(topics.BASKET_STARTED, value | changes)
