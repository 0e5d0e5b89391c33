"""The mock directory: the seed's customers, and every fault on demand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from agents.customer_lookup.directory.http import customer_target
from agents.customer_lookup.directory.mock import (
    CUSTOMERS,
    MAX_DELAYED,
    MockDirectory,
    made_up_customer,
    points_at_mock,
)
from posstream.domain.customer import Customer, read_customer
from posstream.domain.identifier import known
from posstream.settings import Settings
from tests.component.web_client import running_web

JOHN = "/api/mock-customer-lookup/+1234567890/"
MOCK_PATH = "/api/mock-customer-lookup/"
NOBODY = "/api/mock-customer-lookup/+999/"


@dataclass
class Mock:
    """The mock with time and luck in the test's hand."""

    client: Any = None
    slept: list[float] = field(default_factory=list)
    luck: float = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def chance(self) -> float:
        return self.luck


@pytest.fixture
async def mock() -> AsyncIterator[Mock]:
    made = Mock()
    application = web.Application()
    application.add_routes(MockDirectory(sleep=made.sleep, chance=made.chance).routes())
    async with TestClient(TestServer(application)) as client:
        made.client = client
        yield made


@pytest.mark.parametrize(
    ("identifier", "customer_id", "first_name", "last_name", "tier", "points"),
    [
        ("+1234567890", "CUST_001", "John", "Doe", "GOLD", 1250),
        ("+0987654321", "CUST_002", "Jane", "Smith", "PLATINUM", 5000),
        ("john@example.com", "CUST_001", "John", "Doe", "GOLD", 1250),
        ("CARD_123456", "CUST_003", "Bob", "Wilson", "SILVER", 500),
        ("+5555555555", "CUST_004", "Alice", "Johnson", "BRONZE", 250),
    ],
)
async def test_the_seeds_customers_are_known_to_the_letter(
    mock: Mock,
    identifier: str,
    customer_id: str,
    first_name: str,
    last_name: str,
    tier: str,
    points: int,
) -> None:
    response = await mock.client.get(f"/api/mock-customer-lookup/{identifier}/")
    customer = await response.json()
    assert response.status == 200
    assert {
        "customer_id": customer_id,
        "first_name": first_name,
        "last_name": last_name,
        "tier": tier,
        "loyalty_points": points,
    }.items() <= customer.items()


def test_the_seed_has_five_identifiers_of_four_people() -> None:
    assert (len(CUSTOMERS), len({c["customer_id"] for c in CUSTOMERS.values()})) == (5, 4)


@pytest.mark.parametrize("identifier", CUSTOMERS)
def test_every_mock_customer_is_believed_by_the_worker(identifier: str) -> None:
    customer = read_customer(CUSTOMERS[identifier])
    assert isinstance(customer, Customer)
    assert customer.as_document() == {**CUSTOMERS[identifier], "attributes": {}}


@pytest.mark.parametrize(
    "path", ["%2B1234567890/", "+1234567890", "001234567890/", "+1%20(234)%20567-890/"]
)
async def test_any_spelling_of_an_identifier_is_understood(mock: Mock, path: str) -> None:
    response = await mock.client.get(f"/api/mock-customer-lookup/{path}")
    assert (await response.json())["customer_id"] == "CUST_001"


@pytest.mark.parametrize(
    "path", ["+999/", "4111111111111111/", "%2Fetc/", "%C3%A9/", "x" * 200 + "/"]
)
async def test_an_unknown_identifier_is_404_in_json(mock: Mock, path: str) -> None:
    response = await mock.client.get(f"/api/mock-customer-lookup/{path}")
    assert response.status == 404
    assert (await response.json())["error"]["code"] == "NOT_FOUND"


