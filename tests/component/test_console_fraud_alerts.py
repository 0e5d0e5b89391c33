"""The pages of fraud alerts as an operator's browser gets them."""

import csv
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from agents.fraud_detection.rules.compiled import version_of
from agents.fraud_detection.rules.shipped import SHIPPED
from agents.fraud_detection.snoozed_groups import hashed
from posstream.configuration.editing import Changed, Note
from posstream.domain.errors import PublishFailed
from tests.component.fraud_alerts import MORNING, PHONE, at, judged, observed, raised
from tests.component.fraud_web import FraudWeb, running_fraud_web
from tests.component.html_page import HtmlPage
from tests.component.sql_databases import found
from tests.component.sql_web import SqlWebView
from tests.component.test_console_basket import in_order
from tests.component.test_console_lookups import KEYED, VIEWER, bearer

VELOCITY = next(rule for rule in SHIPPED if rule.id == "payment_velocity")
AS_SHIPPED = {"rule_version": version_of(VELOCITY), "config_version": 0}
SENTENCE = "3 payments of customer CUST_001 within 300 s; the limit is 3."


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[FraudWeb]:
    async with running_fraud_web(tmp_path) as web:
        yield web


@pytest.fixture
def view(web: FraudWeb) -> SqlWebView:
    return web.view


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "posstream.audit")
    return caplog


async def post(
    web: FraudWeb, path: str, status: int = 200, *, headers: Any = None, **fields: str
) -> HtmlPage:
    """Send a form; its redirect is followed."""
    response = await web.view.web.client.post(path, data=fields, headers=headers)
    assert response.status == status
    return HtmlPage.of(await response.text())


async def test_the_list_shows_the_newest_alerts_with_why_hits_and_verdict(
    web: FraudWeb, view: SqlWebView
) -> None:
    await web.project(
        raised("a1", 10, hits=4, **AS_SHIPPED),
        raised(
            *("a2", 20),
            rule_state="SHADOW",
            snoozed=True,
            severity="CRITICAL",
            basket_id=None,
            complete_from=at(5),
        ),
        judged("CONFIRMED", alert_id="a1"),
    )
    page = await view.page("/fraud/alerts")
    assert page.rows == [
        [
            "2026-01-31 08:00:20",
            "Many payments",
            "critical",
            SENTENCE,
            "",
            "1",
            "open shadow snoozed warming",
        ],
        [
            "2026-01-31 08:00:10",
            "Many payments",
            "medium",
            SENTENCE,
            "b1",
            "4",
            "confirmed",
        ],
    ]
    assert (page.links["Many payments"], page.links["b1"]) == ("/fraud/alerts/a1", "/baskets/b1")
    assert page.links["Alerts"] == "/fraud/alerts"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("rule=rapid_items", ["a2"]),
        ("severity=LOW", ["a2"]),
        ("status=FALSE_POSITIVE", ["a1"]),
        ("status=OPEN", ["a2"]),
        ("employee=8", ["a2"]),
        ("terminal=t2", ["a2"]),
        ("basket=b2", ["a2"]),
        ("customer=CUST_001", ["a1"]),
        ("from=2026-01-31T08:00:15", ["a2"]),
        ("to=2026-01-31T08:00:15", ["a1"]),
        ("rule=rapid_items&terminal=t1", []),
    ],
)
async def test_a_filter_shows_the_alerts_that_match(
    web: FraudWeb, view: SqlWebView, query: str, found: list[str]
) -> None:
    others = {"rule_id": "rapid_items", "severity": "LOW", "employee_id": "8"}
    places = {"terminal_id": "t2", "basket_id": "b2", "customer_id": None}
    await web.project(
        raised("a1", 10, rule_name="a1"),
        raised("a2", 20, rule_name="a2", **others, **places),
        judged("FALSE_POSITIVE", alert_id="a1"),
    )
    page = await view.page(f"/fraud/alerts?{query}")
    assert [row[1] for row in page.rows] == found
    assert ("Nothing matches" in page.text) is (not found)
    name, _, value = query.partition("&")[0].partition("=")
    assert page.values[name] == value


async def test_without_alerts_the_list_says_so(view: SqlWebView) -> None:
    page = await view.page("/fraud/alerts")
    assert "No alerts yet" in page.text
    assert page.links["See the rules"] == "/fraud/rules"


