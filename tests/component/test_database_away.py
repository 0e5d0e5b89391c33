"""A database that cannot be used is DATABASE_AWAY to everyone who asks, and no internal error."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from posstream.domain.errors import DatabaseAway
from posstream.read_model import engine as module
from tests.component.sql_web import SqlWebView, running_sql_web

QUERY = '{ customer(customerId: "CUST_001") { tier } }'


@asynccontextmanager
async def locked(folder: Path) -> AsyncIterator[SqlWebView]:
    """A view whose database another program has locked for itself."""
    async with running_sql_web(folder) as view:
        await view.readers.dispose()
        await view.engine.dispose()
        other = sqlite3.connect(folder / "posstream.db", isolation_level=None)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE locked (x)")
        try:
            yield view
        finally:
            other.execute("ROLLBACK")
            other.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 50)


async def test_a_query_of_a_locked_database_is_told_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with locked(tmp_path) as view:
        answer = await view.web.graphql(QUERY)
    assert answer["data"] == {"customer": None}
    assert [error["extensions"] for error in answer["errors"]] == [{"code": "DATABASE_AWAY"}]
    assert "SQLITE_BUSY" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_page_of_a_locked_database_is_503(tmp_path: Path) -> None:
    async with locked(tmp_path) as view:
        for path in ("/lookups", "/customers/CUST_001"):
            response = await view.web.client.get(path, headers={"Accept": "text/html"})
            document = await response.json()
            assert (path, response.status, document["error"]["code"]) == (
                path,
                503,
                "DATABASE_AWAY",
            )


async def test_a_database_that_is_free_again_answers(tmp_path: Path) -> None:
    async with running_sql_web(tmp_path) as view:
        other = sqlite3.connect(tmp_path / "posstream.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseAway, match="SQLITE_BUSY"):
            async with view.engine.begin():
                pass
        other.execute("ROLLBACK")
        other.close()
        async with view.engine.begin() as connection:
            assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1


async def test_a_disk_that_is_full_is_an_absence_that_passes(tmp_path: Path) -> None:
    async with running_sql_web(tmp_path) as view, view.engine.connect() as connection:
        await connection.exec_driver_sql("CREATE TABLE filled (x)")
        await connection.commit()
        await connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(DatabaseAway, match="SQLITE_FULL") as away:
            await connection.exec_driver_sql("INSERT INTO filled VALUES (zeroblob(1000000))")
    assert away.value.passes