async def test_a_delay_is_waited_for(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?delay_ms=250")
    assert (response.status, mock.slept) == (200, [0.25])


async def test_jitter_adds_a_share_of_itself(mock: Mock) -> None:
    mock.luck = 0.5
    await mock.client.get(JOHN + "?delay_ms=100&jitter_ms=200")
    assert mock.slept == [0.2]


@pytest.mark.parametrize("status", [204, 302, 400, 429, 500, 503])
async def test_a_status_is_answered_as_asked(mock: Mock, status: int) -> None:
    response = await mock.client.get(JOHN + f"?status={status}", allow_redirects=False)
    assert response.status == status


@pytest.mark.parametrize(("luck", "status"), [(0.2, 503), (0.3, 200)])
async def test_an_error_rate_fails_its_share(mock: Mock, luck: float, status: int) -> None:
    mock.luck = luck
    response = await mock.client.get(JOHN + "?error_rate=0.3")
    assert response.status == status


async def test_an_error_rate_fails_with_the_status_that_is_given(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?error_rate=1&status=500")
    assert response.status == 500


@pytest.mark.parametrize(("query", "status"), [("", 503), ("&status=429", 429)])
async def test_retry_after_comes_with_a_failure(mock: Mock, query: str, status: int) -> None:
    response = await mock.client.get(JOHN + "?retry_after=3" + query)
    assert (response.status, response.headers["Retry-After"]) == (status, "3")


async def test_retry_after_is_not_on_the_successes_of_an_error_rate(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?retry_after=3&error_rate=0")
    assert response.status == 200
    assert "Retry-After" not in response.headers


async def test_an_invalid_body_is_broken_json_with_200(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?body=invalid")
    assert (response.status, response.content_type) == (200, "application/json")
    with pytest.raises(ValueError, match="Expecting value"):
        await response.json()


async def test_an_html_body_is_a_page_with_200(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?body=html")
    assert (response.status, response.content_type) == (200, "text/html")


async def test_a_huge_body_has_a_megabyte_of_json(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?body=huge")
    assert len(await response.read()) > 1_000_000
    assert (await response.json())["customer_id"] == "CUST_001"


async def test_a_slow_body_trickles_for_ten_seconds_and_is_complete(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?body=slow")
    assert (await response.json())["customer_id"] == "CUST_001"
    assert sum(mock.slept) == pytest.approx(10)
    assert len(mock.slept) > 50


async def test_a_made_up_customer_is_believed_by_the_worker(mock: Mock) -> None:
    response = await mock.client.get(NOBODY + "?generate=1")
    document = await response.json()
    customer = read_customer(document)
    assert isinstance(customer, Customer)
    assert customer.as_document() == {**document, "attributes": {}}


async def test_a_made_up_customer_is_the_same_every_time(mock: Mock) -> None:
    first = await (await mock.client.get(NOBODY + "?generate=1")).json()
    second = await (await mock.client.get(NOBODY + "?generate=1")).json()
    assert first == second
    assert first["customer_id"] == "GEN_" + first["customer_id"][4:].upper()


async def test_two_identifiers_get_two_made_up_customers(mock: Mock) -> None:
    first = await (await mock.client.get(NOBODY + "?generate=1")).json()
    other = await mock.client.get("/api/mock-customer-lookup/+998/?generate=1")
    assert first["customer_id"] != (await other.json())["customer_id"]


async def test_the_seeds_customers_are_not_made_up(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?generate=1")
    assert (await response.json())["customer_id"] == "CUST_001"


async def test_nobody_is_made_up_for_a_refused_identifier(mock: Mock) -> None:
    response = await mock.client.get("/api/mock-customer-lookup/4111111111111111/?generate=1")
    assert response.status == 404


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("delay_ms", "-1"),
        ("delay_ms", "1.5"),
        ("delay_ms", ""),
        ("delay_ms", "99999999999"),
        ("jitter_ms", "x"),
        ("status", "199"),
        ("status", "600"),
        ("error_rate", "1.1"),
        ("error_rate", "nan"),
        ("error_rate", ""),
        ("retry_after", "soon"),
        ("body", "none"),
        ("generate", "yes"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(mock: Mock, parameter: str, value: str) -> None:
    response = await mock.client.get(JOHN, params={parameter: value})
    error = (await response.json())["error"]
    assert (response.status, error["code"]) == (400, "BAD_PARAMETER")
    assert error["message"].startswith(f"{parameter} must be ")


async def test_a_huge_body_is_written_in_pieces(mock: Mock) -> None:
    response = await mock.client.get(JOHN + "?body=huge")
    assert response.headers["Transfer-Encoding"] == "chunked"
    await response.read()


async def test_only_so_many_answers_are_delayed_at_once() -> None:
    waiting, goes_on = asyncio.Semaphore(0), asyncio.Event()

    async def sleep(_: float) -> None:
        waiting.release()
        await goes_on.wait()

    application = web.Application()
    application.add_routes(MockDirectory(sleep=sleep).routes())
    async with TestClient(
        TestServer(application), connector=aiohttp.TCPConnector(limit=0)
    ) as client:
        slow = [asyncio.create_task(client.get(JOHN + "?delay_ms=1")) for _ in range(MAX_DELAYED)]
        for _ in slow:
            await waiting.acquire()
        refused = await client.get(JOHN + "?body=slow")
        prompt = await client.get(JOHN)
        goes_on.set()
        statuses = {(await each).status for each in slow}
    assert (refused.status, prompt.status, statuses) == (503, 200, {200})


# -- whether it answers at all


@pytest.mark.parametrize(
    ("endpoint", "is_ours"),
    [
        ("http://127.0.0.1:8000/api/mock-customer-lookup/", True),
        ("http://127.0.0.1:8000/api/mock-customer-lookup?delay_ms=5", True),
        ("http://localhost:8000/api/mock-customer-lookup/", True),
        ("http://[::1]:8000/api/mock-customer-lookup/", True),
        ("http://till-server:8000/api/mock-customer-lookup/", True),
        ("http://till-server:18000/api/mock-customer-lookup/", True),
        ("http://127.0.0.1:8001/api/mock-customer-lookup/", False),
        ("http://localhost:8001/api/mock-customer-lookup/", False),
        ("http://127.0.0.1/api/mock-customer-lookup/", False),
        ("http://127.0.0.1:8000/customers/", False),
        ("https://crm.example/api/customers/", False),
    ],
)
def test_an_endpoint_is_known_for_the_workers_own_mock(endpoint: str, *, is_ours: bool) -> None:
    assert points_at_mock(endpoint, 8000) == is_ours


async def test_it_answers_while_it_is_the_configured_directory() -> None:
    async with running_web() as view:
        off = await view.client.get(JOHN)
        error = (await off.json())["error"]
        answer = await view.graphql(
            """mutation ($config: JSONString) { updatePluginConfiguration(
            name: "customer_lookup", config: $config) { success } }""",
            config='{"api_endpoint": "http://127.0.0.1:8000/api/mock-customer-lookup/"}',
        )
        assert answer["data"]["updatePluginConfiguration"]["success"]
        on = await view.client.get(JOHN)
    assert (off.status, error["code"], on.status) == (404, "MOCK_DIRECTORY_OFF", 200)
    assert "POSSTREAM_MOCK_DIRECTORY=on" in error["message"]


@pytest.mark.parametrize(("setting", "status"), [(True, 200), (False, 404)])
async def test_a_setting_decides_whatever_is_configured(*, setting: bool, status: int) -> None:
    async with running_web(Settings(plugin_values={"POSSTREAM_MOCK_DIRECTORY": setting})) as view:
        assert (await view.client.get(JOHN)).status == status


@pytest.mark.parametrize(
    "identifier",
    [
        "o'brien@example.com",
        "a/b?c#d%e@x.de",
        "a{b}|c@x.de",
        "+4930123456",
        "~a@x.de",
        "a&b=c@x.de",
    ],
)
async def test_every_normalised_identifier_comes_whole_through_the_url(
    mock: Mock, identifier: str
) -> None:
    endpoint = str(mock.client.make_url(MOCK_PATH)) + "?generate=1"
    base, target = customer_target(endpoint, identifier)
    response = await mock.client.session.get(URL(f"{base.origin()}{target}", encoded=True))
    assert response.status == 200
    assert (await response.json()) == made_up_customer(known(identifier))
