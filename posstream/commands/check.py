"""`posstream check`: is everything there that a worker needs? One line each, nothing changed."""

from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from posstream.adapters.directory_http import HttpDirectory
from posstream.adapters.sql.engine import create_engine
from posstream.domain.identifier import InvalidIdentifier, normalise
from posstream.domain.lookup import Reason
from posstream.resilience.clock import SystemClock
from posstream.settings import Settings, unknown_settings
from posstream.topics import TOPICS

Line = tuple[bool, str]


async def check(settings: Settings, identifier: str) -> int:
    """Print what is there and what is not.

    Returns:
        0 if a worker could start and answer, 1 otherwise.
    """
    passed = True
    for warning in unknown_settings():
        print(f"warning  {warning}")
    async for good, line in _lines(settings, identifier):
        passed = passed and good
        print(f"{'ok' if good else 'FAILED':8} {line}")
    return 0 if passed else 1


async def _lines(settings: Settings, identifier: str) -> AsyncIterator[Line]:
    yield True, "settings"
    yield await _broker(settings)
    yield await _read_model(settings)
    yield await _directory(settings, identifier)


async def _broker(settings: Settings) -> Line:
    where = ", ".join(settings.bootstrap_servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    try:
        await admin.start()
        known = set(await admin.list_topics())
    except (KafkaError, OSError) as why:
        return False, f"broker at {where}: {type(why).__name__}; see POSSTREAM_BROKER"
    finally:
        await admin.close()
    missing = [spec.name for spec in TOPICS if spec.name not in known]
    return True, f"broker at {where}; {len(missing)} topics to be created at the first start"


async def _read_model(settings: Settings) -> Line:
    engine = create_engine(settings.database_url)
    name = engine.dialect.name
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as why:
        return False, f"read model on {name}: {type(why).__name__}; see POSSTREAM_DATABASE_URL"
    finally:
        await engine.dispose()
    return True, f"read model on {name}"


async def _directory(settings: Settings, identifier: str) -> Line:
    found = normalise(identifier, card_guard=settings.payment_card_guard)
    if isinstance(found, InvalidIdentifier):
        return False, f"identifier {found.masked}: {found.why}"
    directory = HttpDirectory(clock=SystemClock(), card_guard=settings.payment_card_guard)
    await directory.open()
    try:
        outcome = await directory.attempt(
            found.value, endpoint=settings.api_endpoint, timeout_seconds=5, number=1
        )
    finally:
        await directory.close()
    where = f"directory at {settings.api_endpoint}"
    took = f"{outcome.attempt.duration_ms} ms"
    if outcome.customer is not None:
        return True, f"{where}: {found.masked} is {outcome.customer.customer_id} ({took})"
    if outcome.reason is Reason.NOT_FOUND:
        return True, f"{where}: does not know {found.masked} ({took})"
    if settings.explicit_api_endpoint is None and outcome.attempt.http_status is None:
        return True, f"{where}: the worker's own mock, there once a worker runs"
    return False, f"{where}: {outcome.attempt.error_message} ({took})"
