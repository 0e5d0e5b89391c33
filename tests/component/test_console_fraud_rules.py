"""The page of the fraud rules and their form, as a browser without script uses them."""

import dataclasses
import re
from collections.abc import AsyncIterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.pages.rule_form import of_rule
from agents.fraud_detection.preview import Previewed, PreviewRefused
from agents.fraud_detection.rules.shipped import SHIPPED
from posstream.configuration.editing import Changed, Note
from posstream.configuration.version import ConfigurationVersion
from posstream.findings import Finding
from tests.component.fraud_alerts import PHONE, alert, at, judged, raised, reading
from tests.component.fraud_web import FraudWeb, running_fraud_web
from tests.component.html_page import HtmlPage
from tests.component.test_console_basket import in_order
from tests.component.test_console_fraud_alerts import post
from tests.component.test_console_lookups import KEYED, VIEWER, bearer

VELOCITY = next(rule for rule in SHIPPED if rule.id == "payment_velocity")
NEW = {
    "id": "many_refunds",
    "name": "Many refunds",
    "severity": "HIGH",
    "state": "SHADOW",
    "on.PAYMENT_REFUNDED": "on",
    "group_by.employee_id": "on",
    "function": "COUNT",
    "operator": ">=",
    "limit": "3",
    "window_seconds": "1 h",
    "cooldown_seconds": "1 h",
    "where.0.field": "amount",
    "where.0.operator": ">=",
    "where.0.value": "5",
    "expected_version": "0",
}
#: Fields of the form that only confirms.
_HIDDEN = re.compile(r'type="hidden" name="([^"]+)" value="([^"]*)"')


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[FraudWeb]:
    async with running_fraud_web(tmp_path) as web:
        yield web


async def page_of(web: FraudWeb, path: str = "/fraud/rules", status: int = 200) -> HtmlPage:
    return await web.view.page(path, status)


def newest(web: FraudWeb) -> ConfigurationVersion:
    return web.topic.published[-1]


def rules_of(web: FraudWeb) -> dict[str, Mapping[str, Any]]:
    """The rules of the newest version, by id."""
    return {rule["id"]: rule for rule in newest(web).config["rules"]}


async def test_every_rule_is_there_with_how_it_does(web: FraudWeb) -> None:
    await web.project(
        raised("a1", -10, rule_id="payment_velocity"),
        raised("a2", -20, rule_id="payment_velocity"),
        raised("a3", -90_000, rule_id="payment_velocity"),
        raised("a4", -30, rule_id="rapid_checkout", rule_state="SHADOW"),
        judged("CONFIRMED", alert_id="a1"),
        judged("FALSE_POSITIVE", alert_id="a2"),
        judged("CONFIRMED", alert_id="a3"),
        reading(40),
    )
    page = await page_of(web)
    assert all(rule.name in page.text for rule in SHIPPED)
    assert in_order(
        page.text,
        "None. A rule is snoozed from one of its",
        "16 rules",
        "Many payments of a customer at once",
        "active",
        "medium",
        "warming",
        "3 or more PAYMENT_COMPLETED of one customer within 300 s.",
        "It has read 40 % of the past events",
        "Window 300 s",
        "Alerts, 24 h 2",
        "Precision 66.7 % of 3 judged",
        "Paid right after the start",
        "shadow",
        "Any PAYMENT_COMPLETED, where basket.age_seconds is at most 30.",
        "Alerts, 24 h 0 + 1 shadow",
        "Precision -",
    )
    assert page.links["2"] == "/fraud/alerts?rule=payment_velocity"


