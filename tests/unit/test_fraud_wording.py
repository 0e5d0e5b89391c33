"""Rules and alerts of fraud detection in plain sentences."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.rules.rule import EventType, GroupField, Rule
from agents.fraud_detection.wording import length, reason, sentence
from posstream.domain.times import iso_utc_ms

AT = datetime(2026, 1, 31, 8, tzinfo=UTC)


def rule(**changed: Any) -> Rule:
    given = {
        "id": "some_rule",
        "name": "Some rule",
        "severity": "HIGH",
        "on": ["PAYMENT_COMPLETED"],
        "group_by": ["customer_id"],
        "function": "COUNT",
        "operator": ">=",
        "limit": 3,
        "window_seconds": 300,
    }
    return msgspec.convert(given | changed, Rule)


def where(field: str, operator: str, value: Any) -> list[dict[str, Any]]:
    return [{"field": field, "operator": operator, "value": value}]


def alert(of: Rule, value: str, total: int = 3, **changed: Any) -> FraudAlertRaised:
    """An alert of a rule, with what an agent takes from the rule."""
    fields = changed.pop("fields", {})
    at = iso_utc_ms(int(AT.timestamp() * 1000))
    given = {
        "event_id": "a1",
        "occurred_at": at,
        "alert_id": "a1",
        "rule_id": of.id,
        "rule_version": "0123456789ab",
        "rule_name": of.name,
        "severity": of.severity,
        "group": {name: f"{name[:1]}1" for name in of.group_by},
        "function": of.function,
        "value": value,
        "operator": of.operator,
        "limit": str(of.limit),
        "window_seconds": of.window_seconds,
        "window_start": at,
        "window_end": at,
        "triggered_by": "e1",
        "observations": [
            {"event_id": f"e{n}", "event_type": of.on[0], "occurred_at": at, "fields": fields}
            for n in range(1, total + 1)
        ],
        "observations_total": total,
        "config_version": 0,
    }
    return msgspec.convert(given | changed, FraudAlertRaised)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"on": ["ITEM_ADDED"], "group_by": ["terminal_id"], "limit": 10, "window_seconds": 60},
            "10 or more ITEM_ADDED at one terminal within 60 s",
        ),
        (
            {"operator": ">", "where": where("amount", ">=", "500")},
            (
                "more than 3 PAYMENT_COMPLETED of one customer within 300 s, "
                "where amount is at least 500"
            ),
        ),
        (
            {"limit": 1, "where": where("basket.customer_id", "=", None)},
            "any PAYMENT_COMPLETED, where basket.customer_id is not known",
        ),
        (
            {"function": "SUM", "field": "amount", "limit": "2000.5", "window_seconds": 86_400},
            "a sum of amount of 2000.50 or more over PAYMENT_COMPLETED of one customer within 24 h",
        ),
        (
            {"function": "AVG", "field": "quantity", "operator": "<", "limit": 2},
            (
                "an average quantity of less than 2 over PAYMENT_COMPLETED of one customer "
                "within 300 s"
            ),
        ),
        (
            {
                "function": "COUNT_DISTINCT",
                "field": "terminal_id",
                "on": ["ITEM_ADDED", "PAYMENT_COMPLETED"],
                "group_by": ["employee_id", "method"],
                "limit": 2,
            },
            (
                "2 or more different terminals in ITEM_ADDED or PAYMENT_COMPLETED of one employee "
                "by one method within 300 s"
            ),
        ),
        (
            {
                "function": "RATIO",
                "of": where("method", "in", ["CASH", "GIFT"]),
                "limit": "0.25",
                "minimum_count": 20,
            },
            (
                "25 % or more of PAYMENT_COMPLETED of one customer within 300 s are ones where "
                "method is one of CASH, GIFT, from 20 events on"
            ),
        ),
        (
            {
                "on": ["BASKET_VOIDED", "PAYMENT_REFUNDED", "PAYMENT_COMPLETED"],
                "function": "RATIO",
                "of": where("event_type", "=", "BASKET_VOIDED"),
                "limit": 1,
            },
            (
                "100 % or more of BASKET_VOIDED, PAYMENT_REFUNDED or PAYMENT_COMPLETED of one "
                "customer within 300 s are BASKET_VOIDED"
            ),
        ),
        (
            {"function": "MAX", "field": "amount", "operator": ">", "window_seconds": 1},
            "any PAYMENT_COMPLETED with amount of more than 3.00",
        ),
        (
            {
                "function": "SEQUENCE",
                "first": where("amount", "<=", 5),
                "then": where("amount", ">=", 200),
                "limit": 2,
            },
            (
                "2 or more PAYMENT_COMPLETED where amount is at most 5, then one where amount is "
                "at least 200, of one customer within 300 s"
            ),
        ),
    ],
)
def test_a_rule_is_a_sentence(changed: dict[str, Any], said: str) -> None:
    assert sentence(rule(**changed)) == said


@pytest.mark.parametrize(
    ("changed", "value", "total", "said"),
    [
        ({}, "3", 3, "3 payments of customer c1 within 300 s; the limit is 3"),
        (
            {"on": ["ITEM_ADDED", "ITEM_REMOVED"], "operator": ">", "limit": 0},
            "1.0000",
            1,
            "1 event of customer c1 within 300 s; the limit is more than 0",
        ),
        (
            {"function": "SUM", "field": "amount", "limit": "2000", "window_seconds": 172_800},
            "2100.5000",
            4,
            (
                "the sum of amount is 2100.50 over 4 payments of customer c1 within 2 days; "
                "the limit is 2000.00"
            ),
        ),
        (
            {
                "function": "COUNT_DISTINCT",
                "field": "terminal_id",
                "group_by": ["employee_id", "customer_id"],
                "limit": 2,
            },
            "2",
            1,
            (
                "2 different terminals in 1 payment of employee e1 and customer c1 within 300 s; "
                "the limit is 2"
            ),
        ),
        (
            {"function": "RATIO", "of": where("method", "=", "CASH"), "limit": 0.25},
            "0.3333",
            30,
            (
                "33.33 % of 30 payments of customer c1 within 300 s are ones where method is CASH; "
                "the limit is 25 %"
            ),
        ),
        (
            {
                "function": "SEQUENCE",
                "first": where("amount", "<=", 5),
                "then": where("amount", ">=", 200),
                "limit": 2,
            },
            "2",
            3,
            (
                "2 payments where amount is at most 5 came before one where amount is at least "
                "200, of customer c1 within 300 s; the limit is 2"
            ),
        ),
    ],
)
def test_an_alert_says_its_value_against_its_limit(
    changed: dict[str, Any], value: str, total: int, said: str
) -> None:
    of = rule(**changed)
    assert reason(alert(of, value, total), of) == said


def test_an_alert_of_a_single_event_says_what_the_rule_looks_for() -> None:
    of = rule(limit=1, group_by=["basket_id"], where=where("amount", ">=", 1000))
    assert reason(alert(of, "1", 1, fields={"amount": "1200.00", "method": "CARD"}), of) == (
        "a payment of basket b1 with amount 1200.00; the rule looks for any PAYMENT_COMPLETED, "
        "where amount is at least 1000"
    )


def test_an_alert_whose_rule_is_not_known_any_more_is_said_by_what_it_holds() -> None:
    raised = alert(rule(), "3")
    assert reason(raised, None) == "3 payments of customer c1 within 300 s; the limit is 3"
    share = alert(rule(function="RATIO", of=where("method", "=", "CASH"), limit="0.5"), "0.5", 4)
    assert reason(share, None) == (
        "50 % of 4 payments of customer c1 within 300 s; the limit is 50 %"
    )


def test_an_alert_of_a_single_value_says_it_against_its_limit() -> None:
    of = rule(function="MAX", field="amount", limit=1000, window_seconds=1)
    raised = alert(of, "1200", 1)
    said = "a payment of customer c1 with amount 1200.00; the limit is 1000.00"
    assert reason(raised, of) == said
    assert reason(raised, None) == (
        "a payment of customer c1 with a value of 1200; the limit is 1000"
    )


def test_an_alert_of_a_forgotten_customer_says_so() -> None:
    raised = alert(rule(), "3", group={"customer_id": ""})
    assert reason(raised, rule()).startswith("3 payments of a forgotten customer within 300 s;")


def test_an_alert_of_another_release_is_said_by_the_name_of_its_group() -> None:
    raised = alert(rule(), "3", group={"shift": "late"})
    assert reason(raised, None).startswith("3 payments of shift late within 300 s;")


def test_every_type_and_group_has_words() -> None:
    for kind in EventType:
        told = reason(alert(rule(on=[kind]), "3"), None)
        assert "3 events" not in told
    for name in GroupField:
        assert " one " in sentence(rule(group_by=[name], limit=2))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 s"), (600, "600 s"), (900, "15 min"), (901, "901 s"), (86_400, "24 h")],
)
def test_a_length_of_time(seconds: int, words: str) -> None:
    assert length(seconds) == words


def test_the_event_that_raised_an_alert_may_not_be_among_its_newest() -> None:
    of = rule(limit=1, where=where("amount", ">=", 1000))
    raised = alert(of, "1", 1, triggered_by="gone")
    assert reason(raised, of).startswith("a payment of customer c1; the rule looks for any")
