"""Opens the migrated database for a command, with its errors as one sentence."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.domain.errors import DatabaseAway, DatabaseUnusable
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.refusals import kind
from posstream.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database, migrated; the log names a plugin whose migration failed.

    Raises:
        DatabaseUnusable: instead of any error of the database or of the way to it, with a
            sentence that names no address.
    """
    engine = create_engine(settings.database_url)
    try:
        await upgrade(engine, find_plugins())
        yield engine
    except DatabaseAway as why:
        raise DatabaseUnusable(
            f"the database cannot be used ({why}): check POSSTREAM_DATABASE_URL and that the "
            "database is up"
        ) from why
    except (SQLAlchemyError, CommandError) as why:
        raise DatabaseUnusable(
            f"the database cannot be used ({kind(why)}): check POSSTREAM_DATABASE_URL"
        ) from why
    finally:
        await engine.dispose()