@pytest.mark.parametrize(
    ("action", "state", "told"),
    [
        ("pause", "PAUSED", "Paused: nothing is judged by it."),
        ("shadow", "SHADOW", "In the shadow: its alerts are listed, and not published."),
    ],
)
async def test_a_rule_gets_another_state_and_the_others_stay(
    web: FraudWeb, action: str, state: str, told: str
) -> None:
    page = await post(web, "/fraud/rules/state", rule_id="payment_velocity", action=action)
    assert told in page.text
    assert rules_of(web)["payment_velocity"]["state"] == state
    others = {rule.id: rule.state for rule in SHIPPED if rule is not VELOCITY}
    kept = {it: rule["state"] for it, rule in rules_of(web).items() if it != "payment_velocity"}
    assert kept == others
    assert newest(web).description == f"{action} payment_velocity"
    page = await post(web, "/fraud/rules/state", rule_id="payment_velocity", action="activate")
    assert "Activated" in page.text
    page = await post(web, "/fraud/rules/state", rule_id="payment_velocity", action="activate")
    assert "Nothing changed" in page.text


async def test_a_rule_is_deleted(web: FraudWeb) -> None:
    page = await post(web, "/fraud/rules/state", rule_id="payment_velocity", action="delete")
    assert in_order(page.text, "Deleted.", "15 rules")
    assert "payment_velocity" not in rules_of(web)
    page = await post(web, "/fraud/rules/state", 404, rule_id="payment_velocity", action="pause")
    assert "There is no such rule." in page.text
    await post(web, "/fraud/rules/state", 400, rule_id="rapid_items", action="explode")


async def test_a_change_that_the_broker_does_not_take_is_said(web: FraudWeb) -> None:
    web.topic.down = True
    page = await post(web, "/fraud/rules/state", 503, rule_id="rapid_items", action="pause")
    assert "The broker did not acknowledge the change; try again. Nothing was changed" in page.text
    page = await post(web, "/fraud/rules", 503, **NEW)
    assert "The broker did not acknowledge the change; try again." in page.text
    assert page.values["name"] == "Many refunds"


async def test_a_snooze_is_ended_by_hand(web: FraudWeb) -> None:
    group = {"customer_id": PHONE}
    await snoozed(web, group, at(3600))
    page = await page_of(web)
    assert page.rows == [
        [
            "Many payments of a customer at once",
            "customer +1******890",
            "2026-01-31 09:00:00",
            "ada",
            "A wedding.",
            "End",
        ]
    ]
    form = {name: page.values[name] for name in ("rule_id", "group")}
    form["rule_id"] = "payment_velocity"
    assert "1234567890" not in form["group"]
    page = await post(web, "/fraud/rules/snooze-end", **form)
    assert in_order(page.text, "The snooze is over.", "None. A rule is snoozed")
    assert newest(web).config["snoozes"] == []
    await post(web, "/fraud/rules/snooze-end", 409, rule_id="gone", group="{}")
    await post(web, "/fraud/rules/snooze-end", 400, rule_id="payment_velocity", group="{")


async def snoozed(web: FraudWeb, group: Mapping[str, str], until: str) -> None:
    """Somebody snoozes the rule."""
    snooze = {"author": "ada", "reason": "A wedding.", "until": until}
    config = {"snoozes": [{"rule_id": "payment_velocity", "group": dict(group), **snooze}]}
    await edit(web, config)


async def edit(web: FraudWeb, config: Mapping[str, Any]) -> None:
    """Somebody changes the configuration."""
    live = web.view.web.configurations["fraud_detection"]
    assert isinstance(await live.edit(config, note=Note(by="ada")), Changed)


async def test_a_snooze_that_is_over_is_not_there(web: FraudWeb) -> None:
    await snoozed(web, {}, at(-1))
    assert "None. A rule is snoozed" in (await page_of(web)).text


