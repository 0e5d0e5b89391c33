"""The form of a fraud rule: what is typed, the rule that it means, and where a refusal belongs."""

import msgspec
import pytest

from agents.fraud_detection.pages.rule_form import MAX_ROWS, TypedRule, new_rule, of_post, of_rule
from agents.fraud_detection.pages.rule_form import wrong as wrong_of
from agents.fraud_detection.rules.rule import Function, Rule
from posstream.domain.errors import InvalidConfiguration
from tests.unit.test_fraud_wording import rule, where

TYPED = {
    "id": "some_rule",
    "name": " Some rule ",
    "severity": "HIGH",
    "state": "SHADOW",
    "on.PAYMENT_COMPLETED": "on",
    "on.ITEM_ADDED": "on",
    "group_by.customer_id": "on",
    "function": "COUNT",
    "operator": ">=",
    "limit": "3",
    "window_seconds": "5 min",
    "cooldown_seconds": "1 h",
    "minimum_count": "",
    "where.1.field": "amount",
    "where.1.operator": ">=",
    "where.1.value": "12.50",
    "where.2.operator": "=",
    "unknown": "x",
}


def read(typed: TypedRule) -> Rule:
    return msgspec.convert(typed.document(), Rule)


def test_a_form_means_a_rule() -> None:
    typed = of_post(TYPED, 7)
    assert typed.missing == {}
    assert typed.document() == {
        "id": "some_rule",
        "name": "Some rule",
        "severity": "HIGH",
        "state": "SHADOW",
        "on": ["ITEM_ADDED", "PAYMENT_COMPLETED"],
        "where": [{"field": "amount", "operator": ">=", "value": "12.50"}],
        "group_by": ["customer_id"],
        "function": "COUNT",
        "operator": ">=",
        "limit": 3,
        "window_seconds": 300,
        "cooldown_seconds": 3600,
    }
    assert typed.version == 7
    assert "unknown" not in typed.texts


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"function": "SUM", "field": "amount", "limit": "2000.5", "operator": ">"},
        {"function": "RATIO", "of": where("method", "in", ["CASH", "GIFT"]), "limit": "0.25"},
        {
            "function": "SEQUENCE",
            "first": where("amount", "<=", "5"),
            "then": where("basket.customer_id", "=", None) + where("amount", ">", "9"),
            "where": where("method", "!=", "CARD"),
        },
    ],
)
def test_a_rule_in_its_form_is_the_same_rule(changed: dict[str, object]) -> None:
    given = rule(**changed)
    typed = of_rule(given, 3)
    assert read(typed) == given
    assert read(of_post(dict(typed.hidden), 3)) == given


def test_fields_of_other_functions_are_kept_but_mean_nothing() -> None:
    typed = of_post({**TYPED, "field": "amount", "of.0.field": "method", "of.0.value": "CARD"}, 0)
    assert {"field", "of"}.isdisjoint(typed.document())
    assert typed.text("of.0.value") == "CARD"
    as_share = of_post({**typed.texts, "function": Function.RATIO}, 0).document()
    assert as_share["of"] == [{"field": "method", "operator": "=", "value": "CARD"}]
    assert "field" not in as_share


def test_the_form_says_all_that_is_missing_at_once() -> None:
    assert new_rule(0).missing.keys() == {"id", "name", "on", "group_by", "limit"}


def test_a_list_of_conditions_has_rows_to_spare() -> None:
    assert [*new_rule(0).rows("where")] == [0, 1]
    assert [*of_post(TYPED, 0).rows("where")] == [0, 1, 2]
    full = {f"of.{number}.field": "amount" for number in range(MAX_ROWS + 1)}
    assert [*of_post(full, 0).rows("of")] == [*range(MAX_ROWS)]


@pytest.mark.parametrize(
    ("key", "errors"),
    [
        ("rules[16].where[0].value", {"where.1.value": "This must be a number."}),
        ("rules[16].where[0].value[2]", {"where.1.value": "This must be a number."}),
        ("rules[16].where[0]", {"where.1.value": "This must be a number."}),
        ("rules[16].on[1]", {"on": "This must be a number."}),
        ("rules[16].limit", {"limit": "This must be a number."}),
        ("rules[16].of", {"of": "This must be a number."}),
    ],
)
def test_a_refusal_is_said_at_its_field(key: str, errors: dict[str, str]) -> None:
    told = wrong_of(of_post(TYPED, 0), InvalidConfiguration(key, "must be a number"))
    assert (told.errors, told.problem) == (errors, "")


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("rules", "the rule must differ"),
        ("snoozes[0].until", "snoozes[0].until must differ"),
    ],
)
def test_a_refusal_that_no_field_shows_is_said_about_the_whole(key: str, problem: str) -> None:
    told = wrong_of(of_post(TYPED, 0), InvalidConfiguration(key, "must differ"))
    assert (told.errors, told.problem) == ({}, problem)
