"""An edit of a configuration is told in words: what changed, and no more."""

from typing import Any

import pytest

from posstream.configuration.differences import differences
from posstream.configuration.version import ConfigurationChange, ConfigurationVersion

MANY = {"id": "many", "name": "Many payments", "limit": 3}
LARGE = {"id": "large", "name": "A large payment", "limit": 1000}
DEFAULTS = {"rules": [MANY, LARGE], "snoozes": [], "most": 25}


def told(old: dict[str, Any], new: dict[str, Any], *, was: bool = True, now: bool = True) -> str:
    change = ConfigurationChange(ConfigurationVersion(2, now, new), was, old)
    return ", ".join(differences(change, DEFAULTS))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"most": 30}, "most: default -> 30"),
        ({"most": 30}, {}, "most: 30 -> default"),
        ({}, {"rules": [MANY | {"limit": 4}, LARGE]}, "rules: many (limit 3 -> 4)"),
        ({}, {"rules": [MANY]}, "rules: removed large"),
        ({"rules": [MANY]}, {}, "rules: added large"),
        (
            {},
            {"rules": [MANY | {"state": "SHADOW"}, {"id": "new"}]},
            'rules: added new, removed large, many (state default -> "SHADOW")',
        ),
        ({}, {"rules": [LARGE, MANY]}, "rules: same content, maybe in another order"),
        (
            {},
            {"snoozes": [{"rule_id": "many", "until": "x"}]},
            'snoozes: added {"rule_id": "many", "until": "x"}',
        ),
        ({}, {"rules": "none", "most": 1}, 'rules: default -> "none", most: default -> 1'),
    ],
)
def test_only_what_changed_is_told(old: Any, new: Any, expected: str) -> None:
    assert told(old, new) == expected


def test_the_switch_is_told_first() -> None:
    assert told({}, {"most": 1}, now=False) == "enabled -> disabled, most: default -> 1"
