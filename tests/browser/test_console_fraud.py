"""The pages of fraud detection in a browser, on fakes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.preview import Previewed
from tests.browser.conftest import Seen
from tests.browser.sound import faults
from tests.component.fraud_alerts import alert, raised
from tests.component.fraud_web import FraudWeb, running_fraud_web

pytestmark = pytest.mark.browser


def address_of(web: FraudWeb) -> str:
    client = web.view.web.client
    return f"http://{client.host}:{client.port}"


async def test_a_rule_is_written_previewed_and_saved_and_its_alert_judged(
    seen: Seen, tmp_path: Path
) -> None:
    async with running_fraud_web(tmp_path, beat_seconds=0.1) as web:
        page, base = seen.page, address_of(web)
        await page.goto(f"{base}/fraud/rules")
        await page.get_by_role("link", name="Add a rule").click()
        await page.get_by_role("button", name="Preview the rule").click()
        await page.get_by_text("Give the rule a name.").first.wait_for()
        assert await faults(page) == []
        await page.goto(f"{base}/fraud/rules/new")
        await write_rule(page)
        fired = alert("p1", 5, group={"employee_id": "7"})
        web.preview.answer = Previewed(1, [msgspec.convert(fired, FraudAlertRaised)])
        await page.get_by_role("button", name="Preview the rule").click()
        await page.get_by_text("It would have fired 1 time in 24 h.").wait_for()
        assert await faults(page) == []
        await page.get_by_role("button", name="Save the rule").click()
        await page.get_by_text("17 rules").wait_for()

        await page.goto(f"{base}/fraud/alerts")
        await page.get_by_text("live", exact=True).wait_for()
        await web.project(raised("a1", rule_name="Seen at once"))
        await page.get_by_role("link", name="Seen at once").click()
        await page.get_by_label("Note").fill("A stolen card.")
        await page.get_by_role("button", name="It was fraud").click()
        await page.get_by_role("heading", name="Your verdict is on its way").wait_for()
        await web.project_published()
        await page.get_by_role("heading", name="Confirmed, by console").wait_for()
        assert page.url == f"{base}/fraud/alerts/a1"
        # The browser says of a 422 that it was one; that is no fault of the page.
        assert [said for said in seen.errors if "status of 4" not in said] == []


async def write_rule(page: Any) -> None:
    """Fill the form in; it shows the fields of the function that is chosen, and no others."""
    await page.get_by_label("Name", exact=True).fill("Big refunds")
    await page.get_by_label("Id", exact=True).fill("big_refunds")
    await page.get_by_label("PAYMENT_REFUNDED").check()
    await page.get_by_label("employee_id").check()
    field, share = page.locator("#f-field"), page.get_by_role("group", name="Which of them")
    assert not await field.is_visible()
    await page.get_by_label("What is computed").select_option("RATIO")
    assert await share.first.is_visible()
    await page.get_by_label("What is computed").select_option("SUM")
    assert await field.is_visible()
    assert not await share.first.is_visible()
    await field.select_option("amount")
    await page.get_by_label("Limit").fill("500")
