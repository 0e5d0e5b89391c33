"""A day in a shop, from messages of tills to alerts, without a broker: as the references say."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest

from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.engine.group_key import group_key, group_of
from agents.fraud_detection.engine.observation import Observation
from tests.fraud_reference_fast import FastReference
from tests.fraud_till import CUSTOMERS, Tills
from tests.shop_day import ShopDay
from tests.till_observations import answer, groupings_of, observations

RULES = FraudConfiguration().rules
DAY = ShopDay(seed=7, events=1_500, starts_at_ms=1_769_846_400_000)
#: The mock directory knows four customers: everyone is one of these, or unknown.
KNOWN = [*CUSTOMERS, "+4930999999"]


#: Rule, group, event, value in ten-thousandths, and number of observations.
Alert = tuple[str, str, str, int, int]


class Shop(Tills):
    """All tills, and the references of all groups beside them."""

    def __init__(self) -> None:
        super().__init__(RULES)
        self.groups: dict[str, FastReference] = {}
        self.wanted: set[Alert] = set()
        self.found: set[Alert] = set()

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        who = KNOWN[int(message["customer_identifier"]) % len(KNOWN)]
        return super().answer({**message, "customer_identifier": who})

    def arrived(self, key: str, it: Observation) -> None:
        names = set(group_of(key))
        rules = [rule for rule in RULES if set(rule.group_by) == names]
        group = self.groups.setdefault(key, FastReference(rules))
        for rule_id, trigger, value, total in group.arrive(it):
            self.wanted.add((rule_id, key, trigger, rounded(value), total))


def rounded(value: Fraction) -> int:
    return int(value * 10_000 + Fraction(1, 2))


@pytest.fixture(scope="module")
def shop() -> Shop:
    shop = Shop()
    for message in DAY.sent():
        for it in shop.say(message.value):
            key = group_key({name: str(it.trigger.facts[name]) for name in it.rule.grouping})
            shop.found.add((it.rule.rule.id, key, it.trigger.event_id, it.value, it.total))
    return shop


def test_alerts_are_those_of_the_reference(shop: Shop) -> None:
    assert shop.found == shop.wanted


def test_the_planted_frauds_raise_alerts(shop: Shop) -> None:
    of_thief = {rule_id for rule_id, key, *_ in shop.wanted if "thief" in key}
    assert {"drawer_openings", "price_overrides", "multiple_terminals"} <= of_thief


def test_fraud_detection_sees_what_the_messages_say(shop: Shop) -> None:
    groupings, seen = groupings_of(RULES), {}
    for messages in DAY.parts():
        said = [
            answer(
                "customer-data-fetched" if "customer" in told else "customer-lookup-failed", told
            )
            if it["event_type"] == "CUSTOMER_IDENTIFIED" and (told := shop.answer(it))
            else it
            for it in (message.value for message in messages)
        ]
        for key, event_id, it in observations(said, groupings):
            seen[key, event_id] = it
    arrived = {
        (key, it.event_id): (it.at_ms, it.event_type, it.facts)
        for key, group in shop.groups.items()
        for it in group.known.values()
    }
    assert arrived == seen
