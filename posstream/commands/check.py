"""`posstream check`: is everything there that a worker needs? Nothing is changed."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from posstream.adapters.sql.configuration_store import SqlConfigurationStore
from posstream.adapters.sql.engine import create_engine
from posstream.commands.check_directory import Line, check_directory
from posstream.configuration import PLUGIN
from posstream.domain.errors import DatabaseUnusable
from posstream.settings import Settings, unknown_settings
from posstream.topics import TOPICS


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
    line, endpoint = await _read_model(settings)
    yield line
    for line in await check_directory(settings, identifier, endpoint):
        yield line


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


async def _read_model(settings: Settings) -> tuple[Line, str | None]:
    """The database's line, and the endpoint of the live configuration if it names one."""
    address = make_url(settings.database_url)
    name = address.get_backend_name()
    if name == "sqlite" and not Path(address.database or "").exists():  # noqa: ASYNC240
        return (True, f"read model on {name}, to be made at the first start"), None
    try:
        engine = create_engine(settings.database_url)
    except DatabaseUnusable as why:
        return (False, str(why)), None
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        endpoint = await _live_endpoint(SqlConfigurationStore(engine, PLUGIN))
    except (SQLAlchemyError, OSError, TypeError) as why:
        line = f"read model on {name}: {type(why).__name__}; see POSSTREAM_DATABASE_URL"
        return (False, line), None
    finally:
        await engine.dispose()
    return (True, f"read model on {name}"), endpoint


async def _live_endpoint(store: SqlConfigurationStore) -> str | None:
    with contextlib.suppress(SQLAlchemyError):  # before the first start there is no such table
        endpoint = (await store.latest()).config.get("api_endpoint")
        return None if endpoint is None else str(endpoint)
    return None