async def test_a_rule_is_previewed_and_then_saved(web: FraudWeb) -> None:
    form = await page_of(web, "/fraud/rules/new")
    assert (form.titles, form.values["state"]) == (["Add a rule"], "SHADOW")
    fired = [alert(f"a{n}", n, group={"employee_id": "7"}, value="4") for n in range(10)]
    web.preview.answer = Previewed(12, [msgspec.convert(it, FraudAlertRaised) for it in fired])
    client = web.view.web.client
    previewed = {**NEW, "hours": "24", "description": "Ask for them"}
    response = await client.post("/fraud/rules/preview", data=previewed)
    html = await response.text()
    page = HtmlPage.of(html)
    assert web.topic.published == []
    assert in_order(
        page.text,
        "Before you save",
        "3 or more PAYMENT_REFUNDED of one employee within 1 h, where amount is at least 5.",
        "It would have fired",
        "12 times",
        "in 24 h: the newest 10 of them",
    )
    assert page.rows[0] == [
        "2026-01-31 08:00:00",
        "4 refunds of employee 7 within 300 s; the limit is 3.",
        "b1",
    ]
    assert len(page.rows) == 10
    ((asked, hours),) = web.preview.asked
    assert (asked["id"], asked["window_seconds"], hours) == ("many_refunds", 3600, 24)
    saved = await post(web, "/fraud/rules", **dict(_HIDDEN.findall(unescape(html))))
    assert in_order(saved.text, "Saved.", "17 rules", "Many refunds")
    assert rules_of(web)["many_refunds"]["where"] == [
        {"field": "amount", "operator": ">=", "value": "5"}
    ]
    assert (newest(web).description, newest(web).updated_by) == ("Ask for them", "console")


async def test_without_a_preview_the_rule_can_be_saved(web: FraudWeb) -> None:
    web.preview.answer = PreviewRefused("TOO_MUCH", "it would read too many events")
    page = await post(web, "/fraud/rules/preview", **NEW)
    assert "There is no preview: It would read too many events. The rule" in page.text
    assert "Save the rule" in page.text


async def test_a_rule_is_edited_in_its_place(web: FraudWeb) -> None:
    form = await page_of(web, "/fraud/rules/edit/payment_velocity")
    assert form.titles == ["Edit a rule"]
    assert (form.values["limit"], form.values["window_seconds"]) == ("3", "300")
    sent = {**dict(of_rule(VELOCITY, 0).hidden), "was": "payment_velocity", "limit": "4"}
    await post(web, "/fraud/rules", **sent)
    expected = [msgspec.structs.replace(it, limit=4) if it is VELOCITY else it for it in SHIPPED]
    assert list(web.view.web.configurations["fraud_detection"].current.value.rules) == expected
    assert newest(web).description == "edit payment_velocity"


async def test_a_rule_that_is_not_there_has_no_form(web: FraudWeb) -> None:
    page = await page_of(web, "/fraud/rules/edit/gone", 404)
    assert page.titles == ["There is no such rule"]


async def test_a_rule_with_more_conditions_than_the_form_has_rows_is_not_cut(
    web: FraudWeb,
) -> None:
    where = [{"field": "amount", "operator": "!=", "value": str(n)} for n in range(9)]
    long = {**msgspec.to_builtins(VELOCITY), "where": where}
    await edit(web, {"rules": [long]})
    page = await page_of(web, "/fraud/rules/edit/payment_velocity")
    assert "edit it as JSON" in page.text


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        (
            {"name": "", "limit": "", "on.PAYMENT_REFUNDED": ""},
            {
                "name": "Give the rule a name.",
                "limit": "Say at which value the rule holds.",
            },
        ),
        (
            {"id": "Many refunds"},
            {"id": "Use a to z, digits and _, at most 63, and begin with a letter."},
        ),
        ({"window_seconds": "8 days"}, {"window_seconds": "to 604800."}),
        ({"limit": "many"}, {"limit": "This must be a decimal"}),
        ({"where.0.value": "much"}, {"where.0.value": "This must be a decimal"}),
        ({"where.0.field": "method"}, {"where.0.operator": "`method` is text."}),
        ({"function": "SUM"}, {"field": "This must be given for SUM."}),
        ({"id": "rapid_items"}, {"id": "This must differ from all others."}),
    ],
)
@pytest.mark.parametrize("where", ["/fraud/rules", "/fraud/rules/preview"])
async def test_what_is_wrong_is_said_at_its_field(
    web: FraudWeb, changed: dict[str, str], errors: dict[str, str], where: str
) -> None:
    page = await post(web, where, 422, **{**NEW, **changed})
    assert page.errors.keys() == errors.keys()
    for name, told in errors.items():
        assert told in page.errors[name]
    assert "Nothing was saved." in page.text
    assert page.values["window_seconds"] == {**NEW, **changed}["window_seconds"]
    assert (web.topic.published, web.preview.asked) == ([], [])


