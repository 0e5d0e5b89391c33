"""What fraud detection must say of a group's arrivals, for more of them than `fraud_reference`.

The same as there, where nothing is so old that it goes: at an arrival, only the windows that it is
in are computed anew, each as a slice of a sorted list. Whole numbers of ten-thousandths.
"""

import operator
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.rule import Condition, Rule

Place = tuple[int, str]
#: Rule, event that triggers it, value, and how many observations made the value.
Alert = tuple[str, str, Fraction, int]
#: Whether conditions hold for an observation, given the age of the employee's session.
Holds = Callable[[Observation, int | None], bool]

ONE = 10_000
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SESSION_AGE = "employee.session_age_seconds"
LOGIN, LOGOUT = "EMPLOYEE_LOGGED_IN", "EMPLOYEE_LOGGED_OUT"


class FastReference:
    """One group. Rules do not change, and observations do not go."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.known: dict[str, Observation] = {}
        self.sessions: list[tuple[int, str, bool]] = []
        self.watched = [Watched(rule) for rule in rules]

    def arrive(self, it: Observation) -> list[Alert]:
        """Take an arrival; give the alerts that it raises."""
        was = self.known.get(it.event_id)
        if was is not None and it.revision <= was.revision:
            return []
        self.known[it.event_id] = it
        of_session = [each for each in (was, it) if each and each.event_type in {LOGIN, LOGOUT}]
        for each in of_session:
            entry = each.at_ms, each.event_id, each.event_type == LOGIN
            self.sessions.remove(entry) if each is was else insort(self.sessions, entry)
        raised: list[Alert] = []
        for watched in self.watched:
            if of_session and watched.reads_session:
                worths = {each.place: self.worth(watched, each) for each in self.known.values()}
                raised += watched.take_all(worths)
            else:
                place = None if was is None else was.place
                raised += watched.take(place, it.place, self.worth(watched, it))
        return raised

    def worth(self, watched: "Watched", it: Observation) -> Any:
        return watched.worth(it, self.age(it.place) if watched.reads_session else None)

    def age(self, place: Place) -> int | None:
        index = bisect_right(self.sessions, (*place, True))
        if not index or not self.sessions[index - 1][2]:
            return None
        return (place[0] - self.sessions[index - 1][0]) * (ONE // 1000)


class Watched:
    """One rule in the group."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.window_ms, self.cooldown_ms = rule.window_seconds * 1000, rule.cooldown_seconds * 1000
        self.limit = ten_thousandths(rule.limit)
        self.on = {str(it) for it in rule.on}
        self.compare = COMPARE[rule.operator]
        conditions = [*rule.where, *(rule.of or ()), *(rule.first or ()), *(rule.then or ())]
        self.reads_session = SESSION_AGE in {rule.field, *(it.field for it in conditions)}
        self.where, self.of = all_hold(rule.where), all_hold(rule.of or ())
        self.first, self.then = all_hold(rule.first or ()), all_hold(rule.then or ())
        #: The observations of the rule in their order, and what each is worth.
        self.places: list[Place] = []
        self.worths: list[Any] = []
        #: Where the rule holds, and those of them that begin an episode.
        self.hits: list[Place] = []
        self.starts: list[Place] = []
        self.alerted: set[str] = set()

    def worth(self, it: Observation, age: int | None) -> Any:
        """What an observation adds to a window; None if it is none of the rule's."""
        types = {it.event_type}
        if it.event_type == "CUSTOMER_LOOKUP_FAILED":
            types.add("CUSTOMER_IDENTIFIED")
        if not types & self.on or not self.where(it, age):
            return None
        match self.rule.function:
            case "COUNT":
                return 1
            case "RATIO":
                return self.of(it, age)
            case "SEQUENCE":
                return self.first(it, age), self.then(it, age)
        return fact(self.rule.field or "", it, age)

    def take(self, old: Place | None, new: Place, worth: Any) -> Iterator[Alert]:
        """Put an observation into the place of an older revision."""
        times = [new[0]] if worth is not None else []
        if old is not None and (found := self.at(old)) is not None:
            if old == new and worth == self.worths[found]:
                return
            times.append(old[0])
            del self.places[found], self.worths[found]
        if worth is not None:
            index = bisect_left(self.places, new)
            self.places.insert(index, new)
            self.worths.insert(index, worth)
        if times:
            yield from self.judge(min(times), max(times) + self.window_ms)

    def take_all(self, worths: dict[Place, Any]) -> Iterator[Alert]:
        """Judge all observations anew."""
        self.places = sorted(place for place, worth in worths.items() if worth is not None)
        self.worths = [worths[place] for place in self.places]
        yield from self.judge(-(1 << 62), 1 << 62)

    def at(self, place: Place) -> int | None:
        index = bisect_left(self.places, place)
        return index if self.places[index : index + 1] == [place] else None

    def judge(self, start_ms: int, end_ms: int) -> Iterator[Alert]:
        """Judge the observations of a time."""
        hits = [
            place
            for place, window in self.windows(start_ms, end_ms)
            if self.holds(self.at(place) or 0, window)
        ]
        low, high = bisect_left(self.hits, (start_ms,)), bisect_left(self.hits, (end_ms,))
        if self.hits[low:high] == hits:
            return
        self.hits[low:high] = hits
        # A hit more or less also decides whether the one behind it begins an episode.
        end = low + len(hits) + 1
        starts = [
            hit
            for before, hit in zip([None, *self.hits][low:end], self.hits[low:end], strict=False)
            if before is None or hit[0] - before[0] >= self.cooldown_ms
        ]
        low = bisect_left(self.starts, (start_ms,))
        high = len(self.starts)
        if end <= len(self.hits):
            high = bisect_right(self.starts, self.hits[end - 1])
        self.starts[low:high] = starts
        for number in range(max(0, low - 1), low + len(starts)):
            yield from self.raised(number)

    def raised(self, number: int) -> Iterator[Alert]:
        """The alert of an episode, unless one of its hits was alerted before."""
        first = self.starts[number]
        index = bisect_left(self.hits, first)
        end = self.starts[number + 1] if number + 1 < len(self.starts) else None
        while index < len(self.hits) and self.hits[index] != end:
            if self.hits[index][1] in self.alerted:
                return
            index += 1
        self.alerted.add(first[1])
        ((_, window),) = [it for it in self.windows(first[0], first[0] + 1) if it[0] == first]
        value, parts, total = self.value(self.at(first) or 0, window)
        yield self.rule.id, first[1], Fraction(value, parts * ONE), total

    def episodes(self) -> Iterator[Sequence[Place]]:
        """The hits of each episode."""
        bounds = [bisect_left(self.hits, it) for it in self.starts]
        for first, end in pairwise([*bounds, len(self.hits)]):
            yield self.hits[first:end]

    def windows(self, start_ms: int, end_ms: int) -> Iterator[tuple[Place, range]]:
        """The observations of a time, each with the indexes of those in its window."""
        index = bisect_left(self.places, (start_ms,))
        stop = bisect_left(self.places, (end_ms,))
        while index < stop:
            at_ms = self.places[index][0]
            first = bisect_left(self.places, (at_ms - self.window_ms + 1,))
            end = bisect_left(self.places, (at_ms + 1,), index)
            for each in range(index, end):
                yield self.places[each], range(first, end)
            index = end

    def holds(self, index: int, window: range) -> bool:
        if len(window) < self.rule.minimum_count:
            return False
        if self.rule.function == "SEQUENCE" and not self.worths[index][1]:
            return False
        value, parts, _ = self.value(index, window)
        return self.compare(value, self.limit * parts)

    def value(  # noqa: PLR0911 - a case each
        self, index: int, window: range
    ) -> tuple[int, int, int]:
        """Numerator and denominator, and how many observations make them."""
        size = len(window)
        if self.rule.function == "COUNT":
            return size * ONE, 1, size
        worths = self.worths[window.start : window.stop]
        match self.rule.function:
            case "SUM":
                return sum(worths), 1, size
            case "AVG":
                return sum(worths), size, size
            case "MIN":
                return min(worths), 1, size
            case "MAX":
                return max(worths), 1, size
            case "COUNT_DISTINCT":
                return len(set(worths)) * ONE, 1, size
            case "RATIO":
                return sum(worths) * ONE, size, size
        before = sum(first for first, _ in self.worths[window.start : index])
        return before * ONE, 1, before + 1


def ten_thousandths(raw: object) -> int:
    return int(Fraction(str(raw)) * ONE)


def fact(name: str, it: Observation, age: int | None) -> Any:
    if name == SESSION_AGE:
        return age
    return it.event_type if name == "event_type" else it.facts.get(name)


def all_hold(conditions: Sequence[Condition]) -> Holds:
    parts = [one_holds(it) for it in conditions]
    return lambda it, age: all(part(it, age) for part in parts)


def one_holds(condition: Condition) -> Holds:
    name, said = condition.field, condition.value
    listed = said if isinstance(said, list) else [said]

    def holds(it: Observation, age: int | None) -> bool:
        seen = fact(name, it, age)
        values = numbers if isinstance(seen, int) else listed
        if condition.operator == "in":
            return seen is not None and seen in values
        if seen is None and condition.operator not in {"=", "!="}:
            return False
        return COMPARE[condition.operator](seen, values[0])

    try:
        numbers = [None if value is None else ten_thousandths(value) for value in listed]
    except ValueError:  # of text
        numbers = []
    return holds
