"""Every shipped rule fires at the example that its page says, and not at the other one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.rules.rule import RuleState
from agents.fraud_detection.rules.shipped import SHIPPED
from posstream.configuration.model import edited, values_of
from tests.fraud_till import Tills

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "fraud-rules.md"
_SECTION = re.compile(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, list[list[dict[str, Any]]]]:
    """By rule: the messages that fire it, and those that do not."""
    return {
        name: [
            [json.loads(line) for line in block.splitlines()] for block in _BLOCK.findall(section)
        ]
        for name, section in _SECTION.findall(PAGE.read_text())
    }


EXAMPLES = examples()


def fired(rule_id: str, messages: list[dict[str, Any]]) -> list[bool]:
    """At which of the messages a rule raises an alert, with all shipped rules in force."""
    tills = Tills(SHIPPED)
    return [rule_id in {it.rule.rule.id for it in tills.say(message)} for message in messages]


def test_the_page_has_every_shipped_rule_with_two_examples() -> None:
    assert [rule.id for rule in SHIPPED] == list(EXAMPLES)
    assert {len(blocks) for blocks in EXAMPLES.values()} == {2}


@pytest.mark.parametrize("rule_id", EXAMPLES)
def test_a_rule_fires_at_the_last_message_of_its_example(rule_id: str) -> None:
    messages = EXAMPLES[rule_id][0]
    assert fired(rule_id, messages) == [False] * (len(messages) - 1) + [True]


@pytest.mark.parametrize("rule_id", EXAMPLES)
def test_a_rule_does_not_fire_at_the_other_example(rule_id: str) -> None:
    messages = EXAMPLES[rule_id][1]
    assert fired(rule_id, messages) == [False] * len(messages)


def test_a_rule_is_told_and_read_again_as_it_was() -> None:
    rules = values_of(FraudConfiguration())["rules"]
    assert edited(FraudConfiguration(), {"rules": rules}).rules == list(SHIPPED)


def test_only_the_rule_of_fast_purchases_is_a_shadow() -> None:
    shadows = [rule.id for rule in SHIPPED if rule.state is not RuleState.ACTIVE]
    assert shadows == ["rapid_checkout"]
