"""Groups in memory: those that were judged last, as long as they are not too large."""

from typing import Any

from agents.fraud_detection.engine.judging import Group
from agents.fraud_detection.held import _MOST, Held, HeldGroups
from agents.fraud_detection.rules.plan import plan_of
from tests.fraud_observations import paid, rule

(PLAN,) = plan_of([rule(limit=1_000_000, window_seconds=1_000)]).groupings


class Part:
    """A partition that has no segments."""

    def read(self, _: str) -> bytes | None:
        return None


def taken(held: HeldGroups, key: str, value: bytes | None = None) -> Held:
    part: Any = Part()
    return held.take_out(0, key, value, part)


def group_of_size(size: int) -> Group:
    group = Group()
    for number in range(size):
        group.judge(paid(f"e{number}", number), PLAN, 0)
    return group


def held_of(most_observations: int) -> HeldGroups:
    return HeldGroups(lambda: most_observations, lambda: None)


def kept(held: HeldGroups, groups: dict[str, Group]) -> list[str]:
    return [key for key, group in groups.items() if taken(held, key).group is group]


def test_large_groups_are_let_go_before_they_fill_the_memory() -> None:
    held, size = held_of(100), 40
    groups = {name: group_of_size(size) for name in "abc"}
    for name, group in groups.items():
        held.put_back(0, name, Held(None, group))
    assert kept(held, groups) == ["b", "c"]


def test_the_group_that_was_judged_last_stays_however_large_it_is() -> None:
    held = held_of(10)
    groups = {name: group_of_size(20) for name in "ab"}
    for name, group in groups.items():
        held.put_back(0, name, Held(None, group))
    assert kept(held, groups) == ["b"]


def test_a_group_counts_with_the_size_that_it_has() -> None:
    held = held_of(100)
    grown, other = group_of_size(10), group_of_size(50)
    held.put_back(0, "grown", Held(None, grown))
    for _ in range(20):
        held.put_back(0, "grown", taken(held, "grown"))
    held.put_back(0, "other", Held(None, other))
    assert kept(held, {"grown": grown, "other": other}) == ["grown", "other"]


def test_of_too_many_groups_the_one_that_was_judged_longest_ago_goes() -> None:
    held = held_of(100)
    groups = {str(number): Group() for number in range(_MOST)}
    for name, group in groups.items():
        held.put_back(0, name, Held(None, group))
    held.put_back(0, "0", taken(held, "0"))
    held.put_back(0, "new", taken(held, "new"))
    first = {name: groups[name] for name in ("0", "1", "2")}
    assert kept(held, first) == ["0", "2"]


def test_a_lower_limit_holds_from_the_next_group_on() -> None:
    limits = [100]
    held = HeldGroups(lambda: limits[-1], lambda: None)
    groups = {name: group_of_size(20) for name in "abc"}
    for name in "ab":
        held.put_back(0, name, Held(None, groups[name]))
    limits.append(45)
    held.put_back(0, "c", Held(None, groups["c"]))
    assert kept(held, groups) == ["b", "c"]


def test_only_groups_that_are_read_from_the_table_count_as_read() -> None:
    reads: list[str] = []
    held = HeldGroups(lambda: 100, lambda: reads.append("read"))
    held.put_back(0, "new", taken(held, "new"))
    taken(held, "new")
    taken(held, "new", b"a head")
    assert reads == ["read"]
