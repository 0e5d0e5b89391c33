"""Opens the database for a command, with its errors as one sentence."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.commands.running import tell_source
from posstream.domain.errors import DatabaseAway, DatabaseUnusable
from posstream.plugins.discovery import find_plugins
from posstream.read_model.address import shown_address
from posstream.read_model.engine import create_engine, read_only
from posstream.read_model.migrate import PLATFORM, unmigrated, upgrade
from posstream.read_model.refusals import kind
from posstream.settings import Settings


@asynccontextmanager
async def opened(settings: Settings, *, to_write: bool = False) -> AsyncIterator[AsyncEngine]:
    """Open the database: to write, migrated; else nothing in it is changed or made.

    To read, a database that has no tables yet is taken for an empty one, and stderr says which
    database it is.

    Raises:
        DatabaseUnusable: instead of any error of the database or of the way to it, with a
            sentence that names no address.
    """
    engine = create_engine(settings.database_url)
    try:
        if to_write:
            await upgrade(engine, find_plugins())
        else:
            engine = await _as_it_is(engine, shown_address(settings.database_url))
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


async def _as_it_is(engine: AsyncEngine, shown: str) -> AsyncEngine:
    """The engine, or that of an empty database in memory if there are no tables."""
    if await _has_tables(engine):
        tell_source("database", shown)
        for plugin in await unmigrated(read_only(engine), find_plugins()):
            print(
                f"warning: the tables of plugin {plugin} are those of another version: a worker of "
                "this version migrates them at its start",
                file=sys.stderr,
            )
        return engine
    tell_source("database", f"{shown}, which is empty: no worker has used it yet")
    await engine.dispose()
    empty = create_engine("sqlite+aiosqlite://")
    await upgrade(empty, find_plugins())
    return empty


def _is_used(path: Path) -> bool:
    # To connect to a file that is not there, or empty, makes a database of it.
    return path.exists() and path.stat().st_size > 0


async def _has_tables(engine: AsyncEngine) -> bool:
    path = engine.url.database if engine.dialect.name == "sqlite" else None
    if path is not None and path != ":memory:" and not _is_used(Path(path)):
        return False
    async with read_only(engine).connect() as connection:
        return await connection.run_sync(PLATFORM.revision) is not None
