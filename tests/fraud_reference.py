"""What fraud detection must say of a group's arrivals: obvious and slow, to compare others with.

All observations are kept in a list; at each arrival everything is computed anew with fractions.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.rule import Condition, Rule

NEVER = -(1 << 62)
Hit = tuple[int, str]


def number(raw: object) -> Fraction:
    return Fraction(str(raw))


class Reference:
    """One group. Rules do not change."""

    def __init__(self, rules: Sequence[Rule], widest_ms: int, lateness_ms: int) -> None:
        self.rules = rules
        self.widest_ms, self.lateness_ms = widest_ms, lateness_ms
        self.known: list[Observation] = []
        self.written_ms = 0
        self.horizon_ms = NEVER
        #: By rule: hits that are not judged again, and alerts in the order in which they came.
        self.frozen: dict[str, list[Hit]] = {rule.id: [] for rule in rules}
        self.alerts: dict[str, list[dict[str, Any]]] = {rule.id: [] for rule in rules}

    def arrive(self, it: Observation) -> tuple[str, set[Any]]:
        """Take an arrival; give the outcome, and the alerts that are told.

        Each one: rule, trigger, value, total, and the newest 50 ids; None if it is told again.
        """
        written_ms = max(self.written_ms, it.written_ms)
        horizon_ms = max(self.horizon_ms, written_ms - self.lateness_ms - self.widest_ms)
        if it.at_ms <= horizon_ms:
            return "TOO_LATE", set()
        was = [each for each in self.known if each.event_id == it.event_id]
        was = [each for each in was if each.at_ms > horizon_ms]
        if was and it.revision <= was[0].revision:
            return "REPEATED", self.told_again(it)
        for rule in self.rules:
            floor_ms = horizon_ms + rule.window_seconds * 1000
            self.frozen[rule.id] += [hit for hit in self.hits(rule) if hit[0] < floor_ms]
        self.written_ms, self.horizon_ms = written_ms, horizon_ms
        self.known = [
            each for each in self.known if each.event_id != it.event_id or each not in was
        ]
        self.known = sorted([*self.known, it], key=lambda each: (each.at_ms, each.event_id))
        told = set()
        for rule in self.rules:
            told |= self.raised(rule, it)
        new = {each[:2] for each in told}
        if was:
            told |= {each for each in self.told_again(it) if each[:2] not in new}
        return "REVISED" if was else "COUNTED", told

    def told_again(self, it: Observation) -> set[Any]:
        live = {each.event_id for each in self.known if each.at_ms > self.horizon_ms}
        return {
            (rule.id, alert["trigger"], alert["value"], alert["total"], None)
            for rule in self.rules
            for alert in self.alerts[rule.id]
            if alert["raised_by"] == it.event_id and alert["trigger"] in live
        }

    def raised(self, rule: Rule, by: Observation) -> set[Any]:
        told = set()
        for episode in self.episodes(rule):
            ids = {event_id for _, event_id in episode}
            alerts = [each for each in self.alerts[rule.id] if each["trigger"] in ids]
            if not alerts:
                at_ms, trigger = episode[0]
                ((value, seen),) = [
                    (value, seen)
                    for each, value, seen in self.judged(rule)
                    if (each.at_ms, each.event_id) == (at_ms, trigger)
                ]
                alert = {
                    "trigger": trigger,
                    "raised_by": by.event_id,
                    "value": value,
                    "total": len(seen),
                    "hits": 0,
                }
                self.alerts[rule.id].append(alert)
                newest = tuple(each.event_id for each in seen[:-51:-1])
                told.add((rule.id, trigger, value, len(seen), newest))
            else:
                alert = min(
                    alerts,
                    key=lambda it: [hit[1] for hit in episode].index(it["trigger"]),
                )
            if len(episode) > alert["hits"]:
                alert["hits"], alert["last"] = len(episode), episode[-1][0]
        return told

    def episodes(self, rule: Rule) -> list[list[Hit]]:
        episodes: list[list[Hit]] = []
        for hit in self.frozen[rule.id] + self.hits(rule):
            if episodes and hit[0] - episodes[-1][-1][0] < rule.cooldown_seconds * 1000:
                episodes[-1].append(hit)
            else:
                episodes.append([hit])
        # Those that are over before the floor were alerted when they were judged.
        floor_ms = self.horizon_ms + rule.window_seconds * 1000
        return [episode for episode in episodes if episode[-1][0] >= floor_ms]

    def hits(self, rule: Rule) -> list[Hit]:
        """Where the rule holds, of what is still judged."""
        floor_ms = self.horizon_ms + rule.window_seconds * 1000
        return [
            (each.at_ms, each.event_id)
            for each, value, seen in self.judged(rule)
            if each.at_ms >= floor_ms and self.holds(rule, each, value)
        ]

    def judged(self, rule: Rule) -> list[tuple[Observation, Fraction, list[Observation]]]:
        mine = [each for each in self.known if self.is_on(rule, each)]
        judged = []
        for it in mine:
            start = it.at_ms - rule.window_seconds * 1000
            window = [each for each in mine if start < each.at_ms <= it.at_ms]
            value, seen = self.value(rule, it, window)
            judged.append((it, value if len(window) >= rule.minimum_count else None, seen))
        return judged

    def is_on(self, rule: Rule, it: Observation) -> bool:
        types = {it.event_type}
        if it.event_type == "CUSTOMER_LOOKUP_FAILED":
            types.add("CUSTOMER_IDENTIFIED")
        return (
            bool(types & set(rule.on))
            and self.all_hold(rule.where, it)
            and (rule.field is None or self.fact(rule.field, it) is not None)
        )

    def value(  # noqa: PLR0911 - a case each
        self, rule: Rule, it: Observation, window: list[Observation]
    ) -> tuple[Fraction, list[Observation]]:
        values = [self.fact(rule.field, each) for each in window] if rule.field else []
        match rule.function:
            case "COUNT":
                return Fraction(len(window)), window
            case "SUM":
                return sum(values, Fraction(0)), window
            case "AVG":
                return sum(values, Fraction(0)) / len(values), window
            case "MIN":
                return min(values), window
            case "MAX":
                return max(values), window
            case "COUNT_DISTINCT":
                return Fraction(len(set(values))), window
            case "RATIO":
                part = [each for each in window if self.all_hold(rule.of or [], each)]
                return Fraction(len(part), len(window)), window
        before = [
            each
            for each in window
            if (each.at_ms, each.event_id) < (it.at_ms, it.event_id)
            and self.all_hold(rule.first or [], each)
        ]
        return Fraction(len(before)), [*before, it]

    def holds(self, rule: Rule, it: Observation, value: Fraction | None) -> bool:
        if value is None or (
            rule.function == "SEQUENCE" and not self.all_hold(rule.then or [], it)
        ):
            return False
        return compare(value, rule.operator, number(rule.limit))

    def all_hold(self, conditions: Sequence[Condition], it: Observation) -> bool:
        return all(self.condition(each, it) for each in conditions)

    def condition(self, condition: Condition, it: Observation) -> bool:
        seen, value = self.fact(condition.field, it), condition.value
        if isinstance(seen, Fraction):
            if isinstance(value, list):
                return seen in [number(each) for each in value]
            value = None if value is None else number(value)
        if condition.operator == "in":
            return seen is not None and seen in value
        if condition.operator in {"=", "!="}:
            return (seen == value) == (condition.operator == "=")
        return seen is not None and compare(seen, condition.operator, number(condition.value))

    def fact(self, name: str, it: Observation) -> Any:
        if name == "event_type":
            return it.event_type
        if name != "employee.session_age_seconds":
            raw = it.facts.get(name)
            return Fraction(raw, 10_000) if isinstance(raw, int) else raw
        before = [
            each
            for each in self.known
            if each.event_type in {"EMPLOYEE_LOGGED_IN", "EMPLOYEE_LOGGED_OUT"}
            and (each.at_ms, each.event_id) <= (it.at_ms, it.event_id)
        ]
        if not before or before[-1].event_type == "EMPLOYEE_LOGGED_OUT":
            return None
        return Fraction(it.at_ms - before[-1].at_ms, 1000)


def compare(one: Any, operator: str, other: Any) -> bool:
    match operator:
        case "=":
            return bool(one == other)
        case "!=":
            return bool(one != other)
        case "<":
            return bool(one < other)
        case "<=":
            return bool(one <= other)
        case ">":
            return bool(one > other)
        case _:
            return bool(one >= other)
