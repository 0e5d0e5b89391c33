"""*Try it* as an operator's browser uses it: a form, two events, and the page of their basket."""

import json
import logging
import re

import pytest

from agents.customer_lookup import topics
from agents.customer_lookup.directory.mock import CUSTOMERS
from posstream.domain.errors import PublishFailed
from posstream.domain.payment_card import mask_payment_cards
from posstream.settings import Settings
from tests.component.html_page import HtmlPage
from tests.component.test_console_lookups import KEYED, SUPPORT, VIEWER, bearer
from tests.component.web_client import WebView, running_web

FORM = {"identifier": "+1 (234) 567-890", "employee": "7", "terminal": "till 3"}


async def scanned(web: WebView, form: dict[str, str], status: int) -> HtmlPage:
    response = await web.client.post("/try", data=form, allow_redirects=False)
    assert response.status == status
    return HtmlPage.of(await response.text())


async def test_each_customer_of_the_mock_fills_the_form_in() -> None:
    async with running_web() as web:
        page = HtmlPage.of(await (await web.client.get("/try")).text())
        assert page.values["identifier"] == ""
        offered = [link for link in page.links.values() if link.startswith("/try?")]
        filled = [HtmlPage.of(await (await web.client.get(link)).text()) for link in offered]
        assert [one.values["identifier"] for one in filled] == list(CUSTOMERS)


async def test_a_scan_starts_a_basket_identifies_its_customer_and_leads_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    async with running_web() as web:
        response = await web.client.post("/try", data=FORM, allow_redirects=False)
        assert response.status == 303
        where = re.fullmatch(
            r"/baskets/(basket_[0-9a-f]{12})\?done=tried", response.headers["Location"]
        )
        assert where is not None
        start, scan = web.publisher.records
        assert (start.topic, scan.topic) == (topics.BASKET_STARTED, topics.CUSTOMER_IDENTIFIED)
        started, identified = json.loads(start.value), json.loads(scan.value)
        assert started["basket_id"] == identified["basket_id"] == where[1]
        assert (started["employee_id"], started["terminal_id"]) == (7, "till 3")
        assert identified["customer_identifier"] == "+1234567890"
        # The read model has nothing of it yet, and the page knows why.
        page = HtmlPage.of(await (await web.client.get(response.headers["Location"])).text())
        assert "The customer was scanned" in page.text
        assert "Look again" in page.links
    (line,) = caplog.messages
    assert line.startswith("tryIt(")
    assert line.endswith("by local (operator): done")
    assert "567" not in line


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("identifier", "", "Type or choose"),
        ("identifier", "4111 1111 1111 1111", "payment-card number"),
        ("identifier", "no/slash", "refused"),
        ("employee", "seven", "whole number"),
        ("employee", "-1", "whole number"),
        ("employee", "2147483648", "whole number"),
        ("employee", "²", "whole number"),
        ("terminal", "", "1 to 256"),
        ("terminal", "t" * 257, "1 to 256"),
    ],
)
async def test_what_cannot_be_sent_is_said_at_its_field_and_nothing_is_lost_or_written(
    name: str, typed: str, said: str
) -> None:
    async with running_web() as web:
        page = await scanned(web, FORM | {name: typed}, 400)
        assert list(page.errors) == [name]
        assert said in page.errors[name]
        assert {field: page.values[field] for field in FORM} == FORM | {
            # A card number is on no page in full.
            name: mask_payment_cards(typed)
        }
        assert web.publisher.records == []


async def test_a_broker_that_does_not_acknowledge_is_said_and_nothing_is_lost() -> None:
    async with running_web() as web:
        web.publisher.error = PublishFailed("no leader")
        page = await scanned(web, FORM, 503)
        assert "the broker did not acknowledge the event; try again" in page.text
        assert {field: page.values[field] for field in FORM} == FORM


async def test_a_viewer_can_neither_open_nor_send_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    async with running_web(KEYED) as web:
        for response in (
            await web.client.get("/try", **bearer(VIEWER)),
            await web.client.post("/try", data=FORM, **bearer(VIEWER)),
        ):
            assert response.status == 403
            assert "for the role support" in await response.text()
        assert web.publisher.records == []
        assert caplog.messages == ["tryIt() by vera (viewer): FORBIDDEN"]
        allowed = await web.client.post("/try", data=FORM, allow_redirects=False, **bearer(SUPPORT))
        assert allowed.status == 303


async def test_the_form_of_a_session_carries_its_token() -> None:
    async with running_web(Settings(api_key=SUPPORT)) as web:
        origin = {"Origin": str(web.client.make_url("/")).rstrip("/")}
        await web.client.post("/login", data={"key": SUPPORT}, headers=origin)
        refused = await web.client.post("/try", data=FORM, headers=origin)
        assert refused.status == 403
        page = HtmlPage.of(await (await web.client.get("/try")).text())
        sent = FORM | {"form_token": page.values["form_token"]}
        response = await web.client.post("/try", data=sent, headers=origin, allow_redirects=False)
        assert response.status == 303
