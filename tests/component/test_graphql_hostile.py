"""Requests that mean harm: each is refused in a typed way, quickly, and never by a 500."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import (
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    is_required_argument,
)

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.read_model.engine import create_engine
from tests.component.sql_databases import database, found, logged, make_tables
from tests.component.web_client import WebView, running_web, schema

#: Far more than any of them needs, on a busy machine too.
SECONDS = 5


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[WebView]:
    """A real database behind it: what harms it must not pass for harmless."""
    async with database("sqlite", tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        await SqlProjection(engine).apply([found("e1"), logged("l1")])
        async with running_web(read_model=SqlReadModel(engine)) as view:
            yield view
        await engine.dispose()


async def sent(web: WebView, body: bytes, content_type: str = "application/json") -> Any:
    async with asyncio.timeout(SECONDS):
        return await web.client.post("/graphql/", data=body, headers={"Content-Type": content_type})


def codes(answer: dict[str, Any]) -> set[str]:
    return {error["extensions"]["code"] for error in answer.get("errors", ())}


def query(text: str, **variables: Any) -> bytes:
    return json.dumps({"query": text, "variables": variables}).encode()


def spread(count: int, body: str) -> str:
    """A chain of fragments on Query, each twice as large as the next."""
    chain = " ".join(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(count))
    return f"{{ ...f0 }} {chain} fragment f{count} on Query {{ {body} }}"


def circle(count: int) -> str:
    chain = " ".join(f"fragment f{n} on Query {{ ...f{(n + 1) % count} }}" for n in range(count))
    return "{ ...f0 } " + chain


REQUESTS = {
    # -- bodies
    "nothing": (b"", "BAD_REQUEST"),
    "null": (b"null", "BAD_REQUEST"),
    "a number": (b"1e400", "BAD_REQUEST"),
    "a batch": (b'[{"query":"{__typename}"}]', "BAD_REQUEST"),
    "a batch of ten thousand": (
        b"[" + b'{"query":"{a}"},' * 9_999 + b'{"query":"{a}"}]',
        "BAD_REQUEST",
    ),
    "brackets without end": (b"[" * 200_000, "BAD_REQUEST"),
    "objects without end": (b'{"query":' * 20_000, "BAD_REQUEST"),
    "deep variables": (
        b'{"query":"{__typename}","variables":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}",
        "BAD_REQUEST",
    ),
    "a lone surrogate": (b'{"query":"{__typename} #\\ud800"}', "BAD_REQUEST"),
    "half a character": (b'{"query":"{__typename} #\xc3"}', "BAD_REQUEST"),
    "UTF-16": ('{"query":"{__typename}"}'.encode("utf-16"), "BAD_REQUEST"),
    "a text too long": (b'{"query":"{__typename}' + b" " * 300_000 + b'"}', "TOO_LARGE"),
    "a key twice": (b'{"query":"{__typename}","query":7}', "BAD_REQUEST"),
    # -- documents
    "a NUL": (query("{ \0 }"), "GRAPHQL_PARSE_FAILED"),
    "a huge name": (query("{ " + "a" * 200_000 + " }"), "GRAPHQL_VALIDATION_FAILED"),
    "a huge text": (
        query('{ customer(customerId: "' + "a" * 200_000 + '") { nothing } }'),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "a huge number": (
        query("{ customers(first: " + "9" * 100_000 + ") { pageInfo { endCursor } } }"),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "a surrogate in a literal": (
        query('{ customer(customerId: "\\uD800") { tier } }'),
        "GRAPHQL_PARSE_FAILED",
    ),
    "braces without end": (query("{a" * 990), "GRAPHQL_PARSE_FAILED"),
    "lists without end": (
        query("{ customers(first: " + "[" * 1900 + ") { x } }"),
        "GRAPHQL_PARSE_FAILED",
    ),
    "tokens without end": (query("{" + " a" * 60_000 + "}"), "GRAPHQL_PARSE_FAILED"),
    "a comment without end": (query("{ nothing } #" + "x" * 200_000), "GRAPHQL_VALIDATION_FAILED"),
    "aliases": (
        query("{" + " ".join(f"a{n}: breaker {{ held }}" for n in range(200)) + "}"),
        "QUERY_TOO_COMPLEX",
    ),
    "searches": (
        query("{" + " ".join(f"a{n}: lookupStats {{ api }}" for n in range(21)) + "}"),
        "QUERY_TOO_COMPLEX",
    ),
    "searches in fragments": (
        query(spread(5, "lookupStats { api }")),
        "QUERY_TOO_COMPLEX",
    ),
    "long lists": (
        query(
            "{"
            + " ".join(f"a{n}: allCustomers(limit: 1000) {{ customerId }}" for n in range(20))
            + "}"
        ),
        "QUERY_TOO_COMPLEX",
    ),
    "long lists by variable": (
        query(
            "query ($n: Int) {"
            + " ".join(f"a{n}: allCustomers(limit: $n) {{ customerId }}" for n in range(20))
            + "}",
            n=1000,
        ),
        "QUERY_TOO_COMPLEX",
    ),
    "fragments that double": (query(spread(40, "__typename")), "QUERY_TOO_COMPLEX"),
    "fragments in a circle": (query(circle(60)), "GRAPHQL_VALIDATION_FAILED"),
    "a fragment in itself": (
        query("{ ...a } fragment a on Query { ...a }"),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "a deep fragment": (
        query(
            "{ ...a } fragment a on Query { basket(basketId: 1) { ...b } } fragment b on Basket "
            + "{ customer " * 12
            + "{ tier }"
            + " }" * 12
        ),
        "QUERY_TOO_COMPLEX",
    ),
    "a fragment for nobody": (
        query("{ __typename } fragment a on Query {" + " __typename" * 1900 + "}"),
        "QUERY_TOO_COMPLEX",
    ),
    "directives": (query("{ __typename " + "@a" * 900 + "}"), "GRAPHQL_VALIDATION_FAILED"),
    "directives that may be there once": (
        query("{ __typename " + "@skip(if: true) " * 200 + "}"),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "a directive of a definition": (
        query('{ __typename @deprecated(reason: "x") }'),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "variables without end": (
        query("query (" + " ".join(f"$a{n}: Int" for n in range(350)) + ") { __typename }"),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "operations without end": (query("{ __typename }" * 400), "QUERY_TOO_COMPLEX"),
    "operations without a name": (query("{ __typename }" * 2), "GRAPHQL_VALIDATION_FAILED"),
    "definitions of types": (query("type Query { a: Int }"), "GRAPHQL_VALIDATION_FAILED"),
    "introspection in circles": (
        query("{ __schema { types " + "{ fields { type " * 8 + "{ name }" + " } }" * 8 + " } }"),
        "QUERY_TOO_COMPLEX",
    ),
    "fields that cannot be merged": (
        query("{ a: basket(basketId: 1) { basketId } a: basket(basketId: 2) { basketId } }"),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    # -- variables
    "a variable that is missing": (
        query("query ($id: ID!) { customer(customerId: $id) { tier } }"),
        "BAD_REQUEST",
    ),
    "a list for an id": (
        query("query ($id: ID!) { customer(customerId: $id) { tier } }", id=[["a"]]),
        "BAD_REQUEST",
    ),
    "an unknown status": (
        query("query ($s: LookupStatus) { lookupLogs(status: $s) { __typename } }", s="NOPE"),
        "BAD_REQUEST",
    ),
}


@pytest.mark.parametrize(("body", "code"), REQUESTS.values(), ids=list(REQUESTS))
async def test_a_hostile_request_is_refused_in_a_typed_way(
    web: WebView, body: bytes, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = await sent(web, body)
    assert response.status in {200, 400, 413}
    answer = await response.json()
    assert "data" not in answer
    assert codes(answer) == {code}
    assert caplog.records == []
    assert (await (await sent(web, query("{ __typename }"))).json())["data"]


#: What no argument should get; a literal or a variable in JSON.
VALUES = {
    "NUL": '"a\\u0000b"',
    "a lone surrogate": '"\\ud800"',
    "a reversed pair": '"\\udc00\\ud800"',
    "control characters": '"\\u0001\\u001b[31m\\u202e"',
    "nothing": '""',
    "blanks": '"  \\u00a0\\u3000 "',
    "a long text": '"' + "a" * 100_000 + '"',
    "SQL": '"\'; DROP TABLE customers; --"',
    "a pattern": '"%_%\\\\"',
    "a path": '"../../etc/passwd"',
    "a template": '"{{7*7}}${7*7}%s%n"',
    "a huge number": "9" * 400,
    "beyond 32 bits": "2147483648",
    "beyond 64 bits": "-9223372036854775809",
    "a fraction": "1.5",
    "beyond doubles": "1e999",
    "not a number": "NaN",
    "true": "true",
    "null": "null",
    "a list": "[]",
    "lists of lists": "[" * 200 + "]" * 200,
    "an object": '{"a": {"b": [1]}}',
    "JSON in a text": '"{\\"timeout_seconds\\": 1e999}"',
    "deep JSON in a text": '"' + "[" * 50_000 + '"',
    "a surrogate in JSON in a text": '"{\\"\\\\ud800\\": 1}"',
}


def arguments() -> list[tuple[str, str, str]]:
    """Every argument of every operation: its kind of operation, its field, and its name."""
    made = schema().graphql
    return [
        (kind, field, argument)
        for kind, root in (("query", made.query_type), ("mutation", made.mutation_type))
        for field, definition in (root.fields if root else {}).items()
        for argument in definition.args
    ]


@pytest.mark.parametrize(("kind", "field", "argument"), arguments())
async def test_no_value_of_any_argument_is_an_accident(
    web: WebView, kind: str, field: str, argument: str, caplog: pytest.LogCaptureFixture
) -> None:
    document = _document(kind, field, argument)
    for name, value in VALUES.items():
        body = f'{{"query": {json.dumps(document)}, "variables": {{"value": {value}}}}}'
        response = await sent(web, body.encode())
        assert response.status in {200, 400}, name
        answer = await response.json()
        assert "INTERNAL" not in codes(answer), name
        accidents = [r for r in caplog.records if r.levelname in {"ERROR", "CRITICAL"}]
        assert accidents == [], name


def _document(kind: str, field: str, argument: str) -> str:
    """An operation that gives `$value` to one argument, and what is needed to the others."""
    made = schema().graphql
    root = made.query_type if kind == "query" else made.mutation_type
    assert root is not None
    definition = root.fields[field]
    plain = {"Int": "1", "String": '"x"', "ID": '"x"', "Boolean": "true"}
    others = [
        f"{name}: {plain.get(get_named_type(other.type).name, 'null')}"
        for name, other in definition.args.items()
        if is_required_argument(other) and name != argument
    ]
    given = ", ".join([f"{argument}: $value", *others])
    named = get_named_type(definition.type)
    inside = " { __typename }" if isinstance(named, GraphQLObjectType) else ""
    assert inside or isinstance(named, GraphQLScalarType)
    return f"{kind} ($value: {definition.args[argument].type}) {{ {field}({given}){inside} }}"


@pytest.mark.parametrize(
    "address",
    [
        "?query=%00",
        "?query=%ED%A0%80",
        "?query=%FF%FE",
        "?query={__typename}&query={nothing}",
        "?query={__typename}&variables=%ED%A0%80",
        "?query={__typename}&variables=" + "[" * 2000,
        "?query={__typename}&operationName=" + "a" * 3000,
        "?" + "&".join(f"a{n}=1" for n in range(1000)),
    ],
)
async def test_a_hostile_query_string_is_no_accident(web: WebView, address: str) -> None:
    async with asyncio.timeout(SECONDS):
        response = await web.client.get("/graphql/" + address)
    assert response.status in {200, 400}
    answer = orjson.loads(await response.read())
    assert answer == {"data": {"__typename": "Query"}} or codes(answer) <= {
        "BAD_REQUEST",
        "GRAPHQL_PARSE_FAILED",
    }
