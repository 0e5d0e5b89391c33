"""`posstream check`: is everything there that a worker needs? Nothing is changed."""

from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from posstream.adapters.sql.engine import create_engine
from posstream.commands.check_directory import Line, check_directory
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
    yield await _read_model(settings)
    for line in await check_directory(settings, identifier):
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
