"""GraphQL over HTTP: status codes, media types, limits and masks."""

import asyncio
import logging
from collections.abc import AsyncIterator

import orjson
import pytest

from tests.component.web_client import WebView, running_web, schema
from web.graphql.documents import MAX_DOCUMENTS, Documents

RESPONSE_JSON = "application/graphql-response+json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
TYPENAME = "{ __typename }"


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


# -- POST


@pytest.mark.parametrize("path", ["/graphql", "/graphql/"])
async def test_both_spellings_of_the_path_answer(web: WebView, path: str) -> None:
    response = await web.client.post(path, json={"query": TYPENAME})
    assert await response.json() == {"data": {"__typename": "Query"}}


async def test_a_content_type_with_a_charset_is_accepted(web: WebView) -> None:
    response = await web.client.post(
        "/graphql/",
        data=orjson.dumps({"query": "{ allCustomers { customerId } }"}),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    assert response.status == 200
    assert await response.json() == {"data": {"allCustomers": [{"customerId": "CUST_001"}]}}


async def test_a_trace_context_that_is_no_text_is_as_none(web: WebView) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.client.port)
    body = orjson.dumps({"query": TYPENAME})
    head = (
        b"POST /graphql/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"traceparent: \xff\xfe\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    writer.write(head + body)
    answer = await reader.read()
    writer.close()
    assert b'{"data":{"__typename":"Query"}}' in answer


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
    ],
)
async def test_another_content_type_is_unsupported(web: WebView, content_type: str) -> None:
    response = await web.client.post(
        "/graphql/", data=b'{"query":"{__typename}"}', headers={"Content-Type": content_type}
    )
    assert response.status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'[{"query":"{__typename}"}]',
        b'"text"',
        b"1",
        b"\xff",
        b"{}",
        b'{"query":null}',
        b'{"query":""}',
        b'{"query":1}',
        b'{"query":["{__typename}"]}',
        b'{"query":"{__typename}","operationName":1}',
        b'{"query":"{__typename}","variables":[]}',
        b'{"query":"{__typename}","variables":"{}"}',
        b'{"query":"{__typename}","variables":1}',
        b'{"query":"{__typename}","extensions":[]}',
        b'{"query":"{__typename}","extensions":"x"}',
    ],
)
async def test_a_body_that_is_no_graphql_request_is_a_bad_request(
    web: WebView, body: bytes
) -> None:
    response = await web.client.post(
        "/graphql/", data=body, headers={"Content-Type": "application/json"}
    )
    assert response.status == 400
    assert (await response.json())["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


async def test_null_parameters_are_absent_parameters(web: WebView) -> None:
    response = await web.post(
        {"query": TYPENAME, "operationName": None, "variables": None, "extensions": None}
    )
    assert await response.json() == {"data": {"__typename": "Query"}}


async def test_a_body_over_the_limit_is_too_large(web: WebView) -> None:
    response = await web.post({"query": TYPENAME, "extensions": {"x": "x" * 256 * 1024}})
    assert response.status == 413
    assert (await response.json())["errors"][0]["extensions"] == {"code": "TOO_LARGE"}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://["])
async def test_a_page_of_another_origin_may_not_post(web: WebView, origin: str) -> None:
    response = await web.post({"query": TYPENAME}, Origin=origin)
    assert response.status == 403


async def test_a_page_of_the_same_host_in_the_other_scheme_may_not_post(web: WebView) -> None:
    origin = f"https://{web.client.host}:{web.client.port}"
    response = await web.post({"query": TYPENAME}, Origin=origin)
    assert response.status == 403
    assert "X-Forwarded-Proto: https" in (await response.json())["error"]["message"]


@pytest.mark.parametrize(("scheme", "status"), [("https", 200), ("http", 403)])
async def test_behind_a_proxy_with_tls_pages_are_of_https(
    web: WebView, scheme: str, status: int
) -> None:
    origin = f"{scheme}://{web.client.host}:{web.client.port}"
    response = await web.post({"query": TYPENAME}, Origin=origin, X_Forwarded_Proto="https")
    assert response.status == status


async def test_a_page_of_the_same_origin_may_post(web: WebView) -> None:
    origin = f"http://{web.client.host}:{web.client.port}"
    response = await web.post({"query": TYPENAME}, Origin=origin)
    assert response.status == 200


# -- GET


async def test_a_query_may_come_by_get(web: WebView) -> None:
    response = await web.client.get(
        "/graphql/",
        params={
            "query": "query a($id: ID!) { customer(customerId: $id) { tier } } "
            "query b { __typename }",
            "operationName": "a",
            "variables": '{"id": "CUST_001"}',
        },
    )
    assert await response.json() == {"data": {"customer": {"tier": "GOLD"}}}


async def test_a_mutation_may_not_come_by_get(web: WebView) -> None:
    mutation = 'mutation { startBasket(employeeId: 1, terminalId: "t") { success } }'
    response = await web.client.get("/graphql/", params={"query": mutation})
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert web.publisher.records == []


async def test_a_get_that_names_a_mutation_among_queries_is_refused(web: WebView) -> None:
    document = (
        "query a { __typename } "
        'mutation b { startBasket(employeeId: 1, terminalId: "t") { success } }'
    )
    response = await web.client.get("/graphql/", params={"query": document, "operationName": "b"})
    assert response.status == 405
    assert web.publisher.records == []


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"query": ""},
        {"query": TYPENAME, "variables": "{"},
        {"query": TYPENAME, "variables": "[]"},
        {"query": TYPENAME, "extensions": "1"},
    ],
)
async def test_a_query_string_that_is_no_graphql_request_is_a_bad_request(
    web: WebView, params: dict[str, str]
) -> None:
    response = await web.client.get("/graphql/", params=params)
    assert response.status == 400


