"""What is refused as a rule, what a rule's version is, and what is recorded for rules."""

from typing import Any

import msgspec
import pytest

from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.compiled import compiled, version_of
from agents.fraud_detection.rules.fields import APART, FIELDS, bits_of
from agents.fraud_detection.rules.plan import plan_of
from posstream.configuration.model import edited, json_schema
from posstream.domain.errors import InvalidConfiguration
from tests.fraud_observations import LOGIN, LOGOUT, PAID, UNKNOWN, condition, observation, rule

DECIMAL = "must be a decimal with at most 12 digits before and 4 after the point"
SESSION = "employee.session_age_seconds"


def refusal(rules: list[Any]) -> str:
    with pytest.raises(InvalidConfiguration) as refused:
        edited(FraudConfiguration(), {"rules": rules})
    return str(refused.value)


def as_json(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(rule())
    return {name: value for name, value in (made | changes).items() if value is not None}


ONE = condition("amount", ">=", 1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"where": [condition("price", "=", 1)]}, "where[0].field: must be one of amount, basket."),
        ({"where": [ONE, condition("amount", ">=", "ten")]}, f"where[1].value: {DECIMAL}"),
        ({"where": [condition("amount", "=", True)]}, f"where[0].value: {DECIMAL}"),
        ({"where": [condition("amount", ">=", None)]}, "where[0].value: must not be null for `>=`"),
        ({"where": [condition("amount", "=", [1])]}, f"where[0].value: {DECIMAL}"),
        ({"where": [condition("amount", "in", [1, "x"])]}, f"where[0].value[1]: {DECIMAL}"),
        ({"where": [condition("method", "in", [None])]}, "where[0].value[0]: must be text"),
        ({"where": [condition("method", "in", "CASH")]}, "where[0].value: must be a list of at"),
        ({"where": [condition("method", "in", [])]}, "where[0].value: must be a list of at least"),
        ({"where": [condition("method", "=", 1)]}, "where[0].value: must be text"),
        ({"where": [condition("method", "<", "a")]}, "where[0].operator: must be =, != or in"),
        ({"where": [condition("method", "like", "a")]}, "where[0].operator: must be one of"),
        ({"function": "SUM"}, "field: must be given for SUM"),
        ({"function": "SUM", "field": "method"}, "field: must be a number for SUM"),
        ({"function": "COUNT_DISTINCT", "field": "shoe"}, "field: must be one of amount"),
        ({"field": "amount"}, "field: must be left out for COUNT"),
        ({"function": "RATIO"}, "of: must be given for RATIO"),
        ({"function": "RATIO", "of": []}, "of: must be given for RATIO"),
        ({"of": []}, "of: must be left out for COUNT"),
        ({"function": "SEQUENCE", "first": [ONE]}, "then: must be given for SEQUENCE"),
        ({"first": [ONE]}, "first: must be left out for COUNT"),
        ({"operator": "in"}, "operator: must be one of =, !=, <, <=, >, >="),
        ({"limit": "0.00001"}, f"limit: {DECIMAL}"),
        ({"limit": 10**12}, f"limit: {DECIMAL}"),
        ({"limit": "1e3"}, f"limit: {DECIMAL}"),
        ({"window_seconds": 604_801}, "window_seconds: must be a whole number from 1 to 604800"),
        ({"on": []}, "on: must be a list of at least 1 items"),
        ({"on": [PAID, PAID]}, "on: must not name anything twice"),
        ({"group_by": ["shelf"]}, "group_by[0]: must be one of"),
        ({"group_by": ["method", "method"]}, "group_by: must not name anything twice"),
        (
            {"where": [condition(SESSION, "<", 5)], "group_by": ["terminal_id"]},
            "group_by: must be employee_id, alone or with terminal_id",
        ),
        (
            {"function": "MIN", "field": SESSION, "group_by": ["employee_id", "customer_id"]},
            "group_by: must be employee_id, alone or with terminal_id",
        ),
    ],
)
def test_a_refusal_names_the_key_and_its_place(changes: dict[str, Any], why: str) -> None:
    rules = [as_json(id="first"), as_json(id="second", **changes)]
    assert refusal(rules).startswith(f"rules[1].{why}")


def test_two_rules_of_one_id_are_refused() -> None:
    assert refusal([as_json(), as_json()]) == "rules[1].id: must differ from all others"


def test_a_snooze_has_a_time() -> None:
    snooze = {"rule_id": "many", "group": {}, "author": "a", "until": "soon"}
    with pytest.raises(InvalidConfiguration, match=r"^snoozes\[0\]\.until: must be a time"):
        edited(FraudConfiguration(), {"snoozes": [snooze]})


