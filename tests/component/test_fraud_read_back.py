"""Rules that miss events read them back: exact from then on, and silent about the past."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.fraud_detection import topics
from agents.fraud_detection.rules.rule import Rule
from posstream.domain.errors import PublishFailed
from posstream.domain.times import from_ms
from posstream.forgetting.marks import Marks, subject_of_customer
from tests.component.fraud_fakes import House, at, event
from tests.component.test_fraud_agent import moved
from tests.examples import most
from tests.fraud_observations import condition, rule

REFUND = "PAYMENT_REFUNDED"
CARD = [condition("method", "=", "CARD")]
#: It was there before, and never raises anything.
OLD = rule(id="old", limit=99)
HOURS = {"limit": 3, "window_seconds": 3_600}
#: A rule that misses something, by what it misses.
NEW = {
    "type": rule(on=["PAYMENT_COMPLETED", REFUND], **HOURS),
    "fact": rule(where=CARD, **HOURS),
    "grouping": rule(group_by=["terminal_id"], **HOURS),
    "window": rule(**HOURS),
}


def paid(event_id: str, second: float, **more: Any) -> bytes:
    return event(event_id, second, **{"method": "CARD"} | more)


def before(*past: bytes, lateness_seconds: int = 0) -> House:
    """A shop in which events happened while only the old rule was there; it is 100 s past 0."""
    house = House(OLD, lateness_seconds=lateness_seconds)
    house.agent.judge.note_plan()
    assert house.happen(*past) == []
    house.clock.advance(100)
    return house


def edit(house: House, *rules: Rule) -> None:
    """Add rules; 2 s later every worker has them."""
    house.edit(OLD, *rules, lateness_seconds=house.rules.values.lateness_seconds)
    house.agent.judge.note_plan()
    house.clock.advance(2)


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
async def test_a_rule_that_read_back_what_it_missed_is_exact(new: Rule) -> None:
    house = before(paid("e1", 1), paid("e50", 50))
    edit(house, new)
    assert await house.read_back() == []
    (alert,) = house.happen(paid("e110", 110))
    assert (alert["value"], alert["complete_from"]) == ("3", None)
    assert [it["event_id"] for it in alert["observations"]] == ["e110", "e50", "e1"]


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
async def test_nothing_is_told_about_the_past(new: Rule) -> None:
    house = before(*(paid(f"e{it}", it) for it in range(40, 50)))
    edit(house, new)
    assert await house.read_back() == []
    assert await house.read_back() == [], "it knows all by now"
    assert [it["triggered_by"] for it in house.happen(paid("e110", 110))] == ["e110"]


async def test_an_event_that_came_before_the_past_was_read_raises_its_alert_then() -> None:
    house = before(paid("e1", 1), paid("e50", 50))
    edit(house, NEW["grouping"])
    house.clock.advance(10)
    assert house.happen(paid("e110", 110)) == [], "alone, it is one event"
    (alert,) = await house.read_back()
    assert (alert["triggered_by"], alert["value"], alert["complete_from"]) == ("e110", "3", None)


async def test_until_then_the_rule_is_warming_and_its_alerts_say_so() -> None:
    house = before(paid("e1", 1))
    edit(house, rule(group_by=["terminal_id"], limit=1, window_seconds=3_600))
    (alert,) = house.happen(paid("e110", 110))
    assert alert["complete_from"] == at(102)
    house.episodes()
    await house.read_back()
    told = house.percents()
    assert (told[0], told[-1]) == (0, 100)


async def test_what_live_events_say_comes_first() -> None:
    house = before(paid("e1", 1))
    edit(house, NEW["grouping"])
    house.happen(paid("e110", 110))
    house.clock.advance(2)
    late = house.take(topics.GROUPED)
    house.agent._busy_until = house.clock.monotonic() + 1
    await house.read_back()
    assert (late, house.percents()) == ([], [0] * 3)


async def test_a_reading_that_ended_in_the_middle_is_made_again_and_changes_nothing_more() -> None:
    past = [paid(f"e{it}", it) for it in range(40, 60)]
    house, other = before(*past), before(*past)

    def killed() -> None:
        raise ConnectionError

    for it in (house, other):
        edit(it, NEW["grouping"])
    with pytest.raises(ConnectionError):
        await house.read_back(meanwhile=killed)
    house = house.again()
    other.clock.advance(2)
    for it in (house, other):
        await it.read_back()
    alerts = [it.happen(paid("e110", 110)) for it in (house, other)]
    assert alerts[0] == alerts[1]
    assert house.table.kept == other.table.kept


async def test_an_alert_that_a_crash_lost_is_told_by_the_next_reading() -> None:
    house = before(paid("e1", 1), paid("e50", 50))
    edit(house, NEW["grouping"])
    house.happen(paid("e110", 110))
    with pytest.raises(PublishFailed):
        await house.read_back(error=PublishFailed("gone"))
    assert [it["triggered_by"] for it in await house.again().read_back()] == ["e110"]


@pytest.mark.parametrize("is_killed", [False, True])
async def test_an_event_that_was_read_back_before_it_was_judged_is_judged_by_all_rules(
    *, is_killed: bool
) -> None:
    known = rule(id="known", **HOURS)
    house = House(OLD, known, lateness_seconds=0)
    house.agent.judge.note_plan()
    assert house.happen(paid("e1", 1), paid("e50", 50)) == []
    house.clock.advance(100)
    edit(house, known, NEW["fact"])
    house.give(topics.TILL_EVENTS, 0, paid("e110", 110))
    waiting = house.take(topics.GROUPED)

    def killed() -> None:
        raise ConnectionError

    if is_killed:
        house.past.insert(0, house.past.pop())  # partitions are read in any order
        with pytest.raises(ConnectionError):
            await house.read_back(meanwhile=killed)
        house = house.again()
    told = [] if is_killed else await house.read_back()
    house.judge(waiting)
    told += house.happen()
    by_rule = {it["rule_id"]: it["value"] for it in told}
    assert by_rule == ({"known": "3"} if is_killed else {"known": "3", "many": "3"})


async def test_no_rule_stays_warming_when_a_worker_dies_behind_its_last_event() -> None:
    house = before(paid("e1", 1))
    edit(house, NEW["grouping"])
    house.table.flush_errors = [None, ConnectionError()]
    with pytest.raises(ConnectionError):
        await house.read_back()
    told = house.percents()
    other = house.again()
    await other.read_back()
    assert (told[-1], other.percents()) == (100, [])


@pytest.mark.parametrize("how", ["rebalance", "moved", "edit"])
async def test_a_reading_ends_when_partitions_or_needs_change_and_is_made_again(how: str) -> None:
    house = before(*(paid(f"e{it}", it, basket={"items": 2}) for it in range(40, 50)))
    edit(house, NEW["grouping"])
    also = rule(
        id="also", where=[condition("basket.items", ">", 1)], limit=11, window_seconds=3_600
    )
    changes: dict[str, Callable[[], object]] = {
        "rebalance": lambda: setattr(house, "generation", 2),
        "moved": house.table.owned.clear,
        "edit": lambda: edit(house, NEW["grouping"], also),
    }
    await house.read_back(meanwhile=changes[how])
    house.table.owned.update({0, 1, 2})
    (alert,) = house.happen(paid("e105", 105, basket={"items": 2}))[:1]
    assert alert["complete_from"] is not None
    await house.read_back()
    found = house.happen(paid("e110", 110, basket={"items": 2}))
    wanted = {"many": ("12", None)} | ({"also": ("12", None)} if how == "edit" else {})
    assert {it["rule_id"]: (it["value"], it["complete_from"]) for it in found} == wanted


async def test_whoever_was_forgotten_is_not_written_back() -> None:
    names = {"customer_id": "C1"}
    house = before(*(paid(f"e{it}", it, basket=names) for it in range(40, 50)))
    of_customer = rule(id="of_customer", group_by=["customer_id"], limit=3, window_seconds=3_600)
    edit(house, NEW["fact"], of_customer)
    for part in house.table.stores:  # what was recorded for others is taken out elsewhere
        part.clear()
    house.agent.judge.forget_held()
    house.agent.judge.note_plan()
    house.edit(OLD, NEW["fact"], rule(id="again", where=CARD, limit=1), lateness_seconds=0)
    marks = Marks({subject_of_customer("C1"): from_ms(house.clock.now_ms() + 60_000)})
    await house.read_back(marks)
    assert b"C1" not in b"".join(house.table.kept.values())


async def test_a_rule_says_since_when_it_is_whole_if_the_topic_lost_older_events() -> None:
    house = before(paid("e1", 1), paid("e50", 50))
    edit(house, NEW["grouping"])
    house.oldest_ms = house.clock.now_ms() - 80_000
    await house.read_back()
    house.episodes()
    (alert,) = house.happen(paid("e110", 110))
    assert (alert["value"], alert["complete_from"]) == ("3", at(102 - 80 + 60))
    await house.read_back()
    assert house.episodes()[1:] == [], "there is nothing more to read"


async def test_a_session_from_long_before_the_window_is_known() -> None:
    age = rule(where=[condition("employee.session_age_seconds", ">=", 100)], limit=1)
    house = before(event("l1", 1, "EMPLOYEE_LOGGED_IN"), lateness_seconds=3_600)
    edit(house, age)
    await house.read_back()
    (alert,) = house.happen(paid("e110", 110))
    assert (alert["triggered_by"], alert["complete_from"]) == ("e110", None)


async def test_an_event_that_moved_to_another_customer_is_read_back_there_only() -> None:
    of_customer = rule(id="of_customer", group_by=["customer_id"], limit=2, window_seconds=3_600)
    house = before(paid("e1", 1, basket={"customer_id": "C1"}), moved("e1", 1, "C2", 5))
    edit(house, of_customer)
    await house.read_back()
    assert house.happen(paid("e105", 105, basket={"customer_id": "C1"})) == []
    assert len(house.happen(paid("e106", 106, basket={"customer_id": "C2"}))) == 1


async def test_a_rule_that_was_switched_off_reads_back_what_it_missed() -> None:
    new = NEW["grouping"]
    house = before()
    edit(house, new)
    house.happen(paid("e103", 103))
    house.edit(OLD, new, enabled=False, lateness_seconds=0)
    house.agent.judge.note_plan()
    house.clock.advance(10)
    assert house.happen(*(paid(f"e{it}", it) for it in range(105, 110))) == []
    edit(house, new)
    assert await house.read_back() == []
    (alert,) = house.happen(paid("e120", 120))
    assert (alert["value"], alert["complete_from"]) == ("7", None)


SOME = [
    rule(group_by=["terminal_id"], limit=3, window_seconds=60),
    rule(function="SUM", field="amount", limit=50, window_seconds=60),
    rule(function="COUNT_DISTINCT", field="basket.tier", limit=2, window_seconds=60),
    rule(
        function="RATIO",
        on=["PAYMENT_COMPLETED", REFUND],
        of=[condition("event_type", "=", REFUND)],
        operator="<=",
        limit="0.5",
        window_seconds=60,
    ),
    rule(
        function="SEQUENCE",
        on=["PAYMENT_COMPLETED", REFUND],
        first=[condition("event_type", "=", REFUND)],
        then=[condition("amount", ">", 15)],
        limit=1,
        window_seconds=60,
    ),
]
EVENTS = st.lists(
    st.tuples(
        st.integers(1, 140).filter(lambda it: not 99 < it < 102),
        st.sampled_from(["PAYMENT_COMPLETED", REFUND]),
        st.sampled_from(["10.00", "20.00"]),
        st.sampled_from(["t1", "t2"]),
        st.sampled_from(["GOLD", "SILVER"]),
    ),
    max_size=40,
)


def payments(*seconds: int) -> list[tuple[int, str, str, str, str]]:
    return [(it, "PAYMENT_COMPLETED", "10.00", "t1", "GOLD") for it in seconds]


@settings(max_examples=most(40))
@example(events=payments(43, 102, 102, 103, 104), new=SOME[0], is_late=True)
@given(events=EVENTS, new=st.sampled_from(SOME), is_late=st.booleans())
async def test_the_alerts_are_those_of_a_rule_that_was_always_there(
    events: list[tuple[int, str, str, str, str]], new: Rule, *, is_late: bool
) -> None:
    made = []
    for number, (second, what, amount, till, tier) in enumerate(sorted(events)):
        when = (
            second + number / 1_000
        )  # of two events of one time, the first sees the other if late
        fields = {"amount": amount, "terminal_id": till}
        made.append((second, event(f"e{number}", when, what, basket={"tier": tier}, **fields)))
    always = House(OLD, new, lateness_seconds=0)
    always.agent.judge.note_plan()
    wanted = [it for _, each in made for it in always.happen(each) if it["occurred_at"] >= at(102)]
    house = before(*(it for second, it in made if second < 100))
    edit(house, new)
    told = [] if is_late else await house.read_back()
    assert told == []
    told = house.happen(*(it for second, it in made if second > 100)) + await house.read_back()
    whole = [it for it in told if it["complete_from"] is None]
    assert {it["alert_id"] for it in told} >= {it["alert_id"] for it in wanted}
    assert said(whole) <= said(wanted)
    assert is_late or said(told) == said(wanted)


def said(alerts: list[dict[str, Any]]) -> set[tuple[object, ...]]:
    names = ("alert_id", "triggered_by", "value", "observations_total", "complete_from")
    return {tuple(it[name] for name in names) for it in alerts}
