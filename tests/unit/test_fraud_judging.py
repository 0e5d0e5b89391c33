"""What one arrival gives, case by case; `test_fraud_engine` compares with the reference."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.fraud_detection.engine.judged import Judged, Outcome, Put
from agents.fraud_detection.engine.judging import Group
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.plan import GroupingPlan, plan_of
from agents.fraud_detection.rules.rule import Rule
from tests.examples import most
from tests.fraud_observations import (
    LOGIN,
    LOGOUT,
    PAID,
    REFUNDED,
    Table,
    condition,
    observation,
    paid,
    rule,
)

LATENESS_MS = 100_000
LONG_MS = 86_400_000


def plan_for(*of: Rule) -> GroupingPlan:
    (plan,) = plan_of(of).groupings
    return plan


class Shop:
    """One group, written to a table and read again for each arrival."""

    def __init__(self, *of: Rule, lateness_ms: int = LATENESS_MS, segment: int = 64) -> None:
        self.table = Table()
        self.puts: Sequence[Put] = ()
        self.segment = segment
        self.plan, self.lateness_ms = plan_for(*of), lateness_ms

    def follow(self, *of: Rule) -> None:
        self.plan = plan_for(*of)

    def take(self, it: Observation) -> Judged:
        group = self.table.group(self.segment)
        judged = group.judge(it, self.plan, self.lateness_ms)
        self.puts = self.table.keep(group)
        return judged

    def triggers(self, those: Iterable[Observation]) -> list[list[str]]:
        """By arrival: the events that trigger alerts."""
        return [[it.trigger.event_id for it in self.take(each).raised] for each in those]


def test_an_alert_says_what_made_it() -> None:
    shop = Shop(rule(function="SUM", field="amount", limit=30))
    shop.take(paid("a", 1000, 100_000))
    shop.take(paid("b", 1500, 100_001))
    (alert,) = shop.take(paid("c", 9000, 100_001)).raised
    assert (alert.value, alert.total, alert.hits, alert.is_new) == (300_002, 3, 1, True)
    assert [it.event_id for it in alert.observations] == ["c", "b", "a"]
    assert (alert.window_start_ms, alert.window_end_ms) == (-1000, 9000)
    assert alert.trigger.event_id == "c"


def test_an_alert_shows_the_newest_50_of_its_observations() -> None:
    shop = Shop(rule(limit=60))
    judged = [shop.take(paid(f"e{number:02}", number)) for number in range(60)]
    (alert,) = judged[-1].raised
    assert (alert.total, len(alert.observations)) == (60, 50)
    assert alert.observations[0].event_id == "e59"
    assert alert.observations[-1].event_id == "e10"


def test_a_sequence_shows_those_before_and_the_one_after() -> None:
    shop = Shop(
        rule(
            function="SEQUENCE",
            on=[PAID, REFUNDED],
            first=[condition("amount", "<", 5)],
            then=[condition("event_type", "=", REFUNDED)],
        )
    )
    arrivals = [paid("a", 1, 0), paid("b", 2), paid("c", 3, 0), observation("d", 4, REFUNDED)]
    *_, judged = [shop.take(it) for it in arrivals]
    (alert,) = judged.raised
    assert [it.event_id for it in alert.observations] == ["d", "c", "a"]
    assert (alert.value, alert.total) == (20_000, 3)


def test_a_repeated_event_tells_its_alert_once_more_and_changes_nothing() -> None:
    shop = Shop(rule())
    shop.take(paid("a", 0))
    first = shop.take(paid("b", 1))
    before = dict(shop.table.values)
    again = shop.take(paid("b", 1))
    assert (again.outcome, shop.table.values) == (Outcome.REPEATED, before)
    (one,), (other,) = first.raised, again.raised
    assert (one.is_new, other.is_new) == (True, False)
    assert (one.trigger, one.value, one.hits) == (other.trigger, other.value, other.hits)


def test_a_late_event_raises_an_alert_at_the_event_behind_it() -> None:
    shop = Shop(rule(limit=3))
    arrivals = [paid("a", 1000), paid("c", 3000), paid("b", 2000)]
    assert shop.triggers(arrivals) == [[], [], ["c"]]
    (again,) = shop.take(paid("b", 2000)).raised  # told again by the arrival that raised it
    assert again.trigger.event_id == "c"


def test_events_of_one_time_are_in_one_another_s_window() -> None:
    shop = Shop(rule(cooldown_seconds=1))
    assert shop.triggers([paid("b", 1000), paid("a", 1000)]) == [[], ["a"]]
    every = Shop(rule(cooldown_seconds=0))
    assert every.triggers([paid("a", 1000), paid("b", 1000)]) == [[], ["a", "b"]]


def test_a_tie_that_ends_a_hit_ends_it_for_all_of_its_time() -> None:
    """One payment alone holds; two do not: the alert stays, and the next one begins anew."""
    shop = Shop(rule(operator="=", limit=1, cooldown_seconds=60))
    arrivals = [paid("a", 1000), paid("b", 1000), paid("c", 20_000)]
    assert shop.triggers(arrivals) == [["a"], [], ["c"]]


def test_a_tie_that_makes_hits_of_those_before_it_again_alerts_only_the_new_ones() -> None:
    shop = Shop(rule(function="RATIO", of=[condition("amount", "=", 0)], limit="0.5"))
    arrivals = [paid("a", 0, 0), paid("b", 0), paid("c", 0), paid("d", 0, 0)]
    assert shop.triggers(arrivals) == [["a"], ["b"], [], ["c", "d"]]


def test_a_tie_counts_for_the_least_number_of_those_before_it() -> None:
    shop = Shop(
        rule(
            function="SEQUENCE",
            first=[condition("amount", "=", 0)],
            then=[condition("amount", ">", 0)],
            limit=1,
            minimum_count=3,
        )
    )
    arrivals = [paid("a", 0, 0), paid("b", 1000), paid("c", 1000, 0)]
    assert shop.triggers(arrivals) == [[], [], ["b"]]


def test_the_window_ends_with_its_last_millisecond() -> None:
    shop = Shop(rule())
    assert shop.triggers([paid("a", 0), paid("b", 10_000)]) == [[], []]
    assert shop.triggers([paid("c", 19_999)]) == [["c"]]


@pytest.mark.parametrize(
    ("cooldown", "triggers", "hits"),
    [(0, [[], ["b"], ["c"], ["d"]], [1, 1, 1]), (2, [[], ["b"], [], ["d"]], [2, 1])],
)
def test_hits_within_the_cooldown_are_one_episode(
    cooldown: int, triggers: list[Any], hits: list[int]
) -> None:
    rule_of_it = rule(cooldown_seconds=cooldown)
    shop = Shop(rule_of_it)
    arrivals = [paid("a", 0), paid("b", 1000), paid("c", 2999), paid("d", 4999)]
    assert shop.triggers(arrivals) == triggers
    group = shop.table.group(64)
    group.judge(paid("d", 4999), shop.plan, LATENESS_MS)
    (key,) = (it.key for it in shop.plan.rules)
    known = [group.alert(key, event_id) for event_id in ("b", "c", "d")]
    assert [it.hits for it in known if it is not None] == hits


def test_an_episode_goes_on_when_its_first_hits_are_gone() -> None:
    shop = Shop(rule(limit=1, window_seconds=1, cooldown_seconds=10), lateness_ms=5000)
    told = [shop.take(paid(f"e{number}", number * 5000)) for number in range(8)]
    assert [len(it.raised) for it in told] == [1, *[0] * 7]
    assert [(it.triggered_by, it.hits) for each in told for it in each.grown] == [
        ("e0", number) for number in range(2, 9)
    ]


def test_an_amount_is_exact() -> None:
    shop = Shop(rule(function="SUM", field="amount", operator="=", limit=1))
    arrivals = [paid(f"e{number}", number, 1000) for number in range(12)]
    assert shop.triggers(arrivals) == [*[[]] * 9, ["e9"], [], []]


def test_an_average_is_compared_as_a_fraction_and_shown_rounded() -> None:
    shop = Shop(rule(function="AVG", field="amount", operator=">", limit="0.3333"))
    arrivals = [paid("a", 0, 3333), paid("b", 1, 3333), paid("c", 2, 3334)]
    *_, judged = [shop.take(it) for it in arrivals]
    (alert,) = judged.raised  # 0.33333…
    assert alert.value == 3333


def test_a_sum_may_have_more_than_64_bits() -> None:
    most = 10**16 - 1
    plan = plan_for(rule(function="SUM", field="amount", limit="999999999999", minimum_count=1000))
    table = Table()
    group = table.group(64)
    for number in range(1_000):
        judged = group.judge(paid(f"e{number:04}", number, most), plan, LATENESS_MS)
        table.keep(group)
    assert [it.value for it in judged.raised] == [1_000 * most]
    again = table.group(64).judge(paid("e0999", 999, most), plan, LATENESS_MS)
    assert [it.value for it in again.raised] == [1_000 * most]


def test_a_session_begins_with_the_login_and_ends_with_the_logout() -> None:
    shop = Shop(
        rule(limit=1, window_seconds=1, where=[condition("employee.session_age_seconds", "<=", 5)])
    )
    arrivals = [
        paid("a", 0),
        observation("b", 1000, LOGIN),
        paid("c", 6000),
        paid("d", 6001),
        observation("e", 7000, LOGIN),
        observation("f", 8000, LOGOUT),
        paid("g", 9000),
        observation("h", 8500, LOGIN),  # late
    ]
    assert shop.triggers(arrivals) == [[], [], ["c"], [], [], [], [], ["g"]]


def test_a_session_outlives_the_observations() -> None:
    age = condition("employee.session_age_seconds", ">=", 1000)
    shop = Shop(rule(limit=1, where=[age]), lateness_ms=0)
    arrivals = [observation("a", 0, LOGIN), paid("b", 500_000), paid("c", 1_000_000)]
    assert shop.triggers(arrivals) == [[], [], ["c"]]


def test_what_is_older_than_what_is_kept_is_too_late() -> None:
    shop = Shop(rule(), lateness_ms=5000)
    shop.take(paid("a", 100_000))
    assert shop.take(paid("b", 85_000)).outcome is Outcome.TOO_LATE
    assert shop.take(paid("c", 85_001)).outcome is Outcome.COUNTED


def test_a_new_rule_does_not_judge_the_past() -> None:
    old, new = rule(limit=100), rule(id="new", limit=2)
    shop = Shop(old)
    shop.triggers([paid("a", 0), paid("b", 1)])
    shop.follow(old, new)
    # It counts what was recorded before it was there.
    assert shop.triggers([paid("c", 2), paid("d", 1)]) == [["c"], []]


@pytest.mark.parametrize("is_read", [False, True])
def test_a_new_rule_of_which_a_group_has_nothing_does_not_judge_the_past(*, is_read: bool) -> None:
    old, new = rule(limit=100), rule(id="new", on=[REFUNDED], limit=1)
    shop = Shop(old)
    shop.triggers([paid("a", 10_000)])
    shop.follow(old, new)
    group = shop.table.group(shop.segment)
    found = []
    for it in (
        paid("b", 10_001),
        observation("late", 9_999, REFUNDED),
        observation("c", 10_002, REFUNDED),
    ):
        judged = group.judge(it, shop.plan, LATENESS_MS)
        found.append([each.trigger.event_id for each in judged.raised])
        shop.table.keep(group)
        group = shop.table.group(shop.segment) if is_read else group
    assert found == [[], [], ["c"]]


def test_the_first_event_of_a_rule_is_not_counted_with_those_of_other_rules() -> None:
    group = Group()
    plan = plan_for(rule(limit=100), rule(id="new", on=[REFUNDED], limit=2))
    those = [paid("a", 0), observation("b", 1, REFUNDED), observation("c", 2, REFUNDED)]
    raised = [group.judge(it, plan, LATENESS_MS).raised for it in those]
    assert [[each.total for each in alerts] for alerts in raised] == [[], [], [2]]


def test_a_paused_rule_does_not_judge_its_pause_and_is_exact_after_it() -> None:
    other = rule(id="other", limit=100)
    shop = Shop(rule(), other)
    shop.follow(rule(state="PAUSED"), other)
    shop.triggers([paid("a", 0), paid("b", 1)])
    shop.follow(rule(), other)
    assert shop.triggers([paid("c", 2)]) == [["c"]]


def test_a_renamed_rule_is_the_same_one() -> None:
    shop = Shop(rule(cooldown_seconds=60))
    shop.triggers([paid("a", 0), paid("b", 1)])
    shop.follow(rule(cooldown_seconds=60, name="Another name"))
    judged = shop.take(paid("c", 2))
    assert (list(judged.raised), [it.hits for it in judged.grown]) == ([], [2])
    assert judged.grown[0].rule.rule.name == "Another name"


def test_an_event_that_moved_in_time_keeps_its_one_alert() -> None:
    """It holds no more where it is now; a late event makes it hold again."""
    shop = Shop(rule())
    moved = paid("a", 50_000, revision=2, written_ms=102_000)
    late = paid("e0", 45_000, written_ms=103_000)
    assert shop.triggers([paid("p", 100_000), paid("a", 101_000), moved, late]) == [
        [],
        ["a"],
        ["a"],
        [],
    ]
    group = Group()
    those = [paid("p", 100_000), paid("a", 101_000), moved, late]
    judged = [group.judge(it, shop.plan, LATENESS_MS) for it in those]
    new = [[each.trigger.event_id for each in it.raised if each.is_new] for it in judged]
    assert new == [[], ["a"], [], []], "in memory as from the table"


def test_a_change_does_not_grow_with_the_observations() -> None:
    plan, table = plan_for(rule(limit=10**6, window_seconds=3600)), Table()
    group = table.group(64)
    sizes = []
    for number in range(3_000):
        group.judge(paid(f"e{number:05}", number), plan, LATENESS_MS)
        puts = table.keep(group)
        assert len(puts) == (2 if number and number % 64 == 0 else 1)
        sizes.append(sum(len(it.value or b"") for it in puts))
    assert max(sizes[1_500:]) <= max(sizes[:1_500]) + 64
    assert len(table.values) == 1 + (3_000 - 1) // 64


@given(st.integers(0, 12), st.integers(0, 12))
def test_what_only_the_store_of_a_killed_worker_has_gets_into_the_changelog(
    acknowledged: int, uncommitted: int
) -> None:
    """The events come again to the same worker, are committed, and the group moves to another."""
    plan, store, changelog = plan_for(rule(limit=3)), Table(), Table()
    arrivals = [paid(f"e{number:02}", number) for number in range(acknowledged + uncommitted)]
    group = store.group(2)
    for number, it in enumerate(arrivals):
        group.judge(it, plan, LATENESS_MS)
        puts = store.keep(group)
        if number < acknowledged:
            changelog.write(puts)
    restarted = store.group(2)
    for it in arrivals[acknowledged:]:
        restarted.judge(it, plan, LATENESS_MS)
        changelog.write(store.keep(restarted))
    assert changelog.values == store.values


def test_segments_that_are_out_of_the_horizon_are_removed() -> None:
    plan, table = plan_for(rule(limit=10**6)), Table()
    group = table.group(4)
    for number in range(100):
        group.judge(paid(f"e{number:03}", number * 1000), plan, 10_000)
        table.keep(group)
    # 20 s are kept: 16 observations in segments, and 4 in the head.
    assert sorted(it for it in table.values if it is not None) == [20, 21, 22, 23]
    assert Group(table.read(None), table.read, segment=4).horizon_ms == 79_000


def test_a_revision_of_a_sealed_observation_writes_its_segment_again() -> None:
    shop = Shop(rule(function="SUM", field="amount", limit=50), segment=2)
    shop.triggers([paid("a", 0, 0), paid("b", 1, 0), paid("c", 2, 0)])
    judged = shop.take(paid("a", 0, 500_000, revision=2))
    assert judged.outcome is Outcome.REVISED
    assert [it.segment for it in shop.puts] == [None, 0]
    assert {it.trigger.event_id for it in judged.raised} == {"a", "b", "c"}
    assert shop.take(paid("a", 0, 0, revision=1)).outcome is Outcome.REPEATED


def test_a_rule_that_alerts_at_each_event_makes_no_head_that_grows() -> None:
    plan, table = plan_for(rule(limit=1, window_seconds=1)), Table()
    group, raised, sizes = table.group(16), [], []
    for number in range(1_000):
        if number % 100 == 0:  # what is stored gives the same
            group = table.group(16)
        judged = group.judge(paid(f"e{number:04}", number * 10), plan, LATENESS_MS)
        table.keep(group)
        raised += [it.trigger.event_id for it in judged.raised]
        sizes.append(len(table.values[None]))
    assert raised == [f"e{number:04}" for number in range(1_000)]
    assert max(sizes[500:]) <= max(sizes[:500]) + 64
    late = group.judge(paid("late", 9_985), plan, LATENESS_MS)
    assert [it.trigger.event_id for it in late.raised] == ["late"]
    too_early = group.judge(paid("long ago", 5), plan, LATENESS_MS)
    assert list(too_early.raised) == []


def test_a_group_keeps_so_many_observations_and_names_the_rules_that_have_more() -> None:
    long, short = rule(id="long", limit=1, window_seconds=900), rule(id="short", limit=3)
    (plan,) = plan_of([long, short], most_observations=160).groupings
    table, sizes, hits, too_large = Table(), [], 0, set()
    group = table.group(16)
    for number in range(1_000):
        if number % 100 == 0:  # what is stored gives the same
            group = table.group(16)
        judged = group.judge(paid(f"e{number:04}", number * 1_000), plan, LATENESS_MS)
        table.keep(group)
        sizes.append(group.size)
        hits += sum(it.rule.rule.id == "short" for it in judged.raised)
        too_large |= {(number >= 160, it.rule.id) for it in judged.too_large}
    assert max(sizes) <= 160 + 16, "a segment goes as a whole"
    assert min(sizes[160:]) > 120, "not all of them go at once"
    assert len(table.values) <= 12
    assert too_large == {(True, "long")}
    assert hits == 998, "the windows of the other rule are whole"
    late = group.judge(paid("late", 500_000, written_ms=999_000), plan, LATENESS_MS)
    assert late.outcome is Outcome.TOO_LATE


def test_a_late_event_that_a_full_group_leaves_out_pauses_the_rules_that_miss_it() -> None:
    long, short = rule(id="long", limit=1, window_seconds=900), rule(id="short", limit=1)
    (plan,) = plan_of([long, short], most_observations=160).groupings
    table = Table()
    for number in range(160):
        group = table.group(16)
        group.judge(paid(f"e{number}", 1_000 * number), plan, LONG_MS)
        table.keep(group)
    group = table.group(16)
    late = group.judge(paid("late", 5_500), plan, LONG_MS)
    assert late.outcome is Outcome.TOO_LATE
    assert [it.rule.id for it in late.too_large] == ["long"]
    table.keep(group)
    judged = table.group(16).judge(paid("e160", 160_000), plan, LONG_MS)
    assert [it.rule.rule.id for it in judged.raised] == ["short"]


@settings(max_examples=most(200))
@given(
    seconds=st.lists(st.integers(0, 60), min_size=40, max_size=80),
    window=st.integers(1, 60),
    reads_again=st.booleans(),
)
def test_no_rule_is_judged_on_a_window_that_lost_events_to_the_bound(
    seconds: list[int], window: int, *, reads_again: bool
) -> None:
    """A group counts, loses events in steps, and is never wrong about a window."""
    (plan,) = plan_of([rule(limit=1, window_seconds=window)], most_observations=32).groupings
    table, came = Table(), list[int]()
    group, is_paused = table.group(4), False
    for number, second in enumerate(seconds):
        if reads_again:
            group = table.group(4)
        came.append(second)
        judged = group.judge(paid(f"e{number}", 1_000 * second), plan, LONG_MS)
        table.keep(group)
        for it in judged.raised:
            at = it.trigger.at_ms // 1_000
            assert it.value == 10_000 * sum(at - window < each <= at for each in came)
        is_paused = is_paused or bool(judged.too_large)
        is_left_out = judged.outcome is Outcome.TOO_LATE
        assert is_paused or not is_left_out or second <= max(came) - window


def test_a_longer_window_is_not_too_large_for_a_group_that_lost_nothing_to_its_bound() -> None:
    group, narrow = Group(), plan_for(rule(window_seconds=10))
    for number in range(3):
        group.judge(paid(f"e{number}", number * 500_000), narrow, LATENESS_MS)
    (wide,) = plan_of([rule(window_seconds=900)], most_observations=160).groupings
    judged = group.judge(paid("e3", 1_500_000), wide, LATENESS_MS)
    assert (judged.outcome, list(judged.too_large)) == (Outcome.COUNTED, [])


def test_a_group_may_have_as_many_observations_as_there_are_until_a_limit_is_set() -> None:
    group = Group()
    judged = [group.judge(paid(f"e{it}", it), plan_for(rule()), LATENESS_MS) for it in range(300)]
    assert not any(it.too_large for it in judged)
    assert group.size == 300


#: The longest ids that a till can give, of four bytes a character.
LONG = "\U0001f6d2" * 250
#: A broker refuses a message of 1 MiB.
MOST_BYTES = 700_000


def test_rules_that_alert_at_each_event_make_no_head_that_a_broker_refuses() -> None:
    rules = (rule(id=f"r{number}", limit=1, window_seconds=1) for number in range(12))
    plan, group, sizes = plan_for(*rules), Group(), []
    for number in range(400):
        it = paid(f"{LONG}{number:06}", number * 10)
        judged = group.judge(it, plan, LATENESS_MS)
        assert [each.trigger.event_id for each in judged.raised] == [it.event_id] * 12
        sizes.append(max(len(put.value or b"") for put in group.take_puts()))
    assert max(sizes) < MOST_BYTES


def test_a_late_event_that_makes_hits_of_all_behind_it_alerts_the_newest_ones_only() -> None:
    plan = plan_for(rule(function="MAX", field="amount", limit=50, window_seconds=90))
    table = Table()
    group = table.group(16)
    for number in range(2_000):
        it = paid(f"{LONG}{number:06}", 1_000 + number)
        group.judge(it, plan, LATENESS_MS)
        table.keep(group)
    judged = group.judge(paid("late", 500, 1_000_000), plan, LATENESS_MS)
    newest = [f"{LONG}{number:06}" for number in range(2_000 - len(judged.raised), 2_000)]
    assert [it.trigger.event_id for it in judged.raised] == newest
    assert 0 < len(newest) <= 256
    assert max(len(put.value or b"") for put in table.keep(group)) < MOST_BYTES
    again = table.group(16).judge(paid("next", 4_000), plan, LATENESS_MS)
    assert [it.trigger.event_id for it in again.raised] == ["next"], "the others are over"
