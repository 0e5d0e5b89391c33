"""How much one query may ask for, how long it may take, and what the schema tells of itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graphql import get_introspection_query

from agents.customer_lookup.read_model.records import CustomerRow
from posstream.settings import Settings
from tests.component.fakes import FakeReadModel
from tests.component.web_client import WebView, running_web

SEARCH = 'a{n}: customerByIdentifier(identifier: "+1") {{ tier }}'


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


def many(count: int, field: str) -> str:
    return "{" + " ".join(field.format(n=n) for n in range(count)) + "}"


async def code_of(web: WebView, query: str, **variables: Any) -> str | None:
    """The code of the one error of a request; None if it was answered."""
    answer = await web.graphql(query, **variables)
    if "errors" not in answer:
        return None
    (error,) = answer["errors"]
    return str(error["extensions"]["code"])


# -- sizes


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        (many(20, SEARCH), {}, None),
        (many(21, SEARCH), {}, "QUERY_TOO_COMPLEX"),
        # 1,000 rows with a field each, and the list itself
        (many(7, "a{n}: allCustomers(limit: 1000) {{ tier }}"), {}, None),
        (many(8, "a{n}: allCustomers(limit: 1000) {{ tier }}"), {}, "QUERY_TOO_COMPLEX"),
        # 100 unless asked for otherwise
        (many(20, "a{n}: allCustomers {{ " + "tier " * 5 + "}}"), {}, None),
        (many(20, "a{n}: allCustomers {{ " + "tier " * 7 + "}}"), {}, "QUERY_TOO_COMPLEX"),
        (
            "query ($n: Int)" + many(20, "a{n}: allCustomers(limit: $n) {{ tier }}"),
            {"n": 300},
            None,
        ),
        (
            "query ($n: Int)" + many(20, "a{n}: allCustomers(limit: $n) {{ tier }}"),
            {"n": 400},
            "QUERY_TOO_COMPLEX",
        ),
        (
            "query ($n: Int = 1000)" + many(20, "a{n}: allCustomers(limit: $n) {{ tier }}"),
            {},
            "QUERY_TOO_COMPLEX",
        ),
        (
            "query ($n: Int)" + many(20, "a{n}: customers(first: $n) {{ ...page }}")
            + " fragment page on CustomerConnection { edges { ... on CustomerEdge { node { "
            + "tier " * 8 + "} } } }",
            {"n": 100},
            "QUERY_TOO_COMPLEX",
        ),
    ],
)  # fmt: skip
async def test_lists_multiply_what_is_asked_for_inside_them(
    web: WebView, query: str, variables: dict[str, Any], code: str | None
) -> None:
    assert await code_of(web, query, **variables) == code


async def test_what_is_refused_for_its_size_was_not_begun(web: WebView) -> None:
    await web.graphql(many(20, "a{n}: allCustomers(limit: 1000) {{ tier }}"))
    assert web.read_model.asked == []


async def test_all_fields_of_a_thousand_customers_are_not_too_many(web: WebView) -> None:
    fields = (
        "customerId identifiers firstName lastName email phone loyaltyPoints tier "
        "totalPurchases lastPurchaseDate createdAt updatedAt"
    )
    assert await code_of(web, f"{{ allCustomers(limit: 1000) {{ {fields} }} }}") is None


async def test_a_full_page_down_to_the_customers_is_not_too_deep(web: WebView) -> None:
    query = (
        "{ lookupLogs(first: 100) { pageInfo { endCursor } edges { cursor node { eventId "
        "basket { terminalId customer { customerId identifiers } } } } } }"
    )
    assert await code_of(web, query) is None


# -- time


class SlowReadModel(FakeReadModel):
    """Never answers, and says when it was given up."""

    given_up: asyncio.Event

    async def customer_by_identifier(self, identifier: str) -> CustomerRow | None:
        self._ask(identifier=identifier)
        self.given_up = asyncio.Event()
        try:
            return await asyncio.Future()
        finally:
            self.given_up.set()


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
async def test_a_query_that_takes_too_long_is_given_up_and_said_to_be(accept: str) -> None:
    read_model = SlowReadModel()
    async with running_web(read_model=read_model, query_seconds=0.01) as web:
        query = '{ customerByIdentifier(identifier: "+1") { tier } }'
        response = await web.post({"query": query}, Accept=accept)
        assert response.status == 200
        assert await response.json() == {
            "data": None,
            "errors": [
                {
                    "message": "the query took longer than 0.01 s: ask for less",
                    "extensions": {"code": "TIMEOUT"},
                }
            ],
        }
        await asyncio.wait_for(read_model.given_up.wait(), 5)


async def test_a_mutation_is_not_given_up() -> None:
    async with running_web(query_seconds=0.01) as web:
        web.publisher.acknowledgement = asyncio.sleep(0.05)
        answer = await web.graphql(
            'mutation { startBasket(employeeId: 1, terminalId: "t") { success } }'
        )
        assert answer == {"data": {"startBasket": {"success": True}}}


# -- what the schema tells of itself


@pytest.fixture
async def closed() -> AsyncIterator[WebView]:
    async with running_web(Settings(graphql_introspection=False)) as view:
        yield view


@pytest.mark.parametrize(
    "query", [get_introspection_query(), '{ __type(name: "Customer") { name } }']
)
async def test_the_schema_is_told_unless_it_is_switched_off(
    web: WebView, closed: WebView, query: str
) -> None:
    assert "errors" not in await web.graphql(query)
    refused = await closed.graphql(query)
    assert "data" not in refused
    assert "introspection has been disabled" in refused["errors"][0]["message"]


async def test_the_name_of_a_type_is_told_all_the_same(closed: WebView) -> None:
    assert await closed.graphql("{ __typename }") == {"data": {"__typename": "Query"}}


HINTED = [
    ("{ custome { tier } }", {}),
    ('{ customer(customerId: "1") { teir } }', {}),
    ('{ customer(customerID: "1") { tier } }', {}),
    ("{ customer { tier } } fragment a on Custome { tier }", {}),
    ("{ lookupLogs(status: TIMEOU) { __typename } }", {}),
    ("query ($s: LookupStatus) { lookupLogs(status: $s) { __typename } }", {"s": "TIMEOU"}),
    ("{ __typename @skipp(if: true) }", {}),
]


@pytest.mark.parametrize(("query", "variables"), HINTED)
async def test_errors_hint_at_names_unless_it_is_switched_off(
    web: WebView, closed: WebView, query: str, variables: dict[str, Any]
) -> None:
    told = [error["message"] for error in (await web.graphql(query, **variables))["errors"]]
    hidden = [error["message"] for error in (await closed.graphql(query, **variables))["errors"]]
    assert [message.partition(" Did you mean")[0] for message in told] == hidden


async def test_some_errors_do_hint(web: WebView) -> None:
    answers = [await web.graphql(query, **variables) for query, variables in HINTED]
    hints = [str(answer["errors"]).count("Did you mean") for answer in answers]
    assert sum(map(bool, hints)) >= 5
