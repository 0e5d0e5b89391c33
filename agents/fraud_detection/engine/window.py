"""The observations of one rule in a group, and at which of them the rule holds (hits). Pure.

An arrival that is the newest costs the same, however many observations are in the window. One that
comes late, or replaces another, costs a walk over the windows that it is in; one that is a little
late, only over what is behind it.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Any, Final

from agents.fraud_detection.engine.aggregates import aggregate, counted, rounded
from agents.fraud_detection.engine.observation import EVER, Place
from agents.fraud_detection.rules.compiled import IS_FIRST, IS_THEN, CompiledRule
from agents.fraud_detection.rules.rule import Function, Operator
from posstream.domain.money import ONE

#: Time, id of the event, and what it is worth (`CompiledRule.worth`).
Entry = tuple[int, str, Any]
#: Whose aggregates take and give back entries in any order.
_COMMUTE: Final = frozenset(
    {Function.COUNT, Function.SUM, Function.AVG, Function.COUNT_DISTINCT, Function.RATIO}
)
_GROW: Final = frozenset({Function.COUNT, Function.COUNT_DISTINCT})
_MORE: Final = frozenset({Operator.AT_LEAST, Operator.MORE})
#: Fewer entries than these are not worth being taken out.
_FEW: Final = 64


class Window:
    """The observations of a rule, in their order."""

    __slots__ = (
        "_aggregate",
        "_changes_before",
        "_commutes",
        "_ids",
        "_is_count",
        "_is_sequence",
        "_left",
        "_only_grows",
        "_rule",
        "_times",
        "_worths",
        "floor_ms",
        "hits",
    )

    def __init__(self, rule: CompiledRule) -> None:
        self._rule = rule
        self._is_sequence = rule.rule.function is Function.SEQUENCE
        self._is_count = rule.rule.function is Function.COUNT
        self._commutes = rule.rule.function in _COMMUTE
        #: Whether a further entry takes no hit away. If so, and if the rule holds at all entries
        #: behind a late one, only the late one is judged, as for most entries in a backlog.
        self._only_grows = rule.rule.function in _GROW and rule.rule.operator in _MORE
        #: Whether one of several entries of one time can change what those before it are.
        self._changes_before = self._is_sequence and rule.rule.minimum_count > 1
        #: The entries in their order, as three lists: a third of the memory of tuples.
        self._times = array("q")
        self._ids: list[str] = []
        self._worths: list[Any] = []
        #: The window of the newest entry: where it starts, and what is in it.
        self._left = 0
        self._aggregate = aggregate(rule.rule.function)
        #: Where the rule holds, from the floor on.
        self.hits: list[Place] = []
        #: Nothing before this time is judged: its window is not known whole.
        self.floor_ms = -EVER

    def fill(self, entries: Iterable[Entry]) -> None:
        """Begin anew with some entries, in any order."""
        ordered = sorted(entries)
        self._times = array("q", [it[0] for it in ordered])
        self._ids = [it[1] for it in ordered]
        self._worths = [it[2] for it in ordered]
        self._walk(-EVER, EVER)

    def append(self, entry: Entry) -> list[Place] | None:
        """Take an entry if it is the newest one, and nothing before it changes.

        Returns:
            The hits that come with it, after all others. None if it was not taken, or if hits
            must go: then `replace` takes it.
        """
        times, at = self._times, entry[0]
        is_tied = False
        if times:
            is_tied = times[-1] == at
            if at < times[-1] or (is_tied and (self._changes_before or entry[1] <= self._ids[-1])):
                return None
        start, left, count = at - self._rule.window_ms, self._left, len(times)
        while left < count and times[left] <= start:
            self._aggregate.remove(self._worths[left])
            left += 1
        self._left = left
        if self._is_sequence:
            return self._append_to_sequence(entry)
        self._aggregate.add(entry[2])
        holds = self._holds(count + 1 - left) and at >= self.floor_ms
        were = is_tied and bool(self.hits) and self.hits[-1][0] == at
        if were and not holds:
            return None  # `replace` makes the aggregate anew
        self._add(entry)
        if not holds:
            return []
        # Those of one time have one window: if it holds since now, it does for all of them.
        first = bisect_left(times, at) if is_tied and not were else count
        return self._hit([(at, it) for it in self._ids[first:]])

    def _append_to_sequence(self, entry: Entry) -> list[Place]:
        count = len(self._times)
        is_then = bool(entry[2] & IS_THEN)
        holds = is_then and self._holds(count + 1 - self._left) and entry[0] >= self.floor_ms
        self._aggregate.add(entry[2])
        self._add(entry)
        return self._hit([entry[:2]]) if holds else []

    def _add(self, newest: Entry) -> None:
        at, event_id, worth = newest
        self._times.append(at)
        self._ids.append(event_id)
        self._worths.append(worth)

    def _put(self, entry: Entry) -> None:
        at, event_id, worth = entry
        index = self._index((at, event_id))
        self._times.insert(index, at)
        self._ids.insert(index, event_id)
        self._worths.insert(index, worth)

    def _index(self, place: Place) -> int:
        """Where the entry of a place is, or would be."""
        at, event_id = place
        first = bisect_left(self._times, at)
        return bisect_left(self._ids, event_id, first, bisect_right(self._times, at, first))

    def _hit(self, places: list[Place]) -> list[Place]:
        self.hits.extend(places)
        return places

    def replace(self, old: Place | None, new: Entry | None) -> tuple[int, int] | None:
        """Take an entry out, or put one in, or both.

        Returns:
            The time from which on and the time before which hits changed; None if none changed.
        """
        times, ids, worths, changed = self._times, self._ids, self._worths, []
        is_late = new is not None and bool(times) and new[:2] < (times[-1], ids[-1])
        if old is None and new is not None and self._commutes and is_late:
            return self._insert(new)
        if old is not None:
            index = self._index(old)
            if index < len(times) and (times[index], ids[index]) == old:
                if new == (*old, worths[index]):  # the revision changed nothing that the rule reads
                    return None
                changed.append(times.pop(index))
                del ids[index], worths[index]
                self._left -= 1
        if new is not None:
            self._put(new)
            self._left += 1
            changed.append(new[0])
        if not changed:
            return None
        return self._walk(min(changed), max(changed) + self._rule.window_ms)

    def _insert(self, new: Entry) -> tuple[int, int] | None:
        """Put a late entry in, as `replace` does, for a function that asks for no order."""
        times, hits, at = self._times, self.hits, new[0]
        start_ms, end_ms = max(at, self.floor_ms), at + self._rule.window_ms
        first, last = bisect_left(hits, (start_ms,)), bisect_left(hits, (end_ms,))
        number = bisect_left(times, end_ms) - bisect_left(times, start_ms)
        if at > times[-1] - self._rule.window_ms:
            self._aggregate.add(new[2])
        else:
            self._left += 1
        self._put(new)
        if not self._only_grows or last - first < number:
            return self._walk(at, end_ms, is_newest_known=True)
        if at < start_ms or not self._holds_at(at):
            return None
        insort(hits, new[:2])
        return at, at + 1

    def _holds_at(self, at: int) -> bool:
        """Whether the rule holds at a time; of a rule whose value only grows."""
        seen = self._made_of((at, ""))
        count = len(seen)
        value = count if self._is_count else len({self._worths[it] for it in seen})
        is_enough = count >= self._rule.rule.minimum_count
        return is_enough and self._rule.compare(value * ONE, self._rule.limit)

    def forget(self, horizon_ms: int) -> None:
        """Let entries go that are not in any window any more: those up to a time."""
        times = self._times
        if len(times) < _FEW or times[len(times) // 2] > horizon_ms:
            return
        index = bisect_right(times, horizon_ms)
        for worth in self._worths[self._left : index]:
            self._aggregate.remove(worth)
        self._left = max(0, self._left - index)
        del times[:index], self._ids[:index], self._worths[:index]

    def measure(self, place: Place) -> tuple[int, int]:
        """The value at an observation, rounded, and how many observations make it."""
        if self._times and place[0] == self._times[-1] and not self._is_sequence:
            return rounded(self._aggregate.value()), len(self._times) - self._left
        seen = self._made_of(place)
        made = aggregate(self._rule.rule.function)
        for index in seen:
            made.add(self._worths[index])
        return rounded(made.value()) if seen else 0, len(seen) + self._is_sequence

    def newest_of(self, place: Place, most: int) -> list[str]:
        """The ids of the observations that make the value at one of them, the newest first."""
        if self._is_sequence:
            return [place[1], *(self._ids[it] for it in self._made_of(place)[:-most:-1])]
        return [self._ids[it] for it in self._made_of(place)[: -most - 1 : -1]]

    def _made_of(self, place: Place) -> Sequence[int]:
        """The indexes of the entries that make the value at a place; for SEQUENCE, those before."""
        times = self._times
        start = bisect_right(times, place[0] - self._rule.window_ms)
        if self._is_sequence:
            before = range(start, self._index(place))
            return [it for it in before if self._worths[it] & IS_FIRST]
        return range(start, bisect_right(times, place[0], start))

    def _holds(self, number: int) -> bool:
        if number < self._rule.rule.minimum_count:
            return False
        value, parts = self._aggregate.value()
        return self._rule.compare(value, self._rule.limit * parts)

    def _walk(
        self, start_ms: int, end_ms: int, *, is_newest_known: bool = False
    ) -> tuple[int, int] | None:
        """Judge all entries from a time on and before another; returns where hits changed.

        Args:
            start_ms: the time from which on.
            end_ms: the time before which.
            is_newest_known: whether the newest entry's window is right, with what was put in.
        """
        times = self._times
        start_ms = max(start_ms, self.floor_ms)
        index = bisect_left(times, start_ms)
        if index == len(times) and times:  # the window of the newest is to be known
            index = bisect_left(times, times[-1])
        kept = self._aggregate, self._left
        self._left = bisect_right(times, times[index] - self._rule.window_ms) if times else 0
        found: list[Place] = []
        if self._is_count:
            index = self._walk_counting(index, start_ms, end_ms, found)
        else:
            self._begin_at(index, kept[1] if is_newest_known and end_ms > times[-1] else None)
            walk = self._walk_sequence if self._is_sequence else self._walk_others
            index = walk(index, start_ms, end_ms, found)
        if index < len(times):  # nothing in the newest entry's window changed
            self._aggregate, self._left = kept
        return self._put_hits(start_ms, end_ms, found)

    def _begin_at(self, index: int, newest_left: int | None) -> None:
        """Let the aggregate be that of the entries from `_left` on and before another.

        Args:
            index: of the other one.
            newest_left: where the window begins whose aggregate it is: that of the newest entry.
                None: of no window. Then the aggregate is made anew.
        """
        worths, left = self._worths, self._left
        if newest_left is not None and len(worths) - index + newest_left < index:
            for worth in worths[index:]:
                self._aggregate.remove(worth)
            for worth in worths[left:newest_left]:
                self._aggregate.add(worth)
        else:
            self._aggregate = aggregate(self._rule.rule.function)
            for worth in worths[left:index]:
                self._aggregate.add(worth)

    def _walk_counting(self, index: int, start_ms: int, end_ms: int, found: list[Place]) -> int:
        """Judge entries of COUNT, whose value needs no entry; returns the index of the next."""
        # In a backlog most entries are late, and each late entry walks: nothing is computed twice.
        times, ids, left, window_ms = self._times, self._ids, self._left, self._rule.window_ms
        compare, limit = self._rule.compare, self._rule.limit
        least, count = self._rule.rule.minimum_count, len(times)
        while index < count and (at := times[index]) < end_ms:
            gone_ms = at - window_ms
            while times[left] <= gone_ms:
                left += 1
            end = index + 1
            while end < count and times[end] == at:  # those of one time have one window
                end += 1
            if end - left >= least and at >= start_ms and compare((end - left) * ONE, limit):
                found += [(at, it) for it in ids[index:end]]
            index = end
        self._left, self._aggregate = left, counted(index - left)
        return index

    def _walk_others(self, index: int, start_ms: int, end_ms: int, found: list[Place]) -> int:
        """Judge entries of other functions, without SEQUENCE; returns the index of the next."""
        times, ids, worths = self._times, self._ids, self._worths
        left, window_ms = self._left, self._rule.window_ms
        add, remove, value = self._aggregate.add, self._aggregate.remove, self._aggregate.value
        compare, limit = self._rule.compare, self._rule.limit
        least, count = self._rule.rule.minimum_count, len(times)
        while index < count and (at := times[index]) < end_ms:
            gone_ms = at - window_ms
            while times[left] <= gone_ms:
                remove(worths[left])
                left += 1
            end = index
            while end < count and times[end] == at:  # those of one time have one window
                add(worths[end])
                end += 1
            if end - left >= least and at >= start_ms:
                number, parts = value()
                if compare(number, limit * parts):
                    found += [(at, it) for it in ids[index:end]]
            index = end
        self._left = left
        return index

    def _walk_sequence(self, index: int, start_ms: int, end_ms: int, found: list[Place]) -> int:
        times, worths, count = self._times, self._worths, len(self._times)
        while index < count and (at := times[index]) < end_ms:
            while times[self._left] <= at - self._rule.window_ms:
                self._aggregate.remove(worths[self._left])
                self._left += 1
            end = index
            while end < count and times[end] == at:
                end += 1
            for each in range(index, end):
                if worths[each] & IS_THEN and self._holds(end - self._left) and at >= start_ms:
                    found.append((at, self._ids[each]))
                self._aggregate.add(worths[each])
            index = end
        return index

    def _put_hits(self, start_ms: int, end_ms: int, found: list[Place]) -> tuple[int, int] | None:
        hits = self.hits
        first, last = bisect_left(hits, (start_ms,)), bisect_left(hits, (end_ms,))
        if hits[first:last] == found:
            return None
        hits[first:last] = found
        return start_ms, end_ms
