"""A model with a list of structs: checks, the places that refusals name, and its JSON Schema."""

from typing import Any

import pytest

from posstream.configuration.model import (
    PluginConfiguration,
    edited,
    json_schema,
    keys_of,
    merged,
    values_of,
)
from posstream.domain.errors import InvalidConfiguration
from posstream.json.wording import demand
from tests.component.configuration_fakes import Rule, RulesConfiguration

RULE: dict[str, Any] = {"id": "a", "window_seconds": 60}
CARD = "4111111111111111"


def test_the_keys_are_the_fields_of_the_model_in_its_order() -> None:
    assert keys_of(RulesConfiguration) == ("rules", "warn_at", "stop_at")
    assert keys_of(PluginConfiguration) == ()


def test_a_list_is_replaced_as_a_whole_and_read_as_structs() -> None:
    before = edited(RulesConfiguration(), {"rules": [RULE, RULE]})
    after = edited(before, {"rules": [{**RULE, "state": "PAUSED"}]})
    assert after.rules == [Rule(id="a", window_seconds=60, state="PAUSED")]


def test_values_are_what_json_has() -> None:
    configuration = edited(RulesConfiguration(), {"rules": [RULE]})
    rule = {"id": "a", "window_seconds": 60, "state": "ACTIVE", "lowest": 0, "highest": 10}
    assert values_of(configuration) == {"rules": [rule], "warn_at": 5, "stop_at": 50}


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        (5, "rules: must be a list"),
        ([RULE, 5], "rules[1]: must be an object"),
        (
            [RULE, RULE, {**RULE, "window_seconds": 0}],
            "rules[2].window_seconds: must be a whole number from 1 to 604800",
        ),
        (
            [{**RULE, "window_seconds": "1"}],
            "rules[0].window_seconds: must be a whole number from 1 to 604800",
        ),
        ([{"id": "a"}], "rules[0].window_seconds: is missing"),
        ([{**RULE, "id": 1}], "rules[0].id: must be text"),
        ([{**RULE, "state": "ON"}], "rules[0].state: must be one of ACTIVE, PAUSED"),
        ([{**RULE, "limit": 1}], "rules[0].limit: is not a key of this configuration"),
        ([{**RULE, "lowest": 11}], "rules[0].lowest: must be at most `highest`"),
        ([{**RULE, "lowest": float("-inf")}], "rules[0].lowest: must be a number that JSON can"),
        ([{**RULE, "id": CARD}], "rules[0].id: must hold no payment-card number"),
        ([{**RULE, CARD: 1}], "rules[0].411111******1111: is not a key of this configuration"),
        ([{**RULE, "id": "a\0"}], "rules[0].id: must be text that a database can hold"),
    ],
)
def test_a_refusal_names_the_place_in_a_list(rules: object, refusal: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        merged({}, {"rules": rules}, RulesConfiguration)
    assert str(refused.value).startswith(refusal)


def test_keys_that_do_not_go_together_are_refused_by_one_of_them() -> None:
    with pytest.raises(InvalidConfiguration, match=r"^warn_at: must be at most `stop_at`$"):
        edited(RulesConfiguration(), {"warn_at": 60})


def test_keys_that_go_together_may_change_together() -> None:
    changes = {"warn_at": 60, "stop_at": 70}
    assert edited(RulesConfiguration(), merged({}, changes, RulesConfiguration)).warn_at == 60


def test_a_schema_has_the_structs_of_a_list_and_this_worker_s_defaults() -> None:
    defaults = RulesConfiguration(rules=[Rule(id="a", window_seconds=60)])
    schema = json_schema(defaults, "rules")
    assert schema["properties"]["rules"]["items"] == {"$ref": "#/$defs/Rule"}
    assert schema["properties"]["rules"]["default"][0]["window_seconds"] == 60
    assert schema["$defs"]["Rule"]["properties"]["window_seconds"]["maximum"] == 604_800
    assert schema["$defs"]["Rule"]["additionalProperties"] is False
    assert "enabled" not in schema["properties"]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"type": "number"}, "a number"),
        ({"type": "number", "minimum": 0.5}, "a number of at least 0.5"),
        ({"type": "integer", "maximum": 10_000_000}, "a whole number of at most 10000000"),
        ({"type": "string", "maxLength": 9}, "text of at most 9 characters"),
        ({"type": "string", "pattern": "^a$"}, "text like ^a$"),
        ({"type": "array", "minItems": 1, "maxItems": 3}, "a list of 1 to 3 items"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or null"),
        ({"type": "boolean"}, "true or false"),
    ],
)
def test_a_demand_is_said_in_words(known: dict[str, Any], words: str) -> None:
    assert demand({"properties": {"key": known}}, "key") == words
