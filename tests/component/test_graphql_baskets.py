"""The GraphQL of the baskets: what a till says, and what became of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.baskets.events.reading import TYPES
from tests.component.basket_copies import PURCHASE, copy_of, identified, item, refunded, started
from tests.component.basket_web import project, running_basket_web
from tests.component.sql_databases import started as start_seen
from tests.component.sql_web import SqlWebView
from tests.component.test_console_lookups import KEYED, SUPPORT, VIEWER, bearer

VISA = "4111 1111 1111 1111"
DIGITS = "with at most 12 digits before and 4 after the point"
WEIGHED = """addItem(
  basketId: "b1", productId: "p", unitPrice: "-0.25", quantity: "0.532", itemId: "i",
  productName: "Apples", category: "Fruit", terminalId: "t1", employeeId: "7"
)"""
OUTCOME = "{ success eventId error { code message } }"


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[SqlWebView]:
    async with running_basket_web(tmp_path) as view:
        yield view


async def said(view: SqlWebView, mutation: str) -> Any:
    answer = await view.web.graphql(f"mutation {{ {mutation} {OUTCOME} }}")
    (outcome,) = answer["data"].values()
    return outcome


@pytest.mark.parametrize(
    ("mutation", "event_type", "fields"),
    [
        (
            'addItem(basketId: "b1", productId: "4006381333931", unitPrice: "1.990")',
            "ITEM_ADDED",
            {"product_id": "4006381333931", "unit_price": "1.99", "quantity": "1"},
        ),
        (
            WEIGHED,
            "ITEM_ADDED",
            {
                "product_id": "p",
                "unit_price": "-0.25",
                "quantity": "0.532",
                "item_id": "i",
                "product_name": "Apples",
                "category": "Fruit",
                "terminal_id": "t1",
                "employee_id": "7",
            },
        ),
        ('removeItem(basketId: "b1", productId: "p")', "ITEM_REMOVED", {"product_id": "p"}),
        (
            'changeItemQuantity(basketId: "b1", itemId: "i", quantity: "0")',
            "ITEM_QUANTITY_CHANGED",
            {"item_id": "i", "quantity": "0"},
        ),
        ('finalizeBasket(basketId: "b1")', "BASKET_FINALIZED", {}),
        ('voidBasket(basketId: "b1", reason: "left")', "BASKET_VOIDED", {"reason": "left"}),
        (
            'completePayment(basketId: "b1", amount: "12.5", method: "CARD", currency: "EUR")',
            "PAYMENT_COMPLETED",
            {"amount": "12.50", "method": "CARD", "currency": "EUR"},
        ),
        (
            'refundPayment(basketId: "b1", amount: "0.0001", paymentId: "p")',
            "PAYMENT_REFUNDED",
            {"amount": "0.0001", "payment_id": "p"},
        ),
    ],
)
async def test_each_mutation_writes_its_event(
    view: SqlWebView, mutation: str, event_type: str, fields: dict[str, str]
) -> None:
    outcome = await said(view, mutation)
    (record,) = view.web.publisher.records
    value = view.web.publisher.value()
    assert (record.topic, record.key) == ("pos-events", b"b1")
    assert outcome == {"success": True, "eventId": value["event_id"], "error": None}
    assert dict(record.headers)["ce_id"].decode() == value["event_id"]
    own = {"item_id", "payment_id", "refund_id"} - fields.keys()
    assert {name: value[name] for name in own & value.keys()} == dict.fromkeys(
        own & value.keys(), value["event_id"]
    )
    assert value["event_type"] == event_type
    assert event_type in TYPES
    assert fields.items() <= value.items()


@pytest.mark.parametrize(
    ("mutation", "code", "message"),
    [
        (
            'addItem(basketId: "b1", productId: "p", unitPrice: "1,99")',
            "INVALID_UNIT_PRICE",
            f"unitPrice must be a decimal {DIGITS}",
        ),
        (
            'completePayment(basketId: "b1", amount: "-1")',
            "INVALID_AMOUNT",
            f"amount must be a decimal of at least 0 {DIGITS}",
        ),
        (
            'completePayment(basketId: "b1", amount: "1.00001")',
            "INVALID_AMOUNT",
            f"amount must be a decimal of at least 0 {DIGITS}",
        ),
        (
            'addItem(basketId: "b1", productId: "p", unitPrice: "1", quantity: "0")',
            "INVALID_QUANTITY",
            f"quantity must be a decimal of more than 0 {DIGITS}",
        ),
        ('removeItem(basketId: "b1")', "INVALID_ITEM_ID", "itemId and productId are missing"),
        (
            f'finalizeBasket(basketId: "{VISA}")',
            "INVALID_BASKET_ID",
            "basketId holds a payment-card number",
        ),
    ],
)
async def test_a_refusal_names_the_argument_and_nothing_is_written(
    view: SqlWebView, mutation: str, code: str, message: str
) -> None:
    outcome = await said(view, mutation)
    assert outcome == {
        "success": False,
        "eventId": None,
        "error": {"code": code, "message": message},
    }
    assert view.web.publisher.records == []


async def test_a_card_number_in_a_detail_reaches_no_topic(view: SqlWebView) -> None:
    outcome = await said(view, f'voidBasket(basketId: "b1", reason: "card {VISA}")')
    assert outcome["success"]
    assert "1111 1111" not in view.web.publisher.value()["reason"]


async def test_no_success_without_the_broker(view: SqlWebView) -> None:
    view.web.publisher.fail()
    outcome = await said(view, 'finalizeBasket(basketId: "b1")')
    assert (outcome["success"], outcome["error"]["code"]) == (False, "BROKER_UNAVAILABLE")


async def test_a_viewer_says_nothing_at_a_till(tmp_path: Path) -> None:
    async with running_basket_web(tmp_path, KEYED) as view:
        query = {"query": 'mutation { voidBasket(basketId: "b1") { success } }'}
        answer = await view.web.client.post("/graphql/", json=query, **bearer(VIEWER))
        assert (await answer.json())["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        answer = await view.web.client.post("/graphql/", json=query, **bearer(SUPPORT))
        assert (await answer.json())["data"]["voidBasket"]["success"]


async def test_a_start_notes_the_normalised_identifier(view: SqlWebView) -> None:
    start = 'startBasket(employeeId: 1, terminalId: "t1", customerIdentifier: "%s")'
    answer = await view.web.graphql(
        f"mutation {{ {start % '+1 (234) 567-890'} {{ success }} }}",
    )
    assert answer == {"data": {"startBasket": {"success": True}}}
    assert view.web.publisher.value()["customer_identifier"] == "+1234567890"
    outcome = await said(view, start % VISA)
    assert outcome["error"]["code"] == "INVALID_IDENTIFIER"
    assert len(view.web.publisher.records) == 1


# -- what became of it


async def test_a_basket_has_its_items_payments_and_events(view: SqlWebView) -> None:
    await view.project(start_seen("b1"))
    await project(view, copy_of("b1", *PURCHASE, refunded(20, "1")))
    answer = await view.web.graphql(
        """{ basket(basketId: "b1") {
          terminalId status revision subtotal discount total paid refunded currency completedAt
          items { itemId productName unitPrice quantity total }
          payments { paymentId amount paidAt } refunds { refundId amount refundedAt }
          events { eventType occurredAt fields }
        } }"""
    )
    basket = answer["data"]["basket"]
    events = basket.pop("events")
    assert basket == {
        "terminalId": "t1",
        "status": "PAID",
        "revision": 7,
        "subtotal": "5.23",
        "discount": "0.00",
        "total": "5.23",
        "paid": "5.23",
        "refunded": "1.00",
        "currency": "EUR",
        "completedAt": "2026-01-31T08:00:09.000Z",
        "items": [
            {
                "itemId": "item-3",
                "productName": "Highlighter",
                "unitPrice": "1.99",
                "quantity": "2",
                "total": "3.98",
            },
            {
                "itemId": "item-4",
                "productName": None,
                "unitPrice": "2.495",
                "quantity": "0.5",
                "total": "1.25",
            },
        ],
        "payments": [
            {"paymentId": "payment-8", "amount": "3.00", "paidAt": "2026-01-31T08:00:08.000Z"},
            {"paymentId": "payment-9", "amount": "2.23", "paidAt": "2026-01-31T08:00:09.000Z"},
        ],
        "refunds": [
            {"refundId": "refund-20", "amount": "1.00", "refundedAt": "2026-01-31T08:00:20.000Z"}
        ],
    }
    assert [event["eventType"] for event in events] == [
        "BASKET_STARTED",
        "CUSTOMER_DATA_FETCHED",
        "ITEM_ADDED",
        "ITEM_ADDED",
        "PAYMENT_COMPLETED",
        "PAYMENT_COMPLETED",
        "PAYMENT_REFUNDED",
    ]
    assert '"unit_price": "2.495"' in events[3]["fields"]


async def test_a_basket_that_no_lookup_saw_is_found_by_its_id(view: SqlWebView) -> None:
    await project(view, copy_of("b1", item(1, "1.99")))
    query = """{{ basket(basketId: "{}") {{
      basketId status total employeeId terminalId customerId customer {{ tier }}
      startedAt identifiedAt events {{ eventType }}
    }} }}"""
    answer = await view.web.graphql(query.format("b1"))
    basket = answer["data"]["basket"]
    assert (basket["basketId"], basket["status"], basket["total"]) == ("b1", "OPEN", "1.99")
    assert basket["customer"] is None
    assert basket["identifiedAt"] is None
    assert [it["eventType"] for it in basket["events"]] == ["ITEM_ADDED"]
    assert (await view.web.graphql(query.format("b2"))) == {"data": {"basket": None}}


async def test_a_basket_of_which_no_till_event_was_seen_has_nulls(view: SqlWebView) -> None:
    await view.project(start_seen("b1"))
    answer = await view.web.graphql('{ basket(basketId: "b1") { status items { itemId } total } }')
    assert answer == {"data": {"basket": {"status": None, "items": None, "total": None}}}


async def test_a_viewer_sees_identifiers_masked_in_events(tmp_path: Path) -> None:
    async with running_basket_web(tmp_path, KEYED) as view:
        await project(view, copy_of("b1", *PURCHASE))
        query = {"query": "{ baskets { edges { node { events { fields } } } } }"}
        answer = await view.web.client.post("/graphql/", json=query, **bearer(VIEWER))
        assert "1234567890" not in await answer.text()
        answer = await view.web.client.post("/graphql/", json=query, **bearer(SUPPORT))
        assert "1234567890" in await answer.text()


async def listed(view: SqlWebView, arguments: str = "") -> Any:
    answer = await view.web.graphql(
        f"{{ baskets{arguments} {{ edges {{ node {{ basketId status total startedAt }} cursor }} "
        "pageInfo { hasNextPage endCursor } } }"
    )
    return answer["data"]["baskets"]


def ids(found: Any) -> list[str]:
    return [edge["node"]["basketId"] for edge in found["edges"]]


async def test_the_list_goes_page_by_page_and_by_filter(view: SqlWebView) -> None:
    await project(
        view,
        copy_of("b1", *PURCHASE),
        copy_of("b2", started(10, terminal_id="t2", employee_id="8"), item(11, "1")),
        copy_of("b3", started(20), identified(21, "jane@example.com", "CUST_002")),
    )
    first = await listed(view, "(first: 2)")
    assert (ids(first), first["pageInfo"]["hasNextPage"]) == (["b3", "b2"], True)
    rest = await listed(view, f'(first: 2, after: "{first["pageInfo"]["endCursor"]}")')
    assert rest["edges"][0]["node"] == {
        "basketId": "b1",
        "status": "PAID",
        "total": "5.23",
        "startedAt": "2026-01-31T08:00:00.000Z",
    }
    assert ids(await listed(view, "(status: OPEN)")) == ["b3", "b2"]
    assert ids(await listed(view, '(terminalId: "t2", employeeId: "8")')) == ["b2"]
    assert ids(await listed(view, '(customerId: "CUST_002")')) == ["b3"]
    window = '(from: "2026-01-31T08:00:10Z", to: "2026-01-31T08:00:20Z")'
    assert ids(await listed(view, window)) == ["b2"]
    assert ids(await listed(view, '(terminalId: " ", to: "")')) == ["b3", "b2", "b1"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ('from: "yesterday"', "from must be a time like 2026-01-31T08:15:00Z"),
        ('terminalId: "\\u0007"', "terminalId must be 1 to 256 printable characters"),
        ('after: "x"', "after must be a cursor of baskets"),
        ("first: 101", "first must be from 1 to 100"),
    ],
)
async def test_a_filter_without_sense_is_an_error_that_names_it(
    view: SqlWebView, argument: str, message: str
) -> None:
    answer = await view.web.graphql(f"{{ baskets({argument}) {{ edges {{ cursor }} }} }}")
    assert answer["errors"][0]["message"] == message
