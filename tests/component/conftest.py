"""What the tests of several modules use: a database of each kind, and an engine on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.read_model.engine import create_engine
from tests.component.sql_databases import DATABASES, database, make_tables


@pytest.fixture(params=DATABASES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database."""
    async with database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database with all tables."""
    engine = create_engine(url)
    await make_tables(engine)
    yield engine
    await engine.dispose()