async def test_an_older_page_follows_the_newest_one(web: FraudWeb, view: SqlWebView) -> None:
    names = [f"a{number:02}" for number in range(52)]
    await web.project(*(raised(it, n, rule_name=it) for n, it in enumerate(names)))
    newest = await view.page("/fraud/alerts?terminal=t1")
    assert (newest.rows[0][1], len(newest.rows)) == ("a51", 50)
    older = await view.page(newest.links["Older"])
    assert [row[1] for row in older.rows] == ["a01", "a00"]
    assert older.links["Newest"] == "/fraud/alerts?terminal=t1"
    assert (await view.page("/fraud/alerts?after=broken")).rows == newest.rows


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("severity=BAD", {"severity": "Choose one of the list."}),
        ("status=GONE", {"status": "Choose one of the list."}),
        ("basket=%07", {"basket": "1 to 256 printable characters."}),
        ("from=soon", {"from": "Write a time like 2026-01-31 08:15, in UTC."}),
        ("from=2026-02-01&to=2026-01-01", {"to": "This is not after the start."}),
    ],
)
async def test_a_filter_without_sense_is_said_at_its_field(
    view: SqlWebView, query: str, errors: dict[str, str]
) -> None:
    page = await view.page(f"/fraud/alerts?{query}", 400)
    assert page.errors == errors
    response = await view.web.client.get(f"/fraud/alerts/live?{query}")
    assert response.status == 400


async def test_the_newest_page_is_sent_again_when_it_changes(tmp_path: Path) -> None:
    async with running_fraud_web(tmp_path, beat_seconds=0.05) as web:
        client = web.view.web.client
        async with client.get("/fraud/alerts/live?terminal=t1") as stream:
            assert "No alert matches" in await next_part(stream)
            await web.project(raised("a1", terminal_id="t2"), raised("a2", rule_name="Seen"))
            html = await next_part(stream)
            assert "Seen" in html
            assert "Many payments" not in html


async def next_part(stream: Any) -> str:
    """The HTML of the next event of a stream."""
    async for line in stream.content:
        if line.startswith(b"data: {"):
            sent = orjson.loads(line.removeprefix(b"data: "))
            assert sent["id"] == "alerts"
            return sent["html"]
    raise AssertionError("the stream has ended")


async def test_an_alert_shows_what_made_it_and_the_rule_as_it_was(
    web: FraudWeb, view: SqlWebView
) -> None:
    seen = [observed(10, amount="12.50"), observed(9, amount="3.00", method="CARD")]
    await web.project(raised("a1", hits=3, observations=seen, **AS_SHIPPED))
    page = await view.page("/fraud/alerts/a1")
    assert page.titles == ["Many payments"]
    assert in_order(
        page.text,
        SENTENCE,
        "medium",
        "open",
        "3, the last at 2026-01-31 08:00:12",
        "after 2026-01-31 07:55:10",
        "up to 2026-01-31 08:00:10",
        "The newest 2 of 3 events in the window",
        "The rule as it was",
        "3 or more PAYMENT_COMPLETED of one customer within 300 s.",
        "payment_velocity",
        AS_SHIPPED["rule_version"],
        "the defaults",
        "Nobody has judged it yet",
    )
    assert page.rows == [
        ["2026-01-31 08:00:10.000", "PAYMENT_COMPLETED raised it", "t1", "12.50", ""],
        ["2026-01-31 08:00:09.000", "PAYMENT_COMPLETED", "t1", "3.00", "CARD"],
    ]
    links = {name: page.links[name] for name in ("b1", "CUST_001", "7", "t1", "payment_velocity")}
    assert links == {
        "b1": "/baskets/b1",
        "CUST_001": "/customers/CUST_001",
        "7": "/fraud/alerts?employee=7",
        "t1": "/fraud/alerts?terminal=t1",
        "payment_velocity": "/fraud/rules#payment_velocity",
    }


async def test_an_alert_of_a_rule_that_was_changed_or_deleted_shows_the_old_rule(
    web: FraudWeb, view: SqlWebView
) -> None:
    old = msgspec.structs.replace(VELOCITY, id="old_rule", limit=2)
    documents = [msgspec.to_builtins(it) for it in SHIPPED]
    await edit(web, [*documents, msgspec.to_builtins(old)])
    await edit(web, documents)
    await web.project(
        raised("a1", rule_id="old_rule", rule_version=version_of(old), config_version=1, limit="2"),
        raised("a2", rule_id="old_rule", rule_version="0123456789ab", config_version=9),
    )
    page = await view.page("/fraud/alerts/a1")
    assert in_order(page.text, "the limit is 2.", "2 or more PAYMENT_COMPLETED", "(deleted)")
    page = await view.page("/fraud/alerts/a2")
    assert in_order(page.text, SENTENCE, "It is not known any more")


