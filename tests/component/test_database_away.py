"""A database that cannot be used is DATABASE_AWAY to everyone who asks, and no internal error."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    build_client_schema,
    get_introspection_query,
    get_named_type,
)

from posstream.domain.errors import DatabaseAway
from posstream.read_model import engine as module
from tests.component.sql_web import SqlWebView, running_sql_web
from tests.component.web_client import WebView
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


#: The fields that cannot be answered without the database.
NEED_SQL: Final = {
    "allCustomers",
    "basket",
    "baskets",
    "customer",
    "customerByIdentifier",
    "customers",
    "explainLookup",
    "fraudAlert",
    "fraudAlerts",
    "fraudRules",
    "lookupLogs",
    "lookupStats",
    "resolveFraudAlert",
    "snoozeFraudRule",
    "updatePluginConfiguration",
}
#: How deep fields are asked for.
DEPTH: Final = 3
#: Arguments of which not any text will do, or that are given though they need not be.
VALUES: Final = {
    "identifier": '"+1234567890"',
    "customerIdentifier": '"+1234567890"',
    "unitPrice": '"1.00"',
    "amount": '"1.00"',
    "quantity": '"1"',
    "itemId": '"i1"',
    "reason": '"known"',
    "name": '"customer_lookup"',
    "config": '"{\\"timeout_seconds\\": 4}"',
}


def a_value(kind: Any) -> str:
    """A value of an input type, as GraphQL writes it."""
    if isinstance(kind, GraphQLNonNull):
        return a_value(kind.of_type)
    if isinstance(kind, GraphQLList):
        return f"[{a_value(kind.of_type)}]"
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        fields = (f"{name}: {a_value(it.type)}" for name, it in kind.fields.items())
        return f"{{{', '.join(fields)}}}"
    return {"Int": "1", "Float": "1", "Boolean": "true", "JSONString": '"{}"'}.get(
        kind.name, '"b1"'
    )


def a_call(name: str, field: GraphQLField, depth: int = DEPTH) -> str:
    """A field with its required arguments, and everything below it."""
    needed = [
        f"{one}: {VALUES.get(one) or a_value(it.type)}"
        for one, it in field.args.items()
        if isinstance(it.type, GraphQLNonNull) or (one in VALUES and depth == DEPTH)
    ]
    kind = get_named_type(field.type)
    below = getattr(kind, "fields", None)
    text = name + (f"({', '.join(needed)})" if needed else "")
    if below is None:
        return text
    calls = [
        a_call(one, it, depth - 1)
        for one, it in below.items()
        if depth > 1 or not hasattr(get_named_type(it.type), "fields")
    ]
    return f"{text} {{ __typename {' '.join(calls)} }}"


async def codes_of(web: WebView, operation: str, name: str, field: GraphQLField) -> set[str]:
    """The codes that a field is answered with, as errors or as refusals; none: it worked."""
    answer = await web.graphql(f"{operation} {{ {a_call(name, field)} }}")
    refused = ((answer.get("data") or {}).get(name) or {}) if operation == "mutation" else {}
    error = refused.get("error") if isinstance(refused, dict) else None
    errors = {
        it.get("extensions", {}).get("code", it["message"]) for it in answer.get("errors", ())
    }
    return errors | ({error["code"]} if error else set())


async def test_every_field_of_graphql_works_or_says_that_the_database_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answered: dict[str, set[str]] = {}
    async with running_whole_web(tmp_path) as whole, lock_held(whole.view):
        web = whole.view.web
        web.store.error = whole.store.error = web.rules_store.error = AWAY
        asked = await web.graphql(get_introspection_query(descriptions=False))
        schema = build_client_schema(asked["data"])
        for operation, root in (("query", schema.query_type), ("mutation", schema.mutation_type)):
            assert root is not None
            for name, field in root.fields.items():
                answered[name] = await codes_of(web, operation, name, field)
    away = {name for name, codes in answered.items() if codes == {"DATABASE_AWAY"}}
    assert {name: codes for name, codes in answered.items() if codes} == {
        name: {"DATABASE_AWAY"} for name in away
    }
    assert away == NEED_SQL
    assert "Traceback" not in caplog.text
