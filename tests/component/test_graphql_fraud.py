"""The GraphQL of fraud detection: alerts, verdicts, snoozes, rules, previews, and the stream."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.preview import Previewed, PreviewRefused
from agents.fraud_detection.rules.shipped import SHIPPED
from agents.fraud_detection.snoozed_groups import hashed
from agents.fraud_detection.topics import VERDICTS
from posstream.domain.access_key import read_access_keys
from posstream.settings import Settings
from tests.component.fraud_alerts import PHONE, alert, at, judged, observed, raised, reading
from tests.component.fraud_web import FraudWeb, running_fraud_web
from tests.component.test_console_lookups import bearer

VIEWER, SUPPORT, OPERATOR = "viewer-key-01234", "support-key-0123", "operator-key-012"
KEYED = Settings(
    named_keys=read_access_keys(
        f"viewer:{VIEWER}:vera;support:{SUPPORT}:sam;operator:{OPERATOR}:olga"
    )
)
VISA = "4111 1111 1111 1111"
RULE = msgspec.to_builtins(next(it for it in SHIPPED if it.id == "payment_velocity"))
RESOLVE = """mutation ($id: ID!, $verdict: FraudVerdict!, $note: String) {
  resolveFraudAlert(alertId: $id, verdict: $verdict, note: $note) {
    success alert { status verdict note author judgedAt hits } error { code message }
  }
}"""
SNOOZE = """mutation ($rule: String!, $group: JSONString, $minutes: Int!, $reason: String) {
  snoozeFraudRule(ruleId: $rule, group: $group, minutes: $minutes, reason: $reason) {
    success until version error { code message }
  }
}"""
PREVIEW = """query ($rule: JSONString!, $hours: Int) {
  previewFraudRule(rule: $rule, hours: $hours) {
    count alerts { alertId group hits ruleState } error { code message }
  }
}"""


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[FraudWeb]:
    async with running_fraud_web(tmp_path) as web:
        yield web


async def listed(web: FraudWeb, arguments: str = "") -> list[str]:
    data = await web.ask(f"{{ fraudAlerts{arguments} {{ edges {{ node {{ alertId }} }} }} }}")
    return [edge["node"]["alertId"] for edge in data["fraudAlerts"]["edges"]]


async def resolve(web: FraudWeb, verdict: str, note: str | None = None, id_: str = "a1") -> Any:
    data = await web.ask(RESOLVE, id=id_, verdict=verdict, note=note)
    return data["resolveFraudAlert"]


async def snooze(web: FraudWeb, minutes: int = 60, **given: Any) -> Any:
    if isinstance(given.get("group"), dict):
        given["group"] = orjson.dumps(given["group"]).decode()
    variables = {"rule": "payment_velocity", "reason": "a fair", "minutes": minutes, **given}
    return (await web.ask(SNOOZE, **variables))["snoozeFraudRule"]


async def preview(web: FraudWeb, rule: Any, **variables: Any) -> Any:
    data = await web.ask(PREVIEW, rule=orjson.dumps(rule).decode(), **variables)
    return data["previewFraudRule"]


# -- alerts


async def test_an_alert_has_every_field_of_its_event_and_what_became_of_it(web: FraudWeb) -> None:
    await web.project(
        raised(hits=4, revision=2, snoozed=True, rule_state="SHADOW", complete_from=at(5)),
        judged("UNDECIDED", 40, note=None, author="pete"),
        judged("FALSE_POSITIVE", 50),
    )
    data = await web.ask(
        """{ fraudAlert(alertId: "a1") {
          alertId eventType ruleId ruleVersion ruleName severity group function value operator
          limit windowSeconds windowStart windowEnd triggeredBy observationsTotal basketId
          terminalId employeeId customerId completeFrom occurredAt configVersion
          observations { eventId eventType occurredAt fields }
          hits lastHitAt ruleState snoozed status verdict note author judgedAt
          verdicts { verdict note author at }
        } }"""
    )
    found = data["fraudAlert"]
    first = found.pop("observations")[0]
    assert first | {"fields": orjson.loads(first["fields"])} == {
        "eventId": "event-10",
        "eventType": "PAYMENT_COMPLETED",
        "occurredAt": at(10),
        "fields": {
            "terminal_id": "t1",
            "customer_id": "CUST_001",
            "customer_identifier": PHONE,
            "amount": "12.50",
        },
    }
    assert found | {"group": orjson.loads(found["group"])} == {
        "alertId": "a1",
        "eventType": "FRAUD_ALERT",
        "ruleId": "payment_velocity",
        "ruleVersion": "9b1f0c2d7e3a",
        "ruleName": "Many payments",
        "severity": "MEDIUM",
        "group": {"customer_id": "CUST_001"},
        "function": "COUNT",
        "value": "3",
        "operator": ">=",
        "limit": "3",
        "windowSeconds": 300,
        "windowStart": at(-290),
        "windowEnd": at(10),
        "triggeredBy": "event-10",
        "observationsTotal": 3,
        "basketId": "b1",
        "terminalId": "t1",
        "employeeId": "7",
        "customerId": "CUST_001",
        "completeFrom": at(5),
        "occurredAt": at(10),
        "configVersion": 4,
        "hits": 4,
        "lastHitAt": at(13),
        "ruleState": "SHADOW",
        "snoozed": True,
        "status": "FALSE_POSITIVE",
        "verdict": "FALSE_POSITIVE",
        "note": "John said so",
        "author": "olga",
        "judgedAt": at(50),
        "verdicts": [
            {
                "verdict": "FALSE_POSITIVE",
                "note": "John said so",
                "author": "olga",
                "at": at(50),
            },
            {"verdict": "UNDECIDED", "note": None, "author": "pete", "at": at(40)},
        ],
    }
    assert await web.ask('{ fraudAlert(alertId: "nobody") { alertId } }') == {"fraudAlert": None}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", ["shadow", "odd", "a2", "a1"]),
        ('(ruleId: "void_ratio")', ["odd"]),
        ("(severity: HIGH)", ["odd"]),
        ("(status: CONFIRMED)", ["a1"]),
        ("(status: OPEN)", ["shadow", "odd", "a2"]),
        ('(employeeId: "8")', ["odd"]),
        ('(terminalId: "t2")', ["a2"]),
        ('(basketId: "b9")', ["odd"]),
        ('(customerId: "CUST_002")', ["a2"]),
        (f'(from: "{at(20)}")', ["shadow", "odd", "a2"]),
        (f'(to: "{at(20)}")', ["a1"]),
        (f'(from: "{at(20)}", to: "{at(30)}", ruleId: " ")', ["a2"]),
    ],
)
async def test_alerts_are_listed_by_each_filter(
    web: FraudWeb, arguments: str, expected: list[str]
) -> None:
    await web.project(
        raised("a1", 10),
        raised("a2", 20, terminal_id="t2", customer_id="CUST_002"),
        raised("odd", 30, rule_id="void_ratio", severity="HIGH", employee_id="8", basket_id="b9"),
        raised("shadow", 40, rule_state="SHADOW"),
        judged("CONFIRMED"),
    )
    assert await listed(web, arguments) == expected


async def test_pages_follow_one_another_by_their_cursor(web: FraudWeb) -> None:
    await web.project(*(raised(f"a{number}", number // 2) for number in range(5)))
    shown: list[str] = []
    after = ""
    for _ in range(3):
        data = await web.ask(
            f"{{ fraudAlerts(first: 2{after}) {{ edges {{ node {{ alertId }} }} "
            "pageInfo { hasNextPage endCursor } } }"
        )
        found = data["fraudAlerts"]
        shown += [edge["node"]["alertId"] for edge in found["edges"]]
        after = f', after: "{found["pageInfo"]["endCursor"]}"'
    assert shown == ["a4", "a3", "a2", "a1", "a0"]
    assert not found["pageInfo"]["hasNextPage"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('(from: "noon")', "from must be a time like 2026-01-31T08:15:00Z"),
        ('(ruleId: "\\u0000")', "ruleId must be 1 to 256 printable characters"),
        ("(first: 101)", "first must be from 1 to 100"),
        ('(after: "x")', "after must be a cursor of fraudAlerts"),
    ],
)
async def test_a_bad_filter_is_named(web: FraudWeb, arguments: str, message: str) -> None:
    query = f"{{ fraudAlerts{arguments} {{ edges {{ cursor }} }} }}"
    (error,) = (await web.view.web.graphql(query))["errors"]
    assert (error["message"], error["extensions"]["code"]) == (message, "BAD_USER_INPUT")


async def test_a_page_of_alerts_with_their_verdicts_is_two_statements(web: FraudWeb) -> None:
    await web.project(*(raised(f"a{number}", number) for number in range(5)), judged("CONFIRMED"))
    web.view.statements.clear()
    await web.ask("{ fraudAlerts { edges { node { alertId verdicts { verdict } } } } }")
    assert len(web.view.statements) == 2


async def test_a_viewer_sees_no_identifier(tmp_path: Path) -> None:
    mail = "jane@example.com"
    seen = [observed(1, customer_identifier=PHONE, **{"basket.customer_id": mail})]
    query = {
        "query": "{ fraudAlerts { edges { node { customerId group observations { fields } } } } }"
    }
    async with running_fraud_web(tmp_path, KEYED) as web:
        await web.project(raised(group={"customer_id": mail}, customer_id=mail, observations=seen))
        client = web.view.web.client
        for_viewer = await (await client.post("/graphql/", json=query, **bearer(VIEWER))).text()
        for_support = await (await client.post("/graphql/", json=query, **bearer(SUPPORT))).text()
    assert "errors" not in for_viewer
    assert mail not in for_viewer
    assert PHONE not in for_viewer
    assert for_support.count(mail) == 3
    assert PHONE in for_support


# -- verdicts


async def test_a_verdict_goes_to_the_topic_and_counts_from_then_on(web: FraudWeb) -> None:
    await web.project(raised(hits=2), judged("CONFIRMED", -50))
    outcome = await resolve(web, "FALSE_POSITIVE", "  his own card ")
    told = {
        "status": "FALSE_POSITIVE",
        "verdict": "FALSE_POSITIVE",
        "note": "his own card",
        "author": "graphql",
        "judgedAt": at(0),
        "hits": 2,
    }
    assert outcome == {"success": True, "alert": told, "error": None}
    (record,) = web.view.web.publisher.records
    assert (record.topic, record.key) == (VERDICTS, b"a1")
    await web.project_published()
    query = "{ status verdict note author judgedAt hits }"
    assert await web.ask(f'{{ fraudAlert(alertId: "a1") {query} }}') == {"fraudAlert": told}
    assert await listed(web, "(status: FALSE_POSITIVE)") == ["a1"]


async def test_a_card_number_in_a_note_reaches_no_topic(web: FraudWeb) -> None:
    await web.project(raised())
    outcome = await resolve(web, "CONFIRMED", f"paid with {VISA}")
    assert outcome["success"]
    assert "1111 1111" not in web.view.web.publisher.value()["note"]


@pytest.mark.parametrize(
    ("id_", "note", "code"),
    [
        ("nobody", None, "UNKNOWN_ALERT"),
        ("a1", "x" * 2001, "INVALID_NOTE"),
        ("a1", "\x00", "INVALID_NOTE"),
    ],
)
async def test_a_verdict_that_is_refused_is_not_written(
    web: FraudWeb, id_: str, note: str | None, code: str
) -> None:
    await web.project(raised())
    outcome = await resolve(web, "CONFIRMED", note, id_)
    assert (outcome["success"], outcome["alert"], outcome["error"]["code"]) == (False, None, code)
    assert web.view.web.publisher.records == []


async def test_no_verdict_without_the_broker(web: FraudWeb) -> None:
    await web.project(raised())
    web.view.web.publisher.fail()
    outcome = await resolve(web, "CONFIRMED")
    assert (outcome["success"], outcome["error"]["code"]) == (False, "BROKER_UNAVAILABLE")


async def test_only_an_operator_judges_snoozes_and_previews(tmp_path: Path) -> None:
    queries = {
        "resolveFraudAlert": 'mutation { resolveFraudAlert(alertId: "a1", verdict: CONFIRMED) '
        "{ success alert { author } } }",
        "snoozeFraudRule": 'mutation { snoozeFraudRule(ruleId: "payment_velocity", minutes: 5, '
        'reason: "a fair") { success } }',
        "previewFraudRule": 'query { previewFraudRule(rule: "{}") { error { code } } }',
    }
    async with running_fraud_web(tmp_path, KEYED) as web:
        await web.project(raised())
        for name, query in queries.items():
            for key in (VIEWER, SUPPORT):
                answer = await web.view.web.client.post(
                    "/graphql/", json={"query": query}, **bearer(key)
                )
                (error,) = (await answer.json())["errors"]
                assert error["extensions"]["code"] == "FORBIDDEN", name
        answers = {}
        for query in queries.values():
            answer = await web.view.web.client.post(
                "/graphql/", json={"query": query}, **bearer(OPERATOR)
            )
            answers |= (await answer.json())["data"]
        (snoozed,) = (await web.store.latest()).config["snoozes"]
    assert answers["resolveFraudAlert"] == {"success": True, "alert": {"author": "olga"}}
    assert answers["snoozeFraudRule"] == {"success": True}
    assert snoozed["author"] == "olga"
    assert answers["previewFraudRule"]["error"]["code"] == "INVALID_RULE"


# -- snoozes


@pytest.mark.parametrize(("by_hand", "seen_by_operators"), [(False, False), (True, True)])
async def test_the_configuration_shows_a_viewer_no_customer_of_a_snooze(
    tmp_path: Path, *, by_hand: bool, seen_by_operators: bool
) -> None:
    group = {"customer_id": PHONE}
    rule = {"rule": "payment_velocity", "reason": "a fair"}
    written = {"rule_id": rule["rule"], "group": group, "author": "o", "until": at(3600)}
    if by_hand:
        mutation = (
            "mutation ($config: JSONString) { updatePluginConfiguration("
            'name: "fraud_detection", config: $config) { success } }'
        )
        variables: dict[str, Any] = {"config": orjson.dumps({"snoozes": [written]}).decode()}
    else:
        mutation = SNOOZE
        variables = {**rule, "minutes": 60, "group": orjson.dumps(group).decode()}
    query = '{ fraud: pluginConfiguration(name: "fraud_detection") { config overrides } }'
    async with running_fraud_web(tmp_path, KEYED) as web:
        client = web.view.web.client
        asked = {"query": mutation, "variables": variables}
        answer = await client.post("/graphql/", json=asked, **bearer(OPERATOR))
        (outcome,) = (await answer.json())["data"].values()
        assert outcome["success"]
        for key, is_shown in ((VIEWER, False), (OPERATOR, seen_by_operators)):
            answer = await client.post("/graphql/", json={"query": query}, **bearer(key))
            text = await answer.text()
            assert "payment_velocity" in text
            assert (PHONE in text) is is_shown, text


async def test_a_snooze_is_in_the_configuration_of_every_worker_until_it_ends(
    web: FraudWeb,
) -> None:
    group = {"customer_id": "CUST_001"}
    assert await snooze(web, group=group) == {
        "success": True,
        "until": at(3600),
        "version": 1,
        "error": None,
    }
    written = {
        "rule_id": "payment_velocity",
        "group": hashed(group),
        "author": "graphql",
        "reason": "a fair",
        "until": at(3600),
    }
    assert web.topic.published[-1].config == {"snoozes": [written]}
    # The same group once more, and all groups beside it.
    assert (await snooze(web, 30, group=group, reason="a small fair"))["version"] == 2
    assert (await snooze(web, 10))["success"]
    snoozes = web.topic.published[-1].config["snoozes"]
    assert [(it["group"], it["until"], it["reason"]) for it in snoozes] == [
        (hashed(group), at(1800), "a small fair"),
        ({}, at(600), "a fair"),
    ]
    data = await web.ask("{ fraudRules { ruleId snoozes { group author reason until } } }")
    shown = {it["ruleId"]: it["snoozes"] for it in data["fraudRules"]}
    assert [it["until"] for it in shown.pop("payment_velocity")] == [at(1800), at(600)]
    assert not any(shown.values())
    # Its end.
    assert (await snooze(web, 0, group=group, reason=None))["until"] is None
    assert [it["group"] for it in web.topic.published[-1].config["snoozes"]] == [{}]


async def test_expired_snoozes_go_with_the_next_one(web: FraudWeb) -> None:
    old = {"rule_id": "void_ratio", "author": "olga", "reason": "old", "until": at(-1)}
    live = web.view.web.configurations["fraud_detection"]
    await web.ask(
        "mutation ($config: JSONString) { updatePluginConfiguration("
        'name: "fraud_detection", config: $config) { success error { message } } }',
        config=orjson.dumps({"snoozes": [old], "lateness_seconds": 60}).decode(),
    )
    assert len(live.current.value.snoozes) == 1
    assert (await snooze(web))["success"]
    assert [it.rule_id for it in live.current.value.snoozes] == ["payment_velocity"]
    assert live.current.value.lateness_seconds == 60


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"rule": "nothing"}, "UNKNOWN_RULE", "there is no rule with this ruleId"),
        ({"minutes": 44641}, "INVALID_MINUTES", "minutes must be from 0 to 44640"),
        ({"minutes": -1}, "INVALID_MINUTES", "minutes must be from 0 to 44640"),
        ({"reason": " "}, "INVALID_REASON", "reason must be 1 to 512 characters"),
        ({"reason": None}, "INVALID_REASON", "reason must be 1 to 512 characters"),
        (
            {"group": {"employee_id": "7"}},
            "INVALID_GROUP",
            "group must be an object with customer_id",
        ),
        ({"group": "[]"}, "INVALID_GROUP", "group must be an object with customer_id"),
        (
            {"group": {"customer_id": 7}},
            "INVALID_GROUP",
            "each value of group must be 1 to 256 characters of text",
        ),
        (
            {"reason": VISA},
            "INVALID_CONFIGURATION",
            "snoozes[0].reason: must hold no payment-card number",
        ),
    ],
)
async def test_a_snooze_that_is_refused_changes_nothing_and_is_logged_so(
    web: FraudWeb,
    given: dict[str, Any],
    code: str,
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="posstream.audit"):
        outcome = await snooze(web, **given)
    assert caplog.messages[-1].endswith(f": refused, {code}")
    assert (outcome["success"], outcome["error"]) == (False, {"code": code, "message": message})
    assert web.topic.published == []


async def test_no_snooze_without_the_broker(web: FraudWeb) -> None:
    web.topic.down = True
    outcome = await snooze(web)
    assert (outcome["success"], outcome["error"]["code"]) == (False, "BROKER_UNAVAILABLE")


async def test_two_who_snooze_at_once_both_succeed(
    web: FraudWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = web.view.web.configurations["fraud_detection"]
    seen, latest = [], live.latest

    async def overtaken() -> Any:
        found = await latest()
        if not seen:
            seen.append(found)
            assert (await snooze(web, rule="void_ratio"))["success"]
        return found

    monkeypatch.setattr(live, "latest", overtaken)
    assert (await snooze(web))["success"]
    snoozes = live.current.value.snoozes
    assert [it.rule_id for it in snoozes] == ["void_ratio", "payment_velocity"]


# -- rules and previews


async def test_rules_tell_of_their_alerts_and_of_how_often_they_were_right(web: FraudWeb) -> None:
    await web.project(
        raised("a1", -10),
        raised("a2", -90_000),
        raised("a3", -20, rule_state="SHADOW"),
        judged("CONFIRMED", alert_id="a1"),
        judged("FALSE_POSITIVE", alert_id="a2"),
        judged("UNDECIDED", alert_id="a3"),
        reading(40),
    )
    data = await web.ask(
        "{ fraudRules { ruleId name severity state rule alertsInDay shadowAlertsInDay confirmed "
        "falsePositives precision warming } }"
    )
    rules = {it["ruleId"]: it for it in data["fraudRules"]}
    assert list(rules) == [rule.id for rule in SHIPPED]
    known = rules["payment_velocity"]
    assert orjson.loads(known.pop("rule")) == RULE
    assert known == {
        "ruleId": "payment_velocity",
        "warming": 40,
        "name": RULE["name"],
        "severity": RULE["severity"],
        "state": "ACTIVE",
        "alertsInDay": 1,
        "shadowAlertsInDay": 1,
        "confirmed": 1,
        "falsePositives": 1,
        "precision": 0.5,
    }
    assert rules["rapid_checkout"]["state"] == "SHADOW"
    assert (rules["max_amount"]["alertsInDay"], rules["max_amount"]["precision"]) == (0, None)


async def test_a_preview_tells_how_often_a_rule_would_have_fired(web: FraudWeb) -> None:
    document = alert("p1")
    web.preview.answer = Previewed(12, [msgspec.convert(document, FraudAlertRaised)])
    found = await preview(web, RULE, hours=48)
    (shown,) = found["alerts"]
    assert (found["count"], found["error"]) == (12, None)
    assert shown | {"group": orjson.loads(shown["group"])} == {
        "alertId": "p1",
        "group": {"customer_id": "CUST_001"},
        "hits": 1,
        "ruleState": "SHADOW",
    }
    await preview(web, RULE)
    assert web.preview.asked == [(RULE, 48), (RULE, 24)]


async def test_a_preview_that_is_refused_says_why(web: FraudWeb) -> None:
    web.preview.answer = PreviewRefused("TOO_EXPENSIVE", "ask for fewer hours")
    assert await preview(web, RULE) == {
        "count": None,
        "alerts": [],
        "error": {"code": "TOO_EXPENSIVE", "message": "ask for fewer hours"},
    }


@pytest.mark.parametrize(
    ("rule", "hours", "code", "start"),
    [
        (RULE, 0, "INVALID_HOURS", "hours must be from 1 to 168"),
        (RULE, 169, "INVALID_HOURS", "hours must be from 1 to 168"),
        ([], 1, "INVALID_RULE", "rule must be an object"),
        (RULE | {"window_seconds": 0}, 1, "INVALID_RULE", "window_seconds: must be "),
        (RULE | {"odd": 1}, 1, "INVALID_RULE", "odd: is not a key"),
        (
            RULE | {"where": [{"field": "amont", "operator": ">", "value": 1}]},
            1,
            "INVALID_RULE",
            "where[0].field: must be ",
        ),
        ({"id": "x"}, 1, "INVALID_RULE", "name: is missing"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused_with_its_field(
    web: FraudWeb, rule: Any, hours: int, code: str, start: str
) -> None:
    found = await preview(web, rule, hours=hours)
    assert (found["count"], found["error"]["code"]) == (None, code)
    assert found["error"]["message"].startswith(start)
    assert web.preview.asked == []


# -- the stream


async def test_alerts_are_streamed_as_they_are_published_each_once(web: FraudWeb) -> None:
    query = (
        "subscription { fraudAlertRaised { alertId severity customerId hits status occurredAt } }"
    )
    response = await web.view.web.post({"query": query}, Accept="text/event-stream")
    web.publish(alert("a1"))
    web.publish(alert("a1"))
    web.publish(alert("a2", 20, severity="HIGH"))
    got: list[Any] = []
    async with asyncio.timeout(5):
        while len(got) < 2:
            line = (await response.content.readline()).decode()
            if line.startswith("data: {"):
                got.append(orjson.loads(line.removeprefix("data: "))["data"]["fraudAlertRaised"])
    response.close()
    common = {"customerId": "CUST_001", "hits": 1, "status": "OPEN"}
    assert got == [
        {"alertId": "a1", "severity": "MEDIUM", "occurredAt": at(10), **common},
        {"alertId": "a2", "severity": "HIGH", "occurredAt": at(20), **common},
    ]