async def edit(web: FraudWeb, rules: list[Any]) -> None:
    """Somebody replaces the rules."""
    live = web.view.web.configurations["fraud_detection"]
    assert isinstance(await live.edit({"rules": rules}, note=Note(by="ada")), Changed)


async def test_an_alert_whose_window_is_not_known_whole_says_so(
    web: FraudWeb, view: SqlWebView
) -> None:
    await web.project(raised("a1", complete_from=at(5)))
    page = await view.page("/fraud/alerts/a1")
    assert "What was before 2026-01-31 08:00:05 is not known" in page.text


async def test_an_unknown_alert_is_not_there(view: SqlWebView) -> None:
    page = await view.page("/fraud/alerts/gone", 404)
    assert page.titles == ["There is no such alert"]


async def test_customers_are_masked_unless_somebody_who_may_asks(
    web: FraudWeb, view: SqlWebView
) -> None:
    seen = [observed(10, customer_id=PHONE, customer_identifier="jane@example.com")]
    await web.project(
        raised("a1", group={"customer_id": PHONE}, customer_id=PHONE, observations=seen)
    )
    for path in ("/fraud/alerts", "/fraud/alerts/a1"):
        page = await view.page(path)
        assert "1234567890" not in page.text
        assert "jane@" not in page.text
        assert "customer +1******890" in page.text
    full = await view.page("/fraud/alerts/a1?reveal=1")
    assert in_order(full.text, f"customer {PHONE}", "jane@example.com")


async def test_a_viewer_finds_the_alerts_of_a_customer_by_the_seal(tmp_path: Path) -> None:
    async with running_fraud_web(tmp_path, KEYED) as web:
        await web.project(raised("a1", customer_id=PHONE), raised("a2"))
        page = await web.view.page("/fraud/alerts/a1", **bearer(VIEWER))
        (link,) = (where for where in page.links.values() if where.startswith("/customers/"))
        assert "1234567890" not in link
        seal = link.split("/")[-1]
        found = await web.view.page(f"/fraud/alerts?customer={seal}", **bearer(VIEWER))
        assert found.links["Many payments"] == "/fraud/alerts/a1"
        assert len(found.rows) == 1


async def test_a_verdict_with_its_note_is_shown_once_sql_has_it(
    web: FraudWeb, view: SqlWebView, audit: pytest.LogCaptureFixture
) -> None:
    await web.project(raised("a1"), judged("UNDECIDED", -5, author="olga", note="to be seen"))
    page = await post(web, "/fraud/alerts/a1/verdict", verdict="CONFIRMED", note=" A stolen card. ")
    assert in_order(page.text, "Your verdict is written.", "Your verdict is on its way")
    await web.project_published()
    done = f"/fraud/alerts/a1?done=verdict&judged={MORNING}"
    page = await view.page(done)
    assert "Your verdict is on its way" not in page.text
    assert in_order(
        page.text,
        "confirmed",
        "Confirmed, by console",
        "A stolen card.",
        "Undecided, by olga",
        "to be seen",
    )
    (line,) = (record.getMessage() for record in audit.records)
    assert line == (
        "resolveFraudAlert(alert_id='a1', verdict='CONFIRMED') by local (operator): done"
    )


async def test_a_verdict_that_is_not_taken_is_said_and_keeps_the_note(
    web: FraudWeb, view: SqlWebView
) -> None:
    await web.project(raised("a1"))

    async def fail(_: object) -> None:
        raise PublishFailed("no broker")

    view.web.publisher.publish = fail
    page = await post(
        web, "/fraud/alerts/a1/verdict", 503, verdict="CONFIRMED", note="A stolen card."
    )
    assert "The broker did not acknowledge the verdict; try again. Nothing was changed" in page.text
    assert page.values["note"] == "A stolen card."
    await post(web, "/fraud/alerts/a1/verdict", 400, verdict="GUILTY")
    await post(web, "/fraud/alerts/gone/verdict", 404, verdict="CONFIRMED")


#: As a snooze names CUST_001.
WINNER = hashed({"customer_id": "CUST_001"})


