"""The observations of one rule in a group, and at which of them the rule holds (hits). Pure.

An arrival that is the newest costs the same, however many observations are in the window. One that
comes late, or replaces another, costs a walk over the windows that it is in; one that is a little
late, only over what is behind it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
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
        "_entries",
        "_is_count",
        "_is_sequence",
        "_left",
        "_only_grows",
        "_rule",
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
        self._entries: list[Entry] = []
        #: The window of the newest entry: where it starts, and what is in it.
        self._left = 0
        self._aggregate = aggregate(rule.rule.function)
        #: Where the rule holds, from the floor on.
        self.hits: list[Place] = []
        #: Nothing before this time is judged: its window is not known whole.
        self.floor_ms = -EVER

    def fill(self, entries: Iterable[Entry]) -> None:
        """Begin anew with some entries, in any order."""
        self._entries = sorted(entries)
        self._walk(-EVER, EVER)

    def append(self, entry: Entry) -> list[Place] | None:
        """Take an entry if it is the newest one, and nothing before it changes.

        Returns:
            The hits that come with it, after all others. None if it was not taken, or if hits
            must go: then `replace` takes it.
        """
        entries, at = self._entries, entry[0]
        is_tied = False
        if entries:
            last = entries[-1]
            is_tied = last[0] == at
            if entry[:2] <= last[:2] or (is_tied and self._changes_before):
                return None
        start, left = at - self._rule.window_ms, self._left
        while left < len(entries) and entries[left][0] <= start:
            self._aggregate.remove(entries[left][2])
            left += 1
        self._left = left
        if self._is_sequence:
            return self._append_to_sequence(entry)
        self._aggregate.add(entry[2])
        holds = self._holds(len(entries) + 1 - left) and at >= self.floor_ms
        were = is_tied and bool(self.hits) and self.hits[-1][0] == at
        if were and not holds:
            return None  # `replace` makes the aggregate anew
        entries.append(entry)
        if not holds:
            return []
        # Those of one time have one window: if it holds since now, it does for all of them.
        new = entries[-1:] if were else entries[bisect_left(entries, (at,)) :]
        return self._hit([it[:2] for it in new])

    def _append_to_sequence(self, entry: Entry) -> list[Place]:
        number = len(self._entries) + 1 - self._left
        holds = bool(entry[2] & IS_THEN) and self._holds(number) and entry[0] >= self.floor_ms
        self._aggregate.add(entry[2])
        self._entries.append(entry)
        return self._hit([entry[:2]]) if holds else []

    def _hit(self, places: list[Place]) -> list[Place]:
        self.hits.extend(places)
        return places

    def replace(self, old: Place | None, new: Entry | None) -> tuple[int, int] | None:
        """Take an entry out, or put one in, or both.

        Returns:
            The time from which on and the time before which hits changed; None if none changed.
        """
        entries, changed = self._entries, []
        if old is None and new is not None and self._commutes and entries and new < entries[-1]:
            return self._insert(new)
        if old is not None:
            index = bisect_left(entries, old)
            if index < len(entries) and entries[index][:2] == old:
                if entries[index] == new:  # a revision of something that this rule does not read
                    return None
                changed.append(entries.pop(index)[0])
                self._left -= 1
        if new is not None:
            insort(entries, new)
            self._left += 1
            changed.append(new[0])
        if not changed:
            return None
        return self._walk(min(changed), max(changed) + self._rule.window_ms)

    def _insert(self, new: Entry) -> tuple[int, int] | None:
        """Put a late entry in, as `replace` does, for a function that asks for no order."""
        entries, hits, at = self._entries, self.hits, new[0]
        start_ms, end_ms = max(at, self.floor_ms), at + self._rule.window_ms
        first, last = bisect_left(hits, (start_ms,)), bisect_left(hits, (end_ms,))
        number = bisect_left(entries, (end_ms,)) - bisect_left(entries, (start_ms,))
        if at > entries[-1][0] - self._rule.window_ms:
            self._aggregate.add(new[2])
        else:
            self._left += 1
        insort(entries, new)
        if not self._only_grows or last - first < number:
            return self._walk(at, end_ms, is_newest_known=True)
        if at < start_ms or not self._holds_at(at):
            return None
        insort(hits, new[:2])
        return at, at + 1

    def _holds_at(self, at: int) -> bool:
        """Whether the rule holds at a time; of a rule whose value only grows."""
        seen = self._made_of((at, ""))
        value = len(seen) if self._is_count else len({it[2] for it in seen})
        is_enough = len(seen) >= self._rule.rule.minimum_count
        return is_enough and self._rule.compare(value * ONE, self._rule.limit)

    def forget(self, horizon_ms: int) -> None:
        """Let entries go that are not in any window any more: those up to a time."""
        entries = self._entries
        if len(entries) < _FEW or entries[len(entries) // 2][0] > horizon_ms:
            return
        index = bisect_left(entries, (horizon_ms + 1,))
        for entry in entries[self._left : index]:
            self._aggregate.remove(entry[2])
        self._left = max(0, self._left - index)
        del entries[:index]

    def measure(self, place: Place) -> tuple[int, int]:
        """The value at an observation, rounded, and how many observations make it."""
        if self._entries and place[0] == self._entries[-1][0] and not self._is_sequence:
            return rounded(self._aggregate.value()), len(self._entries) - self._left
        seen = self._made_of(place)
        made = aggregate(self._rule.rule.function)
        for entry in seen:
            made.add(entry[2])
        return rounded(made.value()) if seen else 0, len(seen) + self._is_sequence

    def newest_of(self, place: Place, most: int) -> list[str]:
        """The ids of the observations that make the value at one of them, the newest first."""
        if self._is_sequence:
            return [place[1], *(it[1] for it in self._made_of(place)[:-most:-1])]
        return [it[1] for it in self._made_of(place, most)[::-1]]

    def _made_of(self, place: Place, most: int = EVER) -> list[Entry]:
        """The entries that make the value at a place; of SEQUENCE those before it."""
        entries = self._entries
        start = bisect_left(entries, (place[0] - self._rule.window_ms + 1,))
        if self._is_sequence:
            before = entries[start : bisect_left(entries, place)]
            return [it for it in before if it[2] & IS_FIRST]
        end = bisect_left(entries, (place[0] + 1,))
        return entries[max(start, end - most) : end]

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
        entries = self._entries
        start_ms = max(start_ms, self.floor_ms)
        index = bisect_left(entries, (start_ms,))
        if index == len(entries) and entries:  # the window of the newest is to be known
            index = bisect_left(entries, (entries[-1][0],))
        kept = self._aggregate, self._left
        self._left = (
            bisect_left(entries, (entries[index][0] - self._rule.window_ms + 1,)) if entries else 0
        )
        found: list[Place] = []
        if self._is_count:
            index = self._walk_counting(index, start_ms, end_ms, found)
        else:
            self._begin_at(index, kept[1] if is_newest_known and end_ms > entries[-1][0] else None)
            walk = self._walk_sequence if self._is_sequence else self._walk_others
            index = walk(index, start_ms, end_ms, found)
        if index < len(entries):  # nothing in the newest entry's window changed
            self._aggregate, self._left = kept
        return self._put_hits(start_ms, end_ms, found)

    def _begin_at(self, index: int, newest_left: int | None) -> None:
        """Let the aggregate be that of the entries from `_left` on and before another.

        Args:
            index: of the other one.
            newest_left: where the window begins whose aggregate it is: that of the newest entry.
                None: of no window. Then the aggregate is made anew.
        """
        entries, left = self._entries, self._left
        if newest_left is not None and len(entries) - index + newest_left < index:
            for entry in entries[index:]:
                self._aggregate.remove(entry[2])
            for entry in entries[left:newest_left]:
                self._aggregate.add(entry[2])
        else:
            self._aggregate = aggregate(self._rule.rule.function)
            for entry in entries[left:index]:
                self._aggregate.add(entry[2])

    def _walk_counting(self, index: int, start_ms: int, end_ms: int, found: list[Place]) -> int:
        """Judge entries of COUNT, whose value needs no entry; returns the index of the next."""
        # In a backlog most entries are late, and each late entry walks: nothing is computed twice.
        entries, left, window_ms = self._entries, self._left, self._rule.window_ms
        compare, limit = self._rule.compare, self._rule.limit
        least, count = self._rule.rule.minimum_count, len(entries)
        while index < count and (at := entries[index][0]) < end_ms:
            gone_ms = at - window_ms
            while entries[left][0] <= gone_ms:
                left += 1
            end = index + 1
            while end < count and entries[end][0] == at:  # those of one time have one window
                end += 1
            if end - left >= least and at >= start_ms and compare((end - left) * ONE, limit):
                found += [it[:2] for it in entries[index:end]]
            index = end
        self._left, self._aggregate = left, counted(index - left)
        return index

    def _walk_others(self, index: int, start_ms: int, end_ms: int, found: list[Place]) -> int:
        """Judge entries of other functions, without SEQUENCE; returns the index of the next."""
        entries, left, window_ms = self._entries, self._left, self._rule.window_ms
        add, remove, value = self._aggregate.add, self._aggregate.remove, self._aggregate.value
        compare, limit = self._rule.compare, self._rule.limit
        least, count = self._rule.rule.minimum_count, len(entries)
        while index < count and (at := entries[index][0]) < end_ms:
            gone_ms = at - window_ms
            while entries[left][0] <= gone_ms:
                remove(entries[left][2])
                left += 1
            end = index
            while end < count and entries[end][0] == at:  # those of one time have one window
                add(entries[end][2])
                end += 1
            if end - left >= least and at >= start_ms:
                number, parts = value()
                if compare(number, limit * parts):
                    found += [it[:2] for it in entries[index:end]]
            index = end
        self._left = left
        return index

    def _walk_sequence(self, index: int, start_ms: int, end_ms: int, found: list[Place]) -> int:
        entries = self._entries
        while index < len(entries) and (at := entries[index][0]) < end_ms:
            while entries[self._left][0] <= at - self._rule.window_ms:
                self._aggregate.remove(entries[self._left][2])
                self._left += 1
            end = index
            while end < len(entries) and entries[end][0] == at:
                end += 1
            for entry in entries[index:end]:
                if entry[2] & IS_THEN and self._holds(end - self._left) and at >= start_ms:
                    found.append(entry[:2])
                self._aggregate.add(entry[2])
            index = end
        return index

    def _put_hits(self, start_ms: int, end_ms: int, found: list[Place]) -> tuple[int, int] | None:
        hits = self.hits
        first, last = bisect_left(hits, (start_ms,)), bisect_left(hits, (end_ms,))
        if hits[first:last] == found:
            return None
        hits[first:last] = found
        return start_ms, end_ms
