"""A database that cannot be used is DATABASE_AWAY to everyone who asks, and no internal error."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from posstream.domain.errors import DatabaseAway
from posstream.read_model import engine as module
from tests.component.sql_web import SqlWebView, running_sql_web
from tests.component.whole_web import pages_of, running_whole_web

AWAY = DatabaseAway("SQLITE_BUSY: database is locked", passes=True)
BROWSER = {"Accept": "text/html"}
#: The pages that the others name as still working.
STILL = ("/", "/configuration", "/dead-letters", "/drill", "/fleet", "/topics", "/try")
QUERY = '{ customer(customerId: "CUST_001") { tier } }'


@asynccontextmanager
async def lock_held(view: SqlWebView) -> AsyncIterator[None]:
    """Another program has locked the database for itself."""
    await view.readers.dispose()
    await view.engine.dispose()
    other = sqlite3.connect(str(view.engine.url.database), isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE locked (x)")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@asynccontextmanager
async def locked(folder: Path) -> AsyncIterator[SqlWebView]:
    """A view whose database another program has locked."""
    async with running_sql_web(folder) as view, lock_held(view):
        yield view


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


async def test_every_page_says_that_the_database_is_away_and_what_works_or_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    working, away = set(), set()
    async with running_whole_web(tmp_path) as whole, lock_held(whole.view):
        web = whole.view.web
        web.store.error = whole.store.error = web.rules_store.error = AWAY
        for path in pages_of(web.client.server.app):
            response = await web.client.get(path, headers=BROWSER)
            text = await response.text()
            assert response.content_type == "text/html", path
            if "<h1>The database is away</h1>" in text:
                assert response.status == 503, path
                assert all(f'<li><a href="{it}">' in text for it in STILL), path
                assert 'data-retry-while="503"' in text, path
                away.add(path.partition("?")[0])
            else:
                assert response.status in {200, 404}, path
                working.add(path.partition("?")[0])
        configuration = await (await web.client.get("/configuration", headers=BROWSER)).text()
    assert "this is what is in force here" in configuration
    assert 'action="/configuration/breaker"' in configuration
    of_letters = {it for it in working if it.startswith("/dead-letters/")}
    of_topics = {it for it in working if it.startswith("/topics/")}
    assert working - of_letters - of_topics == {
        *STILL,
        "/baskets",
        "/configuration/plugin/customer_lookup",
        "/configuration/plugin/rules",
    }
    assert {"/lookups", "/baskets/b1", "/customers/CUST_001", "/fraud/alerts"} <= away
    assert "Traceback" not in caplog.text


async def test_a_form_that_was_sent_to_a_database_that_is_away_is_not_sent_again(
    tmp_path: Path,
) -> None:
    async with locked(tmp_path) as view:
        response = await view.web.client.post("/customers/CUST_001/evict", headers=BROWSER)
        text = await response.text()
    assert response.status == 503
    assert "Nothing was changed" in text
    assert "data-retry-while" not in text


async def test_a_program_is_told_so_in_json(tmp_path: Path) -> None:
    async with locked(tmp_path) as view:
        response = await view.web.client.get("/lookups")
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "DATABASE_AWAY"


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
