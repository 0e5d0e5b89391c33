"""The fast reference, which judges large sets in chaos tests, says what the obvious one says."""

from hypothesis import given, settings

from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.rule import Rule
from tests.fraud_observations import arrivals, rules
from tests.fraud_reference import Reference
from tests.fraud_reference_fast import FastReference

LONG = 10_000_000


@settings(max_examples=200, deadline=None)
@given(rules(), arrivals(moves=True))
def test_it_raises_the_alerts_of_the_obvious_one(of: list[Rule], those: list[Observation]) -> None:
    obvious, fast = Reference(of, 8_000, LONG), FastReference(of)
    for it in those:
        _, told = obvious.arrive(it)
        new = {each[:4] for each in told if each[4] is not None}
        assert set(fast.arrive(it)) == new
