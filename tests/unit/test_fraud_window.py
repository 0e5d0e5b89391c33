"""The window of one rule: however its entries come, its hits are those of all entries at once."""

import random

import pytest

from agents.fraud_detection.engine.window import Entry, Window
from agents.fraud_detection.rules.compiled import compiled
from posstream.domain.money import ONE
from tests.fraud_observations import condition, rule

FUNCTIONS = {
    "COUNT": rule(limit=8, window_seconds=60),
    "SUM": rule(function="SUM", field="amount", limit=40, window_seconds=60),
    "AVG": rule(function="AVG", field="amount", limit=4, window_seconds=60),
    "MAX": rule(function="MAX", field="amount", limit=8, window_seconds=5),
    "COUNT_DISTINCT": rule(
        function="COUNT_DISTINCT", field="amount", limit=5, window_seconds=60, minimum_count=7
    ),
    "fewer": rule(function="COUNT_DISTINCT", field="amount", operator="<", limit=5),
    "RATIO": rule(
        function="RATIO", of=[condition("amount", ">=", 5)], limit="0.5", window_seconds=60
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("late_ms", [500, 20_000, 200_000])
def test_late_entries_give_the_hits_of_all_entries(name: str, late_ms: int) -> None:
    chance = random.Random(15)
    came: list[tuple[int, Entry]] = []
    for number in range(300):
        at = 1_000 * chance.randrange(600)
        came.append((at + chance.randrange(late_ms), (at, f"e{number}", ONE * chance.randrange(9))))
    of_rule = compiled(FUNCTIONS[name])
    window, known = Window(of_rule), list[Entry]()
    for _, entry in sorted(came):
        known.append(entry)
        if window.append(entry) is None:
            window.replace(None, entry)
        expected = Window(of_rule)
        expected.fill(known)
        assert window.hits == expected.hits
        newest = max(known)[:2]
        assert window.measure(newest) == expected.measure(newest)
    assert window.hits
