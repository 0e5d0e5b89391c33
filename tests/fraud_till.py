"""Plays messages of tills through the baskets and into fraud detection, without a broker."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agents.baskets.counting import count
from agents.baskets.events import reading
from agents.baskets.events.writing import told as told_record
from agents.baskets.held import HeldBasket
from agents.baskets.till_events import OfNoBasket
from agents.baskets.topics import TILL_EVENTS
from agents.fraud_detection.engine.facts import facts_of, group_in, observation_for
from agents.fraud_detection.engine.group_key import group_key
from agents.fraud_detection.engine.judged import Raised
from agents.fraud_detection.engine.judging import Group
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.events.inputs import TillEvent
from agents.fraud_detection.rules.plan import plan_of
from agents.fraud_detection.rules.rule import Rule
from posstream.domain.times import parse_utc, to_ms

DAY_MS = 86_400_000
#: As the mock directory knows them.
CUSTOMERS = {
    "+1234567890": ("CUST_001", "GOLD"),
    "+0987654321": ("CUST_002", "PLATINUM"),
    "CARD_123456": ("CUST_003", "SILVER"),
    "+5555555555": ("CUST_004", "BRONZE"),
}
_told = msgspec.json.Decoder(TillEvent).decode


class Tills:
    """All tills of a shop.

    Args:
        rules: those that are judged.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._plan = plan_of(rules)
        self._baskets: dict[str, HeldBasket] = {}
        self._groups: dict[str, Group] = {}
        self._offset = 0

    def say(self, message: Mapping[str, Any]) -> list[Raised]:
        """What a message raises. `CUSTOMER_IDENTIFIED` is answered by the directory."""
        return [alert for event in self.tell(message) for alert in self.judge(event)]

    def judge(self, event: TillEvent) -> list[Raised]:
        """What a till event raises that the baskets told."""
        facts = facts_of(event)
        raised: list[Raised] = []
        for plan in self._plan.groupings:
            group = group_in(plan, facts)
            if group is not None:
                key, observation = group_key(group), observation_for(plan, facts)
                self.arrived(key, observation)
                judging = self._groups.setdefault(key, Group())
                raised += judging.judge(observation, plan, DAY_MS).raised
        return raised

    def tell(self, message: Mapping[str, Any]) -> list[TillEvent]:
        """What the baskets tell of a message."""
        self._offset += 1
        told = self._read(message)
        assert told is not None
        if told.basket_id is None or isinstance(told.event, OfNoBasket):
            return [_told(told_record(told.event).value or b"")]
        held = self._baskets.setdefault(told.basket_id, HeldBasket(None, places=2))
        records = count(held, told.basket_id, told.event, 0, None)
        return [_told(it.value or b"") for it in records if it.topic == TILL_EVENTS]

    def arrived(self, key: str, it: Observation) -> None:
        """Called with each observation before it is judged."""

    def _read(self, message: Mapping[str, Any]) -> reading.Told | None:
        occurred = parse_utc(message.get("occurred_at") or message.get("timestamp"))
        assert occurred is not None
        at = reading.Place("pos-events", 0, self._offset, to_ms(occurred))
        match message["event_type"]:
            case "BASKET_STARTED":
                return reading.read_started(json.dumps(message).encode(), at)
            case "CUSTOMER_IDENTIFIED":
                return reading.read_answer(json.dumps(self.answer(message)).encode(), at)
        return reading.read_till_event(json.dumps(message).encode(), at)

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What the directory answers."""
        identifier = message["customer_identifier"]
        answer = {
            "event_id": f"answer-{message.get('event_id', self._offset)}",
            "basket_id": message["basket_id"],
            "customer_identifier": identifier,
            "identified_at": message["occurred_at"],
        }
        if identifier not in CUSTOMERS:
            return answer | {"reason": "NOT_FOUND"}
        customer_id, tier = CUSTOMERS[identifier]
        return answer | {"customer": {"customer_id": customer_id, "tier": tier}}