@pytest.mark.parametrize(
    ("scope", "group", "whom"),
    [("group", WINNER, f"customer {WINNER['customer_id'][:8]}…"), ("all", {}, "everybody")],
)
async def test_the_rule_of_an_alert_is_snoozed_for_a_time_with_a_reason(
    web: FraudWeb, view: SqlWebView, scope: str, group: dict[str, str], whom: str
) -> None:
    await web.project(raised("a1"))
    page = await post(
        web, "/fraud/alerts/a1/snooze", minutes="90", reason="A wedding.", scope=scope
    )
    assert in_order(page.text, "Snoozed.", "Snoozed until 2026-01-31 09:30:00 by console")
    (version,) = web.topic.published
    (snooze,) = version.config["snoozes"]
    assert (snooze["rule_id"], snooze["group"]) == ("payment_velocity", group)
    assert (snooze["author"], snooze["reason"]) == ("console", "A wedding.")
    rules = await view.page("/fraud/rules")
    assert rules.rows[0][:5] == [
        "Many payments of a customer at once",
        whom,
        "2026-01-31 09:30:00",
        "console",
        "A wedding.",
    ]


async def test_a_snooze_without_sense_is_said_at_its_fields(web: FraudWeb) -> None:
    await web.project(raised("a1"))
    page = await post(web, "/fraud/alerts/a1/snooze", 422, minutes="soon", reason=" ", scope="all")
    assert page.errors == {
        "minutes": "A whole number from 1 to 44,640.",
        "reason": "Tell your colleagues why.",
    }
    assert page.values["minutes"] == "soon"
    assert web.topic.published == []
    await post(web, "/fraud/alerts/gone/snooze", 404, minutes="5", reason="x", scope="all")


async def test_the_rule_of_an_alert_that_is_deleted_cannot_be_snoozed(web: FraudWeb) -> None:
    await web.project(raised("a1", rule_id="old_rule"))
    page = await post(web, "/fraud/alerts/a1/snooze", 422, minutes="5", reason="x", scope="all")
    assert "There is no rule with this ruleId." in page.text


async def test_a_viewer_judges_and_snoozes_nothing(
    tmp_path: Path, audit: pytest.LogCaptureFixture
) -> None:
    async with running_fraud_web(tmp_path, KEYED) as web:
        await web.project(raised("a1"))
        page = await web.view.page("/fraud/alerts/a1", **bearer(VIEWER))
        assert {"note", "minutes"}.isdisjoint(page.values)
        for what in ("verdict", "snooze"):
            await post(web, f"/fraud/alerts/a1/{what}", 403, verdict="CONFIRMED", **bearer(VIEWER))
        assert web.view.web.publisher.records == []
        assert web.topic.published == []
        assert [it.getMessage().rpartition(": ")[2] for it in audit.records] == ["FORBIDDEN"] * 2


async def test_the_page_of_a_basket_shows_its_alerts(web: FraudWeb, view: SqlWebView) -> None:
    await view.project(found("l1", basket="b1"), found("l2", basket="b2"))
    await web.project(raised("a1", rule_state="SHADOW"), judged("CONFIRMED"))
    page = await view.page("/baskets/b1")
    assert in_order(page.text, "Alerts", "Many payments", "confirmed", "shadow", SENTENCE)
    assert page.links["Many payments"] == "/fraud/alerts/a1"
    assert page.links["All alerts of this basket"] == "/fraud/alerts?basket=b1"
    assert "All alerts of this basket" not in (await view.page("/baskets/b2")).text


async def test_without_the_plugin_its_pages_say_why(view: SqlWebView) -> None:
    view.web.fails("fraud_detection", "its table is gone")
    page = await view.page("/fraud/alerts", 503, headers={"Accept": "text/html"})
    assert "its table is gone" in page.text.lower()


async def test_the_list_is_a_file_that_is_masked_unless_revealed(
    web: FraudWeb, view: SqlWebView
) -> None:
    await web.project(
        raised("a1", customer_id=PHONE),
        raised("a2", 15, terminal_id="t2", complete_from=at(5)),
    )
    page = await view.page("/fraud/alerts?sort=oldest")
    text = await (await view.web.client.get(page.links["CSV"])).text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["alert_id"] for row in rows] == ["a1", "a2"]
    assert (rows[0]["customer_id"], rows[1]["terminal_id"]) == ("'+1******890", "t2")
    assert [row["complete_from"] for row in rows] == ["", at(5)]
    text = await (await view.web.client.get("/fraud/alerts.csv?reveal=1&terminal=t1")).text()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["customer_id"] == f"'{PHONE}"


@pytest.mark.parametrize("path", ["/fraud/alerts", "/fraud/alerts.csv"])
async def test_what_the_list_does_not_know_is_refused_by_name(view: SqlWebView, path: str) -> None:
    page = await view.page(f"{path}?colour=red", 400)
    assert "There is no filter “colour”; there are rule, severity," in page.text