async def test_what_is_wrong_with_a_group_of_boxes_is_said_there(web: FraudWeb) -> None:
    page = await post(web, "/fraud/rules", 422, **{**NEW, "on.PAYMENT_REFUNDED": ""})
    assert in_order(page.text, "Events : Choose at least one kind of event.", "Events", "Choose")
    assert page.links["Events"] == "#f-on"


async def test_an_edit_goes_on_top_of_what_others_did_to_other_rules(web: FraudWeb) -> None:
    sent = {**dict(of_rule(VELOCITY, 0).hidden), "was": "payment_velocity", "limit": "4"}
    await post(web, "/fraud/rules/state", rule_id="rapid_items", action="pause")
    await post(web, "/fraud/rules", **sent)
    assert rules_of(web)["payment_velocity"]["limit"] == 4
    assert rules_of(web)["rapid_items"]["state"] == "PAUSED"


async def test_an_edit_of_a_rule_that_others_changed_meanwhile_is_not_saved(web: FraudWeb) -> None:
    sent = {**dict(of_rule(VELOCITY, 0).hidden), "was": "payment_velocity", "limit": "4"}
    await post(web, "/fraud/rules/state", rule_id="payment_velocity", action="pause")
    page = await post(web, "/fraud/rules", 409, **sent)
    assert "Somebody else changed this rule while the form was open." in page.text
    assert (page.values["limit"], page.values["expected_version"]) == ("4", "1")
    assert newest(web).version == 1
    await post(web, "/fraud/rules", **{**sent, "expected_version": "1"})
    assert rules_of(web)["payment_velocity"]["limit"] == 4


async def test_a_viewer_sees_the_rules_and_changes_none(tmp_path: Path) -> None:
    async with running_fraud_web(tmp_path, KEYED) as web:
        page = await web.view.page("/fraud/rules", **bearer(VIEWER))
        assert "16 rules" in page.text
        assert {"Add a rule", "Edit"}.isdisjoint(page.links)
        for path in ("/fraud/rules/new", "/fraud/rules/edit/rapid_items"):
            await web.view.page(path, 403, **bearer(VIEWER))
        for path in ("", "/preview", "/state", "/snooze-end"):
            await post(web, f"/fraud/rules{path}", 403, **NEW, **bearer(VIEWER))
        assert (web.topic.published, web.preview.asked) == ([], [])


async def test_the_page_says_that_fraud_detection_is_switched_off(web: FraudWeb) -> None:
    live = web.view.web.configurations["fraud_detection"]
    assert isinstance(await live.edit({}, enabled=False, note=Note(by="ada")), Changed)
    assert "Fraud detection is switched off" in (await page_of(web)).text


async def test_the_page_says_which_rules_are_paused_by_their_budget(web: FraudWeb) -> None:
    told = "the rule rapid_items is paused on this worker: it raised more than 9 alerts in an hour"
    statuses = web.view.web.statuses
    status = statuses["fraud_detection"]
    found = Finding(code="RULE_PAUSED", sentence=told, next_step="Edit the rule")
    statuses["fraud_detection"] = dataclasses.replace(status, findings=lambda: [found])
    assert f"T{told[1:]}. Edit the rule." in (await page_of(web)).text