def test_the_schema_describes_the_rules() -> None:
    schema = json_schema(FraudConfiguration(), "fraud_detection")
    assert schema["properties"]["rules"]["items"] == {"$ref": "#/$defs/Rule"}
    assert len(schema["properties"]["rules"]["default"]) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other", "severity": "HIGH", "state": "SHADOW"},
        {"on": [UNKNOWN, PAID]},
        {"group_by": ["terminal_id", "employee_id"]},
        {"limit": "2.0"},
        {"where": [condition("method", "in", ["B", "A"]), condition("amount", ">=", "1.00")]},
    ],
)
def test_what_changes_no_result_changes_no_version(changes: dict[str, Any]) -> None:
    same = {
        "on": [PAID, UNKNOWN],
        "group_by": ["employee_id", "terminal_id"],
        "where": [condition("amount", ">=", 1), condition("method", "in", ["A", "B"])],
    }
    assert version_of(rule(**same)) == version_of(rule(**(same | changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "other"},
        {"on": [UNKNOWN]},
        {"group_by": ["terminal_id"]},
        {"where": [condition("amount", ">=", 1)]},
        {"operator": ">"},
        {"limit": 3},
        {"window_seconds": 11},
        {"cooldown_seconds": 1},
        {"minimum_count": 2},
        {"function": "SUM", "field": "amount"},
    ],
)
def test_what_changes_a_result_changes_the_version(changes: dict[str, Any]) -> None:
    assert version_of(rule()) != version_of(rule(**changes))
    assert len(version_of(rule())) == 12


@pytest.mark.parametrize(
    ("field", "operator", "value", "holds"),
    [
        ("amount", "=", "12.5", True),
        ("amount", ">=", 12.5, True),
        ("amount", ">", 12.5, False),
        ("amount", "in", [1, "12.50"], True),
        ("quantity", "=", None, True),
        ("quantity", "!=", 1, True),
        ("quantity", "!=", None, False),
        ("quantity", "<", 1, False),
        ("quantity", "<=", 0, False),
        ("quantity", "in", [0], False),
        ("method", "=", "CASH", True),
        ("method", "in", ["CARD", "CASH"], True),
        ("code", "!=", "CASH", True),
        ("event_type", "=", UNKNOWN, True),
    ],
)
def test_a_condition_compares_facts(
    field: str,
    operator: str,
    value: Any,
    holds: bool,  # noqa: FBT001 - a case's outcome
) -> None:
    made = compiled(rule(on=[UNKNOWN], where=[condition(field, operator, value)]))
    it = observation("a", 0, UNKNOWN, {"amount": 125_000, "method": "CASH"})
    assert made.is_on(it, None) is holds


def test_a_scan_without_an_answer_is_a_scan_too() -> None:
    scans = compiled(rule(on=["CUSTOMER_IDENTIFIED"]))
    failures = compiled(rule(on=["CUSTOMER_LOOKUP_FAILED"]))

    def judged(it: Observation) -> tuple[bool, bool]:
        return scans.is_on(it, None), failures.is_on(it, None)

    assert judged(observation("a", 0, UNKNOWN)) == (True, True)
    assert judged(observation("a", 0, "CUSTOMER_IDENTIFIED")) == (True, False)


def test_a_grouping_records_what_its_rules_need_paused_ones_too() -> None:
    plan = plan_of(
        [
            rule(id="a", where=[condition("method", "=", "CASH")]),
            rule(id="b", state="PAUSED", window_seconds=60, where=[condition(SESSION, "<", 9)]),
            rule(id="c", group_by=["terminal_id", "employee_id"], on=[UNKNOWN]),
            rule(id="d", group_by=["employee_id", "terminal_id"]),
        ]
    )
    one, two = plan.groupings
    assert one.grouping == ("employee_id",)
    assert one.types == {PAID, LOGIN, LOGOUT}
    assert one.facts == {"method", "basket_id", "terminal_id", "employee_id", "customer_id"}
    assert one.widest_window_ms == 60_000
    assert one.needs_session
    assert [it.rule.id for it in one.rules] == ["a"]
    assert (two.grouping, two.types) == (("employee_id", "terminal_id"), {UNKNOWN, PAID})
    assert not two.needs_session


def test_each_fact_has_a_bit_of_its_own() -> None:
    bits = [bits_of([name]) for name in FIELDS - APART]
    assert sum(bits) == bits_of(FIELDS - APART) == (1 << len(bits)) - 1
