"""The how-to of fraud detection: its rule is one, and it explains every key and field of a rule."""

import re
import textwrap
from pathlib import Path

import msgspec

from agents.fraud_detection.rules.fields import FIELDS
from agents.fraud_detection.rules.rule import EventType, GroupField, Rule, RuleState

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "find-fraud.md").read_text()
KEYS = PAGE.partition("### The keys of a rule")[2].partition("\n## ")[0]


def test_the_rule_of_the_page_is_one_and_begins_in_the_shadow() -> None:
    (shown,) = re.findall(r"^ {3}```json\n(.*?)^ {3}```$", PAGE, re.MULTILINE | re.DOTALL)
    rule = msgspec.json.decode(textwrap.dedent(shown), type=Rule)
    assert (rule.id, rule.state) == ("many_discounts", RuleState.SHADOW)


def test_every_key_of_a_rule_is_explained_and_no_other() -> None:
    cells = re.findall(r"^\| (`.*?) \|", KEYS, re.MULTILINE)
    explained = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(explained) == sorted(Rule.__struct_fields__)


def test_every_field_event_and_group_that_a_rule_can_name_is_listed() -> None:
    names = {*FIELDS, *EventType, *GroupField}
    assert [name for name in sorted(names) if f"`{name}`" not in KEYS] == []
