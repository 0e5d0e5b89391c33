"""The schema on fakes: what each operation answers, asks and publishes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents.customer_lookup.read_model.records import BasketRow
from posstream.domain.errors import PublishFailed
from tests.component.fakes import NOW, NOW_MS, john
from tests.component.web_client import WebView, running_web

START = 'mutation { startBasket(employeeId: 1, terminalId: "t1") { basketId } }'
IDENTIFY = (
    'mutation { identifyCustomer(basketId: "basket_xxx", customerIdentifier: "+1234567890") '
    "{ success } }"
)
CUSTOMER = 'query { customer(customerId: "CUST_001") { firstName lastName tier loyaltyPoints } }'

START_ALL = """
mutation ($employee: Int!, $terminal: String!) {
  startBasket(employeeId: $employee, terminalId: $terminal) {
    success basketId eventId error { code message }
  }
}"""
IDENTIFY_ALL = """
mutation ($basket: String!, $identifier: String!) {
  identifyCustomer(basketId: $basket, customerIdentifier: $identifier) {
    success eventId error { code message }
  }
}"""
VISA = "4111 1111 1111 1111"


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


# -- the seed's three, to the letter


async def test_the_seeds_start_basket_answers_an_id_of_twelve_hex_digits(web: WebView) -> None:
    answer = await web.graphql(START)
    prefix, _, digits = answer["data"]["startBasket"]["basketId"].partition("_")
    assert (prefix, len(digits), set(digits) <= set("0123456789abcdef")) == ("basket", 12, True)


async def test_the_seeds_identify_customer_succeeds_for_a_basket_not_seen_yet(
    web: WebView,
) -> None:
    assert await web.graphql(IDENTIFY) == {"data": {"identifyCustomer": {"success": True}}}


async def test_the_seeds_customer_query_answers_john_doe(web: WebView) -> None:
    customer = {"firstName": "John", "lastName": "Doe", "tier": "GOLD", "loyaltyPoints": 1250}
    assert await web.graphql(CUSTOMER) == {"data": {"customer": customer}}


# -- mutations


async def test_an_identifier_is_read_and_published_as_the_kind_that_was_said(web: WebView) -> None:
    answer = await web.graphql(
        'mutation { identifyCustomer(basketId: "b", customerIdentifier: "0012345678905", '
        "identifierKind: CARD) { success } }"
    )
    assert answer == {"data": {"identifyCustomer": {"success": True}}}
    published = web.publisher.value()
    assert published["customer_identifier"] == "0012345678905"
    assert published["identifier_kind"] == "CARD"


async def test_a_national_number_is_published_with_the_country_code_in_force(web: WebView) -> None:
    changed = await web.graphql(
        'mutation { updatePluginConfiguration(name: "customer_lookup", '
        'config: "{\\"default_country_code\\": \\"49\\"}") { success } }'
    )
    assert changed["data"]["updatePluginConfiguration"]["success"]
    await web.graphql(IDENTIFY_ALL, basket="b", identifier="030 123")
    assert web.publisher.value()["customer_identifier"] == "+4930123"


@pytest.mark.parametrize("card", [VISA, "4111%201111%201111%201111", "x4111111111111111"])
async def test_an_id_that_holds_a_payment_card_is_refused_and_not_said_again(
    web: WebView, card: str
) -> None:
    for query, arguments, code in (
        (START_ALL, {"employee": 1, "terminal": card}, "INVALID_TERMINAL_ID"),
        (IDENTIFY_ALL, {"basket": card, "identifier": "+1"}, "INVALID_BASKET_ID"),
    ):
        answer = await web.graphql(query, **arguments)
        (outcome,) = answer["data"].values()
        assert outcome["error"]["code"] == code
        assert card not in str(answer)
    assert web.publisher.records == []


async def test_an_error_does_not_say_a_payment_card_again(web: WebView) -> None:
    answer = await web.graphql(START_ALL, employee=4111111111111111, terminal="t")
    assert "errors" in answer
    assert "4111111111111111" not in str(answer)


@pytest.mark.parametrize(
    "query",
    [
        "{ 4111111111111111 }",
        '{ customer(customerId: "1", "4111 1111 1111 1111") { tier } }',
        "{ lookupStats(windowSeconds: 4111111111111111) { total } }",
        "{ customerByIdentifier(identifier: 4111111111111111) { tier } }",
    ],
)
async def test_an_error_in_a_query_does_not_say_its_payment_card_again(
    web: WebView, query: str
) -> None:
    answer = await web.graphql(query)
    assert "errors" in answer
    assert "11111111" not in str(answer)


async def test_a_started_basket_is_published_with_the_answered_ids(web: WebView) -> None:
    answer = await web.graphql(START_ALL, employee=7, terminal="till 3")
    started = answer["data"]["startBasket"]
    assert web.publisher.records[0].topic == "basket-started"
    assert web.publisher.value() == {
        "event_id": started["eventId"],
        "event_type": "BASKET_STARTED",
        "occurred_at": "2026-01-31T08:00:00.000Z",
        "basket_id": started["basketId"],
        "employee_id": 7,
        "terminal_id": "till 3",
    }


async def test_an_identification_is_published_with_the_normalised_identifier(
    web: WebView,
) -> None:
    answer = await web.graphql(IDENTIFY_ALL, basket="b1", identifier=" 00 1234-567890 ")
    record = web.publisher.records[0]
    assert (record.topic, record.key) == ("customer-identified", b"+1234567890")
    assert web.publisher.value() == {
        "event_id": answer["data"]["identifyCustomer"]["eventId"],
        "event_type": "CUSTOMER_IDENTIFIED",
        "occurred_at": "2026-01-31T08:00:00.000Z",
        "basket_id": "b1",
        "customer_identifier": "+1234567890",
    }


async def test_a_mutation_answers_only_after_the_broker_acknowledged(web: WebView) -> None:
    acknowledgement: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    handed_over = asyncio.Event()

    async def acknowledged() -> None:
        handed_over.set()
        await acknowledgement

    web.publisher.acknowledgement = acknowledged()
    answering = asyncio.create_task(web.graphql(IDENTIFY))
    await handed_over.wait()
    # Later requests are answered meanwhile, so an early answer would have arrived by now.
    for _ in range(5):
        await web.graphql(CUSTOMER)
    assert not answering.done()
    acknowledgement.set_result(None)
    assert (await answering)["data"]["identifyCustomer"] == {"success": True}


async def test_a_broker_that_refuses_after_the_hand_over_is_no_success(web: WebView) -> None:
    async def refused() -> None:
        await asyncio.sleep(0)
        raise PublishFailed("not enough replicas")

    web.publisher.acknowledgement = refused()
    assert await web.graphql(IDENTIFY) == {"data": {"identifyCustomer": {"success": False}}}
    assert len(web.publisher.records) == 1


@pytest.mark.parametrize(
    ("query", "field"), [(START_ALL, "startBasket"), (IDENTIFY_ALL, "identifyCustomer")]
)
async def test_an_event_that_the_broker_did_not_take_is_no_success(
    web: WebView, query: str, field: str
) -> None:
    web.publisher.fail()
    variables = (
        {"employee": 1, "terminal": "t1"}
        if query is START_ALL
        else {"basket": "b1", "identifier": "+1234567890"}
    )
    answered = (await web.graphql(query, **variables))["data"][field]
    assert answered["success"] is False
    assert answered["eventId"] is None
    assert answered["error"] == {
        "code": "BROKER_UNAVAILABLE",
        "message": "the broker did not acknowledge the event; try again",
    }


@pytest.mark.parametrize("basket_id", ["", "   ", "b" * 257, "b\n1", "b\u0000"])
async def test_an_unsound_basket_id_is_refused_and_nothing_published(
    web: WebView, basket_id: str
) -> None:
    answer = await web.graphql(IDENTIFY_ALL, basket=basket_id, identifier="+1234567890")
    error = {
        "code": "INVALID_BASKET_ID",
        "message": "basketId must be 1 to 256 printable characters",
    }
    assert answer["data"]["identifyCustomer"] == {
        "success": False,
        "eventId": None,
        "error": error,
    }
    assert web.publisher.records == []


@pytest.mark.parametrize("terminal_id", ["", "   ", "t" * 257, "t\u0007"])
async def test_an_unsound_terminal_id_is_refused_and_nothing_published(
    web: WebView, terminal_id: str
) -> None:
    answer = await web.graphql(START_ALL, employee=1, terminal=terminal_id)
    started = answer["data"]["startBasket"]
    assert (started["success"], started["error"]["code"]) == (False, "INVALID_TERMINAL_ID")
    assert web.publisher.records == []


async def test_an_id_of_256_characters_is_accepted(web: WebView) -> None:
    answer = await web.graphql(IDENTIFY_ALL, basket="b" * 256, identifier="+1234567890")
    assert answer["data"]["identifyCustomer"]["success"] is True


async def test_a_payment_card_is_refused_masked_and_not_published(web: WebView) -> None:
    answer = await web.graphql(IDENTIFY_ALL, basket="b1", identifier=VISA)
    error = answer["data"]["identifyCustomer"]["error"]
    assert error["code"] == "INVALID_IDENTIFIER"
    assert "******" in error["message"]
    assert "1111 1111" not in error["message"]
    assert web.publisher.records == []


@pytest.mark.parametrize("identifier", ["", "..", "näh", "a/b", "+1234567890123456"])
async def test_what_is_no_identifier_is_refused_and_not_published(
    web: WebView, identifier: str
) -> None:
    answer = await web.graphql(IDENTIFY_ALL, basket="b1", identifier=identifier)
    answered = answer["data"]["identifyCustomer"]
    assert (answered["success"], answered["error"]["code"]) == (False, "INVALID_IDENTIFIER")
    assert web.publisher.records == []


# -- queries


async def test_a_customer_has_every_field_of_the_contract(web: WebView) -> None:
    answer = await web.graphql(
        '{ customer(customerId: "CUST_001") { customerId identifiers firstName lastName email '
        "phone loyaltyPoints tier totalPurchases lastPurchaseDate createdAt updatedAt } }"
    )
    assert answer["data"]["customer"] == {
        "customerId": "CUST_001",
        "identifiers": ["+1234567890", "john@example.com"],
        "firstName": "John",
        "lastName": "Doe",
        "email": "john@example.com",
        "phone": "+1234567890",
        "loyaltyPoints": 1250,
        "tier": "GOLD",
        "totalPurchases": "1234.50",
        "lastPurchaseDate": "2026-01-31T08:00:00.000Z",
        "createdAt": "2026-01-31T08:00:00.000Z",
        "updatedAt": "2026-01-31T08:00:00.000Z",
    }


async def test_a_customer_who_never_bought_has_no_purchase_date(web: WebView) -> None:
    web.read_model.customers["CUST_001"] = john(last_purchase_date=None)
    answer = await web.graphql('{ customer(customerId: "CUST_001") { lastPurchaseDate } }')
    assert answer == {"data": {"customer": {"lastPurchaseDate": None}}}


async def test_points_beyond_32_bits_cost_only_their_own_field(web: WebView) -> None:
    web.read_model.customers["CUST_001"] = john(loyalty_points=2**31)
    answer = await web.graphql(CUSTOMER)
    assert answer["data"]["customer"] == {
        "firstName": "John",
        "lastName": "Doe",
        "tier": "GOLD",
        "loyaltyPoints": None,
    }
    assert answer["errors"][0]["extensions"] == {"code": "OUT_OF_RANGE"}


async def test_the_largest_points_of_32_bits_are_answered(web: WebView) -> None:
    web.read_model.customers["CUST_001"] = john(loyalty_points=2**31 - 1)
    answer = await web.graphql(CUSTOMER)
    assert answer["data"]["customer"]["loyaltyPoints"] == 2_147_483_647


@pytest.mark.parametrize("customer_id", ["CUST_999", "", "a\u0000", "x" * 257])
async def test_an_unknown_customer_is_null(web: WebView, customer_id: str) -> None:
    answer = await web.graphql(
        "query ($id: ID!) { customer(customerId: $id) { tier } }", id=customer_id
    )
    assert answer == {"data": {"customer": None}}


async def test_a_customer_is_found_by_any_spelling_of_an_identifier(web: WebView) -> None:
    answer = await web.graphql(
        '{ customerByIdentifier(identifier: " John@Example.COM ") { customerId } }'
    )
    assert answer == {"data": {"customerByIdentifier": {"customerId": "CUST_001"}}}


async def test_a_refused_identifier_belongs_to_nobody_and_is_not_asked_for(web: WebView) -> None:
    answer = await web.graphql(
        "query ($i: String!) { customerByIdentifier(identifier: $i) { customerId } }", i=VISA
    )
    assert answer == {"data": {"customerByIdentifier": None}}
    assert web.read_model.asked == []


async def test_all_customers_asks_with_the_defaults(web: WebView) -> None:
    answer = await web.graphql("{ allCustomers { customerId } }")
    assert answer == {"data": {"allCustomers": [{"customerId": "CUST_001"}]}}
    assert web.read_model.asked == [
        {"first": 100, "after": None, "tier": None, "search": None, "names_only": False}
    ]


async def test_all_customers_hands_its_filters_on(web: WebView) -> None:
    await web.graphql('{ allCustomers(tier: "GOLD", search: " doe ", limit: 1000) { tier } }')
    assert web.read_model.asked == [
        {"first": 1000, "after": None, "tier": "GOLD", "search": "doe", "names_only": False}
    ]


@pytest.mark.parametrize("arguments", ["limit: 0", "limit: -1", "limit: 1001"])
async def test_a_limit_out_of_range_is_an_error_of_the_caller(web: WebView, arguments: str) -> None:
    answer = await web.graphql(f"{{ allCustomers({arguments}) {{ tier }} }}")
    assert answer["errors"][0]["message"] == "limit must be from 1 to 1000"
    assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_an_unprintable_search_is_an_error_of_the_caller(web: WebView) -> None:
    answer = await web.graphql(
        "query ($s: String) { allCustomers(search: $s) { tier } }", s="a\u0000"
    )
    assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_a_basket_comes_with_its_customer(web: WebView) -> None:
    web.read_model.baskets["b1"] = BasketRow("b1", "1", "t1", "CUST_001", NOW, NOW)
    answer = await web.graphql(
        '{ basket(basketId: "b1") { basketId employeeId terminalId customerId '
        "customer { firstName } startedAt identifiedAt } }"
    )
    assert answer["data"]["basket"] == {
        "basketId": "b1",
        "employeeId": "1",
        "terminalId": "t1",
        "customerId": "CUST_001",
        "customer": {"firstName": "John"},
        "startedAt": "2026-01-31T08:00:00.000Z",
        "identifiedAt": "2026-01-31T08:00:00.000Z",
    }


async def test_a_basket_whose_customer_is_unknown_yet_has_nulls(web: WebView) -> None:
    web.read_model.baskets["b1"] = BasketRow("b1", None, None, None, None, None)
    answer = await web.graphql(
        '{ basket(basketId: "b1") { customerId customer { tier } startedAt } }'
    )
    assert answer["data"]["basket"] == {"customerId": None, "customer": None, "startedAt": None}


async def test_an_unknown_basket_is_null(web: WebView) -> None:
    assert await web.graphql('{ basket(basketId: "b9") { basketId } }') == {
        "data": {"basket": None}
    }


def test_the_fixed_clock_and_the_fixed_time_are_the_same_moment() -> None:
    assert NOW.timestamp() * 1000 == NOW_MS
