"""The pages of the topics: how much there is, lag, and the newest messages, masked."""

from collections.abc import AsyncIterator

import orjson
import pytest

from posstream.domain.access_key import read_access_keys
from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.survey import FoundRecord
from posstream.settings import Settings
from tests.component.fakes import NOW_MS
from tests.component.html_page import HtmlPage
from tests.component.web_client import WebView, running_web

SUPPORT, OPERATOR = "support-key-0123", "operator-key-012"
MESSAGES = "/topics/customer-identified/messages"


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


async def get(web: WebView, path: str = "/topics", status: int = 200) -> HtmlPage:
    response = await web.client.get(path, headers={"Accept": "text/html"})
    assert response.status == status
    return HtmlPage.of(await response.text())


def record(value: bytes | None, key: bytes | None = b"+4915112345678") -> FoundRecord:
    return FoundRecord(partition=1, offset=41, timestamp_ms=NOW_MS, key=key, value=value)


async def test_every_topic_and_every_group_is_a_row(web: WebView) -> None:
    page = await get(web)
    row = ["customer-identified", "2", "10", "7 days", "anything", "CustomerIdentified"]
    missing = ["posstream-missing", "not there", "0", "the newest of each key", "k", "v"]
    assert page.rows == [row, missing]  # of the last table
    assert "posstream the plugin lookup customer-identified 5" in page.text
    assert page.links["customer-identified"] == "/topics/customer-identified"


async def test_a_topic_has_its_partitions_and_the_lag_of_each_group_in_them(web: WebView) -> None:
    page = await get(web, "/topics/customer-identified")
    assert page.rows == [["0", "5", "12", "2"], ["1", "0", "3", "3 nothing committed"]]
    assert page.links["Newest messages"] == MESSAGES
    assert "does not have this topic yet" in (await get(web, "/topics/posstream-missing")).text
    assert "No such topic" in (await get(web, "/topics/foreign", 404)).text
    assert "No such topic" in (await get(web, "/topics/foreign/messages", 404)).text


async def test_messages_show_what_names_nobody_and_mask_the_rest(web: WebView) -> None:
    event = {
        "event_type": "CUSTOMER_DATA_FETCHED",
        "basket_id": "basket_1",
        "lookup_id": "+4915112345678",
        "reason": "4111111111111111",
        "attempts": 2,
        "customer_identifier": "john@example.com",
        "customer": {"first_name": "John", "tier": "GOLD", "attributes": {"john@example.com": 1}},
        "retried": True,
    }
    web.topics.records = [
        record(orjson.dumps(event)),
        record(None, None),
        record(b"call john@example.com"),
        record(b"\xff\xfe"),
    ]
    page = await get(web, MESSAGES)
    for shown in ('"CUSTOMER_DATA_FETCHED"', '"basket_1"', '"attempts": 2', "true"):
        assert shown in page.text
    for hidden in ("+4915112345678", "4111111111111111", "john@example.com", "John", "GOLD"):
        assert hidden not in page.text
    assert "+4******678" in page.text
    assert "A tombstone: it has no value." in page.text
    assert "Not shown: 2 bytes that are not text." in page.text
    assert "1 shown" in (await get(web, f"{MESSAGES}?n=1")).text


async def test_only_an_operator_looks_at_messages() -> None:
    keys = read_access_keys(f"support:{SUPPORT}:sam;operator:{OPERATOR}:olga")
    async with running_web(Settings(named_keys=keys)) as web:
        web.topics.records = [record(b'{"event_type": "SEEN"}')]

        async def answered(key: str, path: str) -> tuple[int, str]:
            headers = {"Authorization": f"Bearer {key}", "Accept": "text/html"}
            response = await web.client.get(path, headers=headers)
            return response.status, await response.text()

        status, text = await answered(SUPPORT, "/topics/customer-identified")
        assert (status, "Newest messages" in text) == (200, False)
        status, text = await answered(SUPPORT, MESSAGES)
        assert (status, "SEEN" in text) == (403, False)
        status, text = await answered(OPERATOR, MESSAGES)
        assert (status, "SEEN" in text) == (200, True)


@pytest.mark.parametrize("path", ["/topics", "/topics/customer-identified", MESSAGES])
async def test_a_broker_that_is_away_is_told(web: WebView, path: str) -> None:
    web.topics.error = BrokerUnreachable("no broker at 127.0.0.1:9092")
    page = await get(web, path, 503)
    assert page.titles == ["The topics cannot be read"]
    assert "No broker at" in page.text or "no broker at" in page.text