async def test_a_browser_gets_a_page_that_loads_nothing(web: WebView) -> None:
    response = await web.client.get("/graphql/", headers={"Accept": BROWSER})
    page = await response.text()
    assert response.content_type == "text/html"
    assert "startBasket(employeeId: 1" in page
    assert not any(word in page for word in ("<script", "<link", "<img", "http:", "https:"))


async def test_a_browser_that_asks_a_query_gets_its_answer(web: WebView) -> None:
    response = await web.client.get(
        "/graphql/", params={"query": TYPENAME}, headers={"Accept": BROWSER}
    )
    assert response.content_type == "application/json"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
async def test_another_method_is_not_allowed(web: WebView, method: str) -> None:
    response = await web.client.request(method, "/graphql/")
    assert (response.status, response.headers["Allow"]) == (405, "GET,POST")


# -- media types


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/json", "application/json"),
        (RESPONSE_JSON, RESPONSE_JSON),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        (f"{RESPONSE_JSON}, application/json;q=0.9", RESPONSE_JSON),
        (f"{RESPONSE_JSON};q=0.5, application/json", "application/json"),
        (f"{RESPONSE_JSON};q=0, */*;q=0.1", "application/json"),
        ("application/JSON; charset=utf-8", "application/json"),
    ],
)
async def test_the_answer_has_the_media_type_that_was_asked_for(
    web: WebView, accept: str, media_type: str
) -> None:
    response = await web.post({"query": TYPENAME}, Accept=accept)
    assert (response.status, response.content_type, response.charset) == (200, media_type, "utf-8")


async def test_an_answer_that_nobody_could_read_is_not_acceptable(web: WebView) -> None:
    response = await web.post({"query": TYPENAME}, Accept="image/png")
    assert response.status == 406


@pytest.mark.parametrize(
    "document",
    [
        {"query": "{"},
        {"query": "{ nothing }"},
        {"query": "query a { __typename }", "operationName": "b"},
        {"query": "query a { __typename } query b { __typename }"},
        {"query": "query ($l: Int!) { allCustomers(limit: $l) { tier } }", "variables": {"l": "x"}},
    ],
)
@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), (RESPONSE_JSON, 400)])
async def test_a_request_error_has_no_data_and_the_status_of_its_media_type(
    web: WebView, document: dict[str, object], accept: str, status: int
) -> None:
    response = await web.post(document, Accept=accept)
    assert response.status == status
    answer = await response.json()
    assert set(answer) == {"errors"}
    assert all("code" in error["extensions"] for error in answer["errors"])


# -- limits


