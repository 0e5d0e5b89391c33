"""What was told of a day in a shop, against what the references say of the messages."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import msgspec
import orjson

from agents.baskets.topics import BASKET_COMPLETED
from agents.fraud_detection import topics
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.rule import Rule, RuleState
from posstream.kafka.connection import Brokers
from posstream.kafka.reader import topic_reader
from tests import till_reference
from tests.chaos.test_baskets import told
from tests.fraud_reference_fast import FastReference
from tests.till_day import Message
from tests.till_observations import ANSWERS, answer, groupings_of, observations

#: Rule, group and event of an alert -> value, and how many observations made it.
Alerts = dict[tuple[str, str, str], tuple[Fraction, int]]
#: Values on the topic are rounded to four places.
_ROUNDED = Fraction(1, 10_000)
_observation = msgspec.msgpack.Decoder(Observation).decode


@dataclass
class Proof:
    """Everything that was told, and what should have been. Read it once all is judged."""

    rules: list[Rule]
    #: Alerts as they were published, and as the reference raises them in the order of arrival.
    found: Alerts = field(default_factory=dict)
    wanted: Alerts = field(default_factory=dict)
    #: By group: everything that arrived.
    groups: dict[str, FastReference] = field(default_factory=dict)
    #: By basket.
    answers: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    #: A crash may have come between two answers to one lookup that say different things: the
    #: basket knows both, under one id. By basket, how many more it knows.
    answered_otherwise: Counter[str] = field(default_factory=Counter)
    newest: dict[str, dict[str, Any]] = field(default_factory=dict)
    baskets: int = 0
    missing_baskets: list[str] = field(default_factory=list)
    #: With what was told and what should have been, where they differ.
    wrong_baskets: list[tuple[str, dict[str, tuple[Any, Any]]]] = field(default_factory=list)
    observations: int = 0
    wrong_observations: list[tuple[str, str]] = field(default_factory=list)

    async def read(self, servers: Brokers) -> None:
        """Read what was told, and judge what arrived."""
        names = (*ANSWERS, BASKET_COMPLETED, topics.FRAUD_ALERT_RAISED, topics.GROUPED)
        async with topic_reader(servers, *names) as reader:
            for name in names:
                async for record in reader.records(name):
                    if name == topics.GROUPED:
                        self._arrived(record.key.decode(), _observation(record.value))
                    else:
                        self._told(name, orjson.loads(record.value))

    def compare(self, messages: Iterable[Message]) -> None:
        """Compare what is known of some baskets with their messages, which are all there."""
        values = [it.value for it in messages]
        answers = [
            each
            for basket_id in {it["basket_id"] for it in values}
            for each in self.answers.get(basket_id, {}).values()
        ]
        others = [it for it in values if it["event_type"] != "CUSTOMER_IDENTIFIED"]
        for key, event_id, seen in observations([*others, *answers], groupings_of(self.rules)):
            self.observations += 1
            group = self.groups.get(key)
            it = None if group is None else group.known.get(event_id)
            if it is None or (it.at_ms, it.event_type, it.facts) != seen:
                self.wrong_observations.append((key, event_id))
        # For the basket, a scan is a scan, whether somebody was found or not.
        scans = [it | {"event_type": "CUSTOMER_IDENTIFIED"} for it in answers]
        for basket_id, basket in till_reference.baskets([*others, *scans]).items():
            if not basket.pop("was_paid"):
                continue
            self.baskets += 1
            basket["revision"] += self.answered_otherwise[basket_id]
            if basket_id not in self.newest:
                self.missing_baskets.append(basket_id)
            elif (found := self.newest[basket_id]) != basket:
                names = found.keys() | basket.keys()
                both = {it: (found.get(it), basket.get(it)) for it in names}
                differ = {it: pair for it, pair in both.items() if pair[0] != pair[1]}
                self.wrong_baskets.append((basket_id, differ))

    @property
    def scans_answered(self) -> int:
        return sum(map(len, self.answers.values()))

    @property
    def observations_arrived(self) -> int:
        return sum(len(it.known) for it in self.groups.values())

    @property
    def missing(self) -> list[Any]:
        return [it for it in self.wanted if it not in self.found]

    @property
    def wrong(self) -> list[Any]:
        """Alerts that nobody wants, or that say something else."""
        return [
            it
            for it, (value, total) in self.found.items()
            if it not in self.wanted
            or self.wanted[it][1] != total
            or abs(self.wanted[it][0] - value) > _ROUNDED
        ]

    def unalerted(self) -> tuple[int, list[Any]]:
        """Episodes of all that is known now, in whatever order it came, and those without alert."""
        episodes, without = 0, []
        published = [it for it in self.rules if it.state is RuleState.ACTIVE]
        for key, group in self.groups.items():
            whole = FastReference([it.rule for it in group.watched if it.rule in published])
            for it in sorted(group.known.values(), key=lambda it: it.place):
                whole.arrive(it)
            for watched in whole.watched:
                for hits in watched.episodes():
                    episodes += 1
                    if not any((watched.rule.id, key, it[1]) in self.found for it in hits):
                        without.append((watched.rule.id, key, hits[0]))
        return episodes, without

    def _arrived(self, key: str, it: Observation) -> None:
        group = self.groups.get(key)
        if group is None:
            names = set(orjson.loads(key))
            group = FastReference([rule for rule in self.rules if set(rule.group_by) == names])
            self.groups[key] = group
        states = {watched.rule.id: watched.rule.state for watched in group.watched}
        for rule_id, trigger, value, total in group.arrive(it):
            if states[rule_id] is RuleState.ACTIVE:
                self.wanted[rule_id, key, trigger] = value, total

    def _told(self, topic: str, value: dict[str, Any]) -> None:
        if topic in ANSWERS:
            answers, said = self.answers[value["basket_id"]], answer(topic, value)
            if answers.setdefault(value["event_id"], said) != said:
                self.answered_otherwise[value["basket_id"]] += 1
        elif topic == BASKET_COMPLETED:
            basket_id, basket = value["basket_id"], told(value)
            known = self.newest.get(basket_id)
            if known is None or basket["revision"] > known["revision"]:
                self.newest[basket_id] = basket
            elif basket["revision"] == known["revision"]:
                assert basket == known, "two messages of one revision differ"
        else:
            group = orjson.dumps(value["group"], option=orjson.OPT_SORT_KEYS).decode()
            alert = value["rule_id"], group, value["triggered_by"]
            said = Fraction(value["value"]), value["observations_total"]
            assert self.found.setdefault(alert, said) == said, "two messages of one alert differ"
