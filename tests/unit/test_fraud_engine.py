"""Judges arrivals like an obvious reference does, in memory and from what is stored."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.fraud_detection.engine.judged import Judged, Raised
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.plan import GroupingPlan, plan_of
from agents.fraud_detection.rules.rule import Rule
from tests.examples import most
from tests.fraud_observations import Table, arrivals, rules
from tests.fraud_reference import Reference

LONG = 10_000_000


def only_plan(of: Sequence[Rule]) -> GroupingPlan:
    (plan,) = plan_of(of).groupings
    return plan


def in_ten_thousandths(value: Fraction) -> int:
    scaled = abs(value) * 10_000
    whole = int(scaled + Fraction(1, 2))
    return -whole if value < 0 else whole


#: Nothing is too late within it.
_LONG_MS = 10**9


def told(judged: Judged) -> set[Any]:
    return {
        (it.rule.rule.id, it.trigger.event_id, it.value, it.total, _newest(it))
        for it in judged.raised
    }


def _newest(it: Raised) -> tuple[str, ...] | None:
    return tuple(each.event_id for each in it.observations) if it.is_new else None


def expected_of(told: set[Any]) -> set[Any]:
    return {(*it[:2], in_ten_thousandths(it[2]), *it[3:]) for it in told}


class Hits:
    """How many hits each alert has, as it was told."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], tuple[int, int]] = {}

    def take(self, judged: Judged) -> None:
        for it in judged.raised:
            self.known[it.rule.rule.id, it.trigger.event_id] = it.hits, it.last_hit_ms
        for grown in judged.grown:
            self.known[grown.rule.rule.id, grown.triggered_by] = grown.hits, grown.last_hit_ms


def hits_of(reference: Reference) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (rule_id, it["trigger"]): (it["hits"], it["last"])
        for rule_id, alerts in reference.alerts.items()
        for it in alerts
    }


def compare(
    of: Sequence[Rule],
    those: Sequence[Observation],
    lateness_ms: int,
    read_again: Sequence[bool],
    segment: int,
) -> None:
    plan = only_plan(of)
    reference = Reference(of, plan.widest_window_ms, lateness_ms)
    table, hits = Table(), Hits()
    group = table.group(segment)
    for it, again in zip(those, read_again, strict=False):
        outcome, expected = reference.arrive(it)
        judged = group.judge(it, plan, lateness_ms)
        assert (judged.outcome, told(judged)) == (outcome, expected_of(expected))
        hits.take(judged)
        assert hits.known == hits_of(reference)
        table.keep(group)
        if again:
            group = table.group(segment)


@settings(max_examples=most(200), deadline=None)
@given(
    rules(),
    arrivals(moves=True),
    st.lists(st.booleans(), min_size=25, max_size=25),
    st.integers(1, 4),
)
def test_alerts_are_those_of_the_reference(
    of: list[Rule], those: list[Observation], read_again: list[bool], segment: int
) -> None:
    compare(of, those, LONG, read_again, segment)


@settings(max_examples=most(200), deadline=None)
@given(
    rules(),
    arrivals(),
    st.lists(st.booleans(), min_size=25, max_size=25),
    st.integers(1, 4),
    st.sampled_from([0, 1500, 4000]),
)
def test_alerts_are_those_of_the_reference_when_old_observations_go(
    of: list[Rule],
    those: list[Observation],
    read_again: list[bool],
    segment: int,
    lateness_ms: int,
) -> None:
    compare(of, those, lateness_ms, read_again, segment)


@settings(max_examples=most(200), deadline=None)
@given(
    rules(),
    arrivals(),
    st.lists(st.tuples(st.integers(1, 12), st.none() | st.integers(0, 9)), min_size=25),
    st.integers(1, 4),
)
def test_a_list_is_written_at_once_and_a_crash_in_it_loses_nothing(
    of: list[Rule], those: list[Observation], lists: list[tuple[int, int | None]], segment: int
) -> None:
    """A list is judged in memory; a crash after some of its changes lets all of it come again."""
    plan = only_plan(of)
    reference = Reference(of, plan.widest_window_ms, _LONG_MS)
    table, hits = Table(), Hits()
    group = table.group(segment)
    for length, written in lists:
        at_hand, those = those[:length], those[length:]
        expected = [each for it in at_hand for each in expected_of(reference.arrive(it)[1])]
        if written is not None:
            for it in at_hand:
                group.judge(it, plan, _LONG_MS)
            table.keep(group, written)
            group = table.group(segment)
        found = [group.judge(it, plan, _LONG_MS) for it in at_hand]
        table.keep(group)
        seen = {each[:2] for judged in found for each in told(judged)}
        assert seen >= {each[:2] for each in expected}
        for judged in found:
            hits.take(judged)
        assert hits.known == hits_of(reference)


@settings(max_examples=most(200), deadline=None)
@given(rules(), arrivals(), st.lists(st.none() | st.integers(0, 3), min_size=25, max_size=25))
def test_a_crash_after_any_change_loses_nothing(
    of: list[Rule], those: list[Observation], crashes: list[int | None]
) -> None:
    """What was judged and not told is told once its event comes again."""
    plan = only_plan(of)
    reference = Reference(of, plan.widest_window_ms, 1500)
    table, hits = Table(), Hits()
    for it, written in zip(those, crashes, strict=False):
        _, expected = reference.arrive(it)
        if written is not None:
            group = table.group(2)
            group.judge(it, plan, 1500)
            table.keep(group, written)
        group = table.group(2)
        judged = group.judge(it, plan, 1500)
        assert {each[:4] for each in told(judged)} >= {each[:4] for each in expected_of(expected)}
        hits.take(judged)
        assert hits.known == hits_of(reference)
        table.keep(group)