def _nested(depth: int) -> str:
    return "{ basket(basketId: 1) " * (depth - 1) + "{ x }" + " }" * (depth - 1)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (_nested(11), "the query is deeper than 10 levels"),
        ("{" + " ".join(f"a{i}: __typename" for i in range(301)) + "}", "more than 300 fields"),
        ("{" + " a" * 2001 + "}", "2000 tokens"),
        ("{a" * 900, "nested too deep"),
        (
            "{ ...a } fragment a on Query { " + "...b " * 20 + "} "
            "fragment b on Query { " + "__typename " * 20 + "}",
            "more than 300 fields",
        ),
        (
            "{ basket(basketId: 1) { ...a } } fragment a on Basket " + _nested(10),
            "deeper than 10 levels",
        ),
        (
            "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
            "the introspection goes too deep",
        ),
    ],
)
async def test_a_document_that_asks_for_too_much_is_refused(
    web: WebView, query: str, message: str
) -> None:
    response = await web.post({"query": query}, Accept=RESPONSE_JSON)
    assert response.status == 400
    assert message in (await response.json())["errors"][0]["message"]


async def test_300_fields_are_not_too_many(web: WebView) -> None:
    answer = await web.graphql("{" + " ".join(f"a{i}: __typename" for i in range(300)) + "}")
    assert len(answer["data"]) == 300


async def test_fragments_that_go_in_circles_are_refused(web: WebView) -> None:
    query = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"
    response = await web.post({"query": query}, Accept=RESPONSE_JSON)
    assert response.status == 400
    assert "within itself" in (await response.json())["errors"][0]["message"]


async def test_fragments_that_double_thirty_times_are_weighed_at_once(web: WebView) -> None:
    doubling = " ".join(f"fragment f{i} on Query {{ ...f{i + 1} ...f{i + 1} }}" for i in range(30))
    query = f"{{ ...f0 }} {doubling} fragment f30 on Query {{ __typename }}"
    response = await web.post({"query": query}, Accept=RESPONSE_JSON)
    assert "more than 300 fields" in (await response.json())["errors"][0]["message"]


async def test_the_usual_introspection_query_is_answered(web: WebView) -> None:
    from graphql import get_introspection_query

    answer = await web.graphql(get_introspection_query())
    assert "errors" not in answer


def test_only_so_many_documents_are_remembered() -> None:
    documents = Documents(schema())
    for number in range(MAX_DOCUMENTS + 10):
        documents.read(f"{{ a{number}: __typename }}")
    assert len(documents) == MAX_DOCUMENTS


def test_a_remembered_document_is_not_read_again() -> None:
    documents = Documents(schema())
    assert documents.read(TYPENAME) is documents.read(TYPENAME)


def test_an_invalid_document_is_not_remembered() -> None:
    documents = Documents(schema())
    documents.read("{ nothing }")
    assert len(documents) == 0


# -- masks


async def test_an_unexpected_error_shows_only_a_reference_that_is_in_the_log(
    web: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    web.read_model.error = RuntimeError("no such table: customers")
    with caplog.at_level(logging.ERROR):
        answer = await web.graphql(
            "query ($i: String!) { customerByIdentifier(identifier: $i) { tier } }",
            i="+5551234567",
        )
    error = answer["errors"][0]
    assert answer["data"] == {"customerByIdentifier": None}
    assert (error["message"], error["path"]) == ("Internal error", ["customerByIdentifier"])
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["reference"] in caplog.text
    assert "no such table" in caplog.text
    assert "5551234567" not in caplog.text


async def test_an_unexpected_error_in_a_required_field_leaves_data_null(web: WebView) -> None:
    web.read_model.error = RuntimeError("boom")
    response = await web.post({"query": "{ allCustomers { tier } }"}, Accept=RESPONSE_JSON)
    answer = await response.json()
    assert (response.status, answer["data"]) == (200, None)
    assert answer["errors"][0]["message"] == "Internal error"


async def test_an_unexpected_error_of_the_publisher_is_masked_too(web: WebView) -> None:
    web.publisher.error = RuntimeError("secret")
    answer = await web.graphql(
        'mutation { startBasket(employeeId: 1, terminalId: "t") { success } }'
    )
    assert answer["data"] == {"startBasket": None}
    assert answer["errors"][0]["message"] == "Internal error"
