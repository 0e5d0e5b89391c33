"""The agent of fraud detection without a broker: what it groups, judges, keeps and tells."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
import pytest
from faust.types import TP
from msgspec.structs import replace

from agents.fraud_detection import topics
from agents.fraud_detection.configuration import Snooze
from agents.fraud_detection.engine.group_key import group_key
from agents.fraud_detection.forgetting_groups import ForgettingGroups
from agents.fraud_detection.leaving import LeavingGroups
from agents.fraud_detection.recording import PREFIX
from agents.fraud_detection.snoozed_groups import hashed
from posstream.domain.errors import StorageFailed, TakesNothingNow, UnreadableEvent
from posstream.domain.times import from_ms
from posstream.forgetting.marks import Marks, subject_of_customer, subject_of_identifier
from posstream.kafka.record import Record
from tables.partitioned import home
from tests.component.basket_fakes import PARTITIONS
from tests.component.fraud_fakes import House, KeptObservations, at, event
from tests.fraud_observations import rule

SHADOW = {"state": "SHADOW"}
OF_CUSTOMERS = rule(id="of_customers", group_by=["customer_id"], limit=1)
DAY = 86_400


def keys(table: KeptObservations) -> set[str]:
    """The keys of groups and segments."""
    return {it for it in table.kept if it != PREFIX}


# -- from the till event to the alert


def test_an_event_is_written_once_for_each_grouping_to_the_partition_of_its_group() -> None:
    house = House(rule(), rule(id="at_tills", group_by=["terminal_id"]), OF_CUSTOMERS)
    house.give(topics.TILL_EVENTS, 0, event("e1", 1))
    grouped = house.take(topics.GROUPED)
    groups = [group_key({"employee_id": "7"}), group_key({"terminal_id": "t1"})]
    assert [(it.key or b"").decode() for it in grouped] == groups, "it has no customer"
    assert [it.partition for it in grouped] == [home(it, PARTITIONS) for it in groups]


@pytest.mark.parametrize("is_new", [False, True])
def test_an_observation_in_another_partition_than_its_group_is_written_there(
    *, is_new: bool
) -> None:
    house = House(rule(limit=1))
    house.give(topics.TILL_EVENTS, 0, event("e1", 1))
    (grouped,) = house.take(topics.GROUPED)
    elsewhere = PARTITIONS if is_new else ((grouped.partition or 0) + 1) % PARTITIONS
    house.give(topics.GROUPED, elsewhere, grouped.value or b"", grouped.key)
    assert (house.take(topics.GROUPED), house.records) == ([grouped], [])
    assert keys(house.table) == set()
    house.judge([grouped])
    assert len(house.take(topics.FRAUD_ALERT_RAISED)) == 1


def test_an_event_of_another_type_is_not_grouped() -> None:
    house = House(rule())
    house.give(topics.TILL_EVENTS, 0, event("e1", 1, "ITEM_ADDED"))
    assert house.records == []


def test_an_alert_says_what_made_it() -> None:
    house = House(rule())
    assert house.happen(event("e1", 1)) == []
    (alert,) = house.happen(event("e2", 2, basket={"customer_id": "C1"}))
    assert alert == {
        "event_id": alert["event_id"],
        "event_type": "FRAUD_ALERT",
        "schema_version": 1,
        "occurred_at": at(2),
        "alert_id": alert["alert_id"],
        "rule_id": "many",
        "rule_version": alert["rule_version"],
        "rule_name": "Many payments",
        "severity": "LOW",
        "group": {"employee_id": "7"},
        "function": "COUNT",
        "value": "2",
        "operator": ">=",
        "limit": "2",
        "window_seconds": 10,
        "window_start": at(-8),
        "window_end": at(2),
        "triggered_by": "e2",
        "observations": [
            {
                "event_id": "e2",
                "event_type": "PAYMENT_COMPLETED",
                "occurred_at": at(2),
                "fields": {
                    "basket_id": "b1",
                    "terminal_id": "t1",
                    "employee_id": "7",
                    "customer_id": "C1",
                },
            },
            {
                "event_id": "e1",
                "event_type": "PAYMENT_COMPLETED",
                "occurred_at": at(1),
                "fields": {"basket_id": "b1", "terminal_id": "t1", "employee_id": "7"},
            },
        ],
        "observations_total": 2,
        "basket_id": "b1",
        "terminal_id": "t1",
        "employee_id": "7",
        "customer_id": "C1",
        "complete_from": None,
        "config_version": 0,
    }
    (episode,) = house.episodes()
    assert episode == {
        "alert": alert,
        "rule_state": "ACTIVE",
        "snoozed": False,
        "hits": 1,
        "last_hit_at": at(2),
        "revision": 1,
    }


def test_a_burst_is_one_alert_whose_hits_are_told() -> None:
    house = House(rule(cooldown_seconds=60))
    alerts = house.happen(*(event(f"e{number}", number) for number in range(5)))
    assert [it["triggered_by"] for it in alerts] == ["e1"]
    assert [(it["hits"], it["last_hit_at"]) for it in house.episodes()] == [
        (1, at(1)),
        (2, at(2)),
        (3, at(3)),
        (4, at(4)),
    ]


def test_the_hits_of_a_list_are_told_once_after_their_alert() -> None:
    house = House(rule(cooldown_seconds=60))
    for number in range(5):
        house.give(topics.TILL_EVENTS, 0, event(f"e{number}", number))
    house.give_list(house.take(topics.GROUPED))
    raised, grown = house.episodes()
    assert (raised["alert"]["triggered_by"], raised["hits"]) == ("e1", 1)
    alert_id = raised["alert"]["alert_id"]
    assert grown == {"alert_id": alert_id, "hits": 4, "last_hit_at": at(4)}


def test_an_alert_is_told_whole_again_when_its_trigger_says_something_else() -> None:
    house = House(rule(cooldown_seconds=60), lateness_seconds=DAY)
    house.happen(event("e2", 2), event("e1", 1))  # the late one raises it
    house.episodes()
    house.happen(event("e2", 2, revision=2, basket={"customer_id": "C1"}))
    (episode,) = house.episodes()
    assert (episode["alert"]["triggered_by"], episode["alert"]["customer_id"]) == ("e2", "C1")


def test_a_shadow_rule_is_listed_and_not_published() -> None:
    house = House(rule(**SHADOW))
    assert house.happen(event("e1", 1), event("e2", 2)) == []
    (episode,) = house.episodes()
    assert (episode["rule_state"], episode["alert"]["triggered_by"]) == ("SHADOW", "e2")
    assert house.counted("fraud_alerts_total", rule="many", told="shadow") == 1


@pytest.mark.parametrize(
    ("group", "until", "told"),
    [
        ({"employee_id": "7"}, 60, 0),
        ({}, 60, 0),
        ({"employee_id": "8"}, 60, 1),
        ({"employee_id": "7"}, -60, 1),
    ],
)
def test_a_snoozed_rule_is_listed_and_not_published(
    group: dict[str, str], until: int, told: int
) -> None:
    house = House()
    now = from_ms(house.clock.now_ms()).timestamp() - 1_769_846_400
    snooze = {"rule_id": "many", "group": group, "author": "kim", "until": at(now + until)}
    house.edit(rule(), snoozes=[snooze])
    assert len(house.happen(event("e1", 1), event("e2", 2))) == told
    assert [it["snoozed"] for it in house.episodes()] == [not told]


def test_a_snooze_of_a_customer_names_nobody() -> None:
    house = House()
    until = at(from_ms(house.clock.now_ms()).timestamp() - 1_769_846_400 + 60)
    group = hashed({"customer_id": "C1"})
    assert "C1" not in group["customer_id"]
    assert hashed(group) == group
    snooze = {"rule_id": "of_customers", "group": group, "author": "kim", "until": until}
    house.edit(OF_CUSTOMERS, snoozes=[snooze])
    known = [event(f"e{it}", it, basket={"customer_id": f"C{it}"}) for it in (1, 2)]
    assert [it["customer_id"] for it in house.happen(*known)] == ["C2"]


# -- repeats, revisions, crashes


def test_a_repeated_event_tells_its_alert_again_and_counts_nothing() -> None:
    house = House(rule())
    alerts = house.happen(event("e1", 1), event("e2", 2))
    kept = house.table.kept
    after = house.again()
    assert after.happen(event("e2", 2)) == alerts
    assert after.happen(event("e1", 1)) == []
    assert house.table.kept == kept


def test_another_revision_is_no_other_alert() -> None:
    house = House(rule(), lateness_seconds=DAY)
    house.happen(event("e1", 1), event("e2", 2))
    house.episodes()
    later = event("e2", 2, revision=2, basket={"customer_id": "C1"})
    assert house.happen(later) == []
    (episode,) = house.episodes()
    assert (episode["alert"]["customer_id"], episode["hits"]) == ("C1", 1)


def test_a_late_event_judges_those_behind_it_anew() -> None:
    house = House(rule())
    assert house.happen(event("e2", 2), event("e30", 30)) == []
    (alert,) = house.happen(event("e1", 1, written=31))
    assert alert["triggered_by"] == "e2"


def test_another_worker_goes_on_where_this_one_ended() -> None:
    house = House(rule(limit=100, window_seconds=200))
    house.happen(*(event(f"e{number:03}", number) for number in range(99)))
    assert len(keys(house.table)) > 2, "the head, and its segments"
    (alert,) = house.again().happen(event("e099", 99))
    assert (alert["value"], alert["observations_total"], len(alert["observations"])) == (
        "100",
        100,
        50,
    )


@pytest.mark.parametrize("trouble", ["frozen", "moved"])
def test_nothing_is_told_that_is_not_kept(trouble: str) -> None:
    house = House(rule())
    house.happen(event("e1", 1))
    house.give(topics.TILL_EVENTS, 0, event("e2", 2))
    if trouble == "frozen":
        house.table.co_partitioning.is_frozen = True
    else:
        house.table.owned.clear()
    grouped = house.take(topics.GROUPED)
    house.judge(grouped)
    assert [type(why) for why in house.refused] == [TakesNothingNow]
    assert house.records == []
    house.table.co_partitioning.is_frozen = False
    house.table.owned.update(range(PARTITIONS))
    house.judge(grouped)
    assert len(house.take(topics.FRAUD_ALERT_RAISED)) == 1


def at_one_home(count: int) -> list[str]:
    """Employees whose groups are in the first partition."""
    employees = (str(number) for number in range(1_000))
    found = [it for it in employees if not home(group_key({"employee_id": it}), PARTITIONS)]
    return found[:count]


def grouped_of(house: House, *employees: str, second: float = 1) -> list[Record]:
    """What is grouped of two payments of each employee."""
    for number in range(2):
        for who in employees:
            event_id = f"e{second}-{number}-{who}"
            house.give(topics.TILL_EVENTS, 0, event(event_id, second + number, employee_id=who))
    return house.take(topics.GROUPED)


def test_the_groups_of_a_list_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(rule(limit=9))
    house.give_list(grouped_of(house, *at_one_home(3)))
    written: list[int] = []
    keep = house.table.put_all_at

    def noted(tp: TP, values: Mapping[bytes, bytes]) -> dict[bytes, Exception]:
        written.append(len(values))
        return keep(tp, values)

    monkeypatch.setattr(house.table, "put_all_at", noted)
    house.give_list(grouped_of(house, *at_one_home(3), second=3))
    assert written == [3]


def test_a_group_that_cannot_be_kept_leaves_its_events_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(rule())
    full, other = at_one_home(2)
    grouped = grouped_of(house, full, other)
    keep = house.table.put_at

    def full_for_one(tp: TP, key: bytes, value: bytes) -> None:
        if key == group_key({"employee_id": full}).encode():
            raise StorageFailed("the disk is full")
        keep(tp, key, value)

    monkeypatch.setattr(house.table, "put_at", full_for_one)
    house.give_list(grouped)
    assert [type(why) for why in house.refused] == [StorageFailed, StorageFailed]
    (alert,) = house.take(topics.FRAUD_ALERT_RAISED)
    assert orjson.loads(alert.value or b"")["group"] == {"employee_id": other}
    monkeypatch.undo()
    house.give_list(grouped)
    alerts = [orjson.loads(it.value or b"") for it in house.take(topics.FRAUD_ALERT_RAISED)]
    assert [it["group"]["employee_id"] for it in alerts] == [full, other], "one comes again"


def test_a_group_that_cannot_be_told_of_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(rule())
    mute, other = at_one_home(2)
    grouped = grouped_of(house, mute, other)
    told = house.agent.judge._told

    def raises_for_one(alerts: Any, outcome: Any, key: str, *others: Any) -> Any:
        if key == group_key({"employee_id": mute}):
            raise RuntimeError("no words for it")
        return told(alerts, outcome, key, *others)

    monkeypatch.setattr(house.agent.judge, "_told", raises_for_one)
    house.give_list(grouped)
    assert {type(why) for why in house.refused} == {RuntimeError}
    (alert,) = house.take(topics.FRAUD_ALERT_RAISED)
    assert orjson.loads(alert.value or b"")["group"] == {"employee_id": other}


def test_a_rule_that_is_paused_does_not_judge_the_next_group_of_the_list() -> None:
    house = House(rule(), most_alerts_per_hour=1)
    first, second, third = at_one_home(3)
    house.give_list(grouped_of(house, first, second, third))
    alerts = [orjson.loads(it.value or b"") for it in house.take(topics.FRAUD_ALERT_RAISED)]
    assert [it["group"]["employee_id"] for it in alerts] == [first, second]


GROUP = b'{"employee_id":"7"}'


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        (topics.TILL_EVENTS, None, b"{}"),
        (topics.TILL_EVENTS, None, b'{"event_id":"\xff"}'),
        (topics.TILL_EVENTS, None, b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
        (topics.GROUPED, None, b"{}"),
        (topics.GROUPED, GROUP, b"{}"),
        (topics.GROUPED, GROUP, b"\x96\xa1\xff"),
        (topics.GROUPED, b'{"x":' + b"[" * 5_000, b"{}"),
    ],
)
def test_what_posstream_did_not_write_is_refused(
    topic: str, key: bytes | None, value: bytes
) -> None:
    house = House(rule())
    house.give(topic, 0, value, key)
    assert [type(why) for why in house.refused] == [UnreadableEvent]


def moved(event_id: str, second: float, customer_id: str, revision: int) -> bytes:
    """A payment of C1, as it is told once another scan is known."""
    told = orjson.loads(
        event(event_id, second, revision=revision, basket={"customer_id": customer_id})
    )
    return orjson.dumps(told | {"moved_from": {"customer_id": "C1"}})


OF_TWO = replace(OF_CUSTOMERS, limit=2, cooldown_seconds=60)
OF_C1 = {"customer_id": "C1"}


def test_an_event_whose_customer_changes_leaves_the_first_one_s_group() -> None:
    house = House(OF_TWO, rule(limit=4))
    house.happen(event("e1", 1, basket=OF_C1))
    house.happen(moved("e1", 1, "C2", 5))
    assert house.happen(event("e2", 2, basket=OF_C1)) == [], "C1 has paid once"
    assert house.happen(event("e1", 1, basket=OF_C1)) == [], "a repetition of what is over"
    (alert,) = house.happen(event("e3", 3, basket={"customer_id": "C2"}))
    assert [it["event_id"] for it in alert["observations"]] == ["e3", "e1"]
    (all_paid,) = house.happen(event("e4", 4))
    assert all_paid["observations_total"] == 4, "the other groups have it once, as before"


def test_an_event_that_comes_back_to_its_customer_counts_there_again() -> None:
    house = House(OF_TWO)
    house.happen(event("e1", 1, basket=OF_C1), moved("e1", 1, "C2", 5))
    back = orjson.loads(event("e1", 1, revision=6, basket=OF_C1))
    house.happen(orjson.dumps(back | {"moved_from": {"customer_id": "C2"}}))
    assert house.happen(event("e2", 2, basket={"customer_id": "C2"})) == []
    assert len(house.happen(event("e3", 3, basket=OF_C1))) == 1


def test_an_alert_whose_event_left_the_group_stays_as_it_was() -> None:
    house = House(OF_TWO)
    raised = house.happen(event("e1", 1, basket=OF_C1), event("e2", 2, basket=OF_C1))
    house.episodes()
    assert house.happen(moved("e2", 2, "C2", 5)) == []
    (told,) = [it["alert"] for it in house.episodes()]
    names = ("alert_id", "value", "customer_id", "basket_id", "employee_id")
    assert [told[name] for name in names] == [raised[0][name] for name in names]


def test_nothing_is_withdrawn_from_a_group_that_never_had_it() -> None:
    house = House(OF_TWO)
    house.happen(moved("e1", 1, "C2", 5))
    assert keys(house.table) == {group_key({"customer_id": "C2"})}


# -- clocks


def test_an_event_that_comes_too_late_is_counted_and_not_judged() -> None:
    house = House(rule(limit=1), lateness_seconds=60)
    assert house.happen(event("e1", 1, written=62)) == []
    assert house.counted("fraud_events_total", outcome="too_late") == 1
    assert len(house.happen(event("e2", 2, written=62))) == 1


def test_a_time_that_is_too_far_ahead_is_replaced_and_marked() -> None:
    house = House(rule(limit=1, where=[{"field": "clock", "operator": "=", "value": "replaced"}]))
    (alert,) = house.happen(event("e1", 62, written=1))
    assert (alert["occurred_at"], alert["observations"][0]["fields"]["clock"]) == (
        at(1),
        "replaced",
    )
    assert house.happen(event("e2", 61, written=1)) == []


# -- rules that change


def test_a_new_rule_on_what_is_recorded_is_exact_from_its_first_event() -> None:
    house = House(rule())
    house.happen(event("e1", 1))
    house.edit(rule(), rule(id="new", limit=3, window_seconds=5))
    alerts = house.happen(event("e2", 2), event("e3", 3))
    assert [(it["rule_id"], it["complete_from"]) for it in alerts] == [
        ("many", None),
        ("many", None),
        ("new", None),
    ]


def test_a_new_rule_on_what_was_not_recorded_says_since_when_it_knows_all() -> None:
    house = House(rule())
    house.happen(event("e1", 1))
    refunds = rule(id="refunds", on=["PAYMENT_REFUNDED"], limit=1)
    house.edit(rule(), refunds)
    first, second = house.happen(
        event("r5", 5, "PAYMENT_REFUNDED"), event("r20", 20, "PAYMENT_REFUNDED")
    )
    assert (first["complete_from"], second["complete_from"]) == (at(5), None)


NOT_CASH = rule(
    id="not_cash", limit=2, where=[{"field": "method", "operator": "!=", "value": "CASH"}]
)


def test_an_event_that_was_grouped_before_a_rule_was_there_is_none_of_the_rule_s() -> None:
    house = House(rule(limit=9))
    house.happen(event("e1", 1, method="CASH"))
    house.give(topics.TILL_EVENTS, 0, event("e2", 2, method="CASH"))
    grouped = house.take(topics.GROUPED)  # by a worker that does not know of the edit yet
    house.edit(rule(limit=9), NOT_CASH)
    house.agent.judge.note_plan()
    house.judge(grouped)
    assert house.happen(event("e3", 3, method="CARD")) == []
    (alert,) = house.happen(event("e4", 4, method="CARD"))
    assert [it["event_id"] for it in alert["observations"]] == ["e4", "e3"]
    assert alert["complete_from"] == at(2.001)
    (later,) = house.happen(event("e12", 12.002, method="CARD"), event("e13", 12.003))[-1:]
    assert later["complete_from"] is None


def test_an_event_that_comes_again_with_what_a_new_rule_reads_is_one_of_the_rule_s() -> None:
    house = House(rule(limit=9))
    house.happen(event("e1", 1, method="CARD"), event("e2", 2, method="CASH"))
    house.edit(rule(limit=9), NOT_CASH)
    assert house.happen(event("e1", 1, method="CARD"), event("e2", 2, method="CASH")) == []
    assert house.counted("fraud_observations_total", outcome="revised") == 2
    (alert,) = house.happen(event("e3", 3, method="CARD"))
    assert [it["event_id"] for it in alert["observations"]] == ["e3", "e1"]
    house.happen(event("e1", 1, method="CARD"))
    assert house.counted("fraud_observations_total", outcome="repeated") == 1


def test_an_event_that_comes_again_without_what_a_new_rule_asks_for_is_known_to_lack_it() -> None:
    house = House(rule(limit=9))
    house.happen(event("e1", 1))
    house.edit(rule(limit=9), NOT_CASH)
    house.happen(event("e2", 2, method="CASH"))
    house.happen(event("e1", 1))
    (alert,) = house.happen(event("e3", 3, method="CARD"))
    assert [it["event_id"] for it in alert["observations"]] == ["e3", "e1"]


def test_a_rule_on_a_new_grouping_knows_all_since_it_is_there() -> None:
    house = House(rule())
    house.happen(event("e1", 1))
    house.agent.judge.note_plan()
    house.edit(rule(), rule(id="at_tills", group_by=["terminal_id"], limit=1))
    alerts = house.happen(event("e5", 5))
    assert [(it["rule_id"], it["complete_from"]) for it in alerts] == [
        ("many", None),
        ("at_tills", at(5)),
    ]


def test_an_event_that_waited_while_a_rule_came_does_not_say_that_the_rule_was_there() -> None:
    house = House(rule())
    house.happen(event("e1", 1))
    house.clock.advance(100)
    refunds = rule(id="refunds", on=["PAYMENT_REFUNDED"], limit=1)
    house.edit(rule(), refunds)
    house.happen(event("e5", 5))
    first, second = house.happen(
        event("r103", 103, "PAYMENT_REFUNDED"), event("r112", 112, "PAYMENT_REFUNDED")
    )
    assert (first["complete_from"], second["complete_from"]) == (at(102), None)


def test_a_rule_that_goes_and_comes_back_within_a_second_misses_what_came_between() -> None:
    refunds = rule(id="refunds", on=["PAYMENT_REFUNDED"], limit=1)
    house = House(rule(), refunds)
    house.happen(event("e1", 1))
    now = from_ms(house.clock.now_ms()).timestamp() - 1_769_846_400
    house.edit(rule())
    assert house.happen(event("r1", now, "PAYMENT_REFUNDED")) == []
    house.edit(rule(), refunds)
    (alert,) = house.happen(event("r2", now + 5, "PAYMENT_REFUNDED"))
    assert alert["complete_from"] == at(now + 2), "then every worker knows of the edit"
    (later,) = house.happen(event("r3", now + 12, "PAYMENT_REFUNDED"))
    assert later["complete_from"] is None


def test_while_it_is_switched_off_nothing_is_recorded() -> None:
    house = House(rule())
    house.edit(rule(), enabled=False)
    assert house.happen(event("e1", 1)) == []
    assert keys(house.table) == set()


def test_a_rule_that_alerts_too_often_is_paused_until_somebody_edits_this_rule() -> None:
    often = rule(limit=1)
    house = House(often, rule(id="calm", limit=4), most_alerts_per_hour=2)
    alerts = house.happen(*(event(f"e{number}", number) for number in range(5)))
    assert [it["rule_id"] for it in alerts] == ["many"] * 3 + ["calm", "calm"]
    (warning,) = house.rules.warnings()
    said = "the rule many is paused on this worker: it raised more than 2"
    assert warning.sentence.startswith(said)
    house.edit(often, rule(id="calm", limit=9), most_alerts_per_hour=2, lateness_seconds=60)
    assert house.rules.warnings() == [warning], "nobody has edited this rule"
    house.edit(replace(often, name="Seldom"), most_alerts_per_hour=2)
    assert house.rules.warnings() == []
    assert len(house.happen(event("e5", 5))) == 1


@pytest.mark.parametrize("key", ["most_alerts_per_hour", "most_cpu_percent"])
def test_a_paused_rule_goes_on_once_it_may_spend_more(key: str) -> None:
    house = House(rule(limit=1), most_alerts_per_hour=2, most_cpu_percent=2)
    if key == "most_alerts_per_hour":
        house.happen(*(event(f"e{number}", number) for number in range(3)))
    else:
        house.rules.budgets.note_cost("many", 2.0, 2)
    assert len(house.rules.warnings()) == 1
    limits = {"most_alerts_per_hour": 9, "most_cpu_percent": 9}
    house.edit(rule(limit=1), **limits | {key: 2})
    assert len(house.rules.warnings()) == 1, "another limit was raised"
    house.edit(rule(limit=1), **limits)
    assert house.rules.warnings() == []


def test_a_rule_that_costs_too_much_is_paused() -> None:
    house = House(rule(limit=1), rule(id="cheap", limit=1))
    house.rules.budgets.note_cost("many", 14.0, 25)
    assert house.rules.budgets.held == {}
    house.rules.budgets.note_cost("many", 1.1, 25)
    assert [it["rule_id"] for it in house.happen(event("e1", 1))] == ["cheap"]


def test_a_rule_with_more_events_in_a_window_than_a_group_keeps_is_paused() -> None:
    large = rule(limit=1_500, window_seconds=3_000)
    calm = rule(id="calm", limit=2, cooldown_seconds=60)
    house = House(large, calm, most_observations_per_group=1_000)
    house.happen(*(event(f"e{it:04}", it) for it in range(1_000)))
    assert house.rules.warnings() == []
    house.happen(event("e1000", 1_000))
    (warning,) = house.rules.warnings()
    said = "many is paused on this worker: a group has more than 1,000 events in"
    assert said in warning.sentence
    alerts = house.happen(*(event(f"e{it}", 2_000 + it) for it in range(2)))
    assert [it["rule_id"] for it in alerts] == ["calm"]


@pytest.mark.parametrize(("most", "is_read"), [(10_000, False), (1, True)])
def test_groups_that_do_not_fit_in_memory_are_read_and_count_the_same(
    most: int, *, is_read: bool
) -> None:
    house = House(rule(limit=20, window_seconds=60), observations_in_memory=most)
    for second in range(21):
        alerts = house.happen(*(event(f"{who}-{second}", second, employee_id=who) for who in "ab"))
        assert [it["group"]["employee_id"] for it in alerts] == (["a", "b"] if second >= 19 else [])
    assert (house.counted("fraud_groups_read_total") > 0) == is_read


# -- an alert is told as it was raised

EPISODE = {"cooldown_seconds": 60}
NOW_ON = [{"rule_id": "many", "author": "a", "until": "2999-01-01T00:00:00Z"}]


def test_an_alert_of_a_shadow_rule_stays_one_when_the_rule_is_active() -> None:
    house = House(rule(**SHADOW, **EPISODE))
    house.happen(event("e1", 1), event("e2", 2))
    house.edit(rule(**EPISODE))
    house.episodes()
    assert house.happen(event("e2", 2)) == [], "it was not published, and comes again"
    assert house.happen(event("e3", 3)) == []
    assert [it.get("rule_state") for it in house.episodes()] == ["SHADOW", None]


def test_an_alert_that_was_published_stays_so_when_its_rule_is_snoozed() -> None:
    house = House(rule(**EPISODE))
    assert len(house.happen(event("e1", 1), event("e2", 2))) == 1
    house.edit(rule(**EPISODE), snoozes=NOW_ON)
    house.episodes()
    assert len(house.happen(event("e2", 2))) == 1, "a crash may have lost it"
    assert house.happen(event("e3", 3)) == []
    assert [it.get("snoozed") for it in house.episodes()] == [False, None]


def test_an_alert_of_a_snoozed_rule_is_not_published_later() -> None:
    house = House(rule(**EPISODE), snoozes=msgspec.convert(NOW_ON, list[Snooze]))
    assert house.happen(event("e1", 1), event("e2", 2)) == []
    house.edit(rule(**EPISODE), snoozes=[])
    house.episodes()
    assert house.happen(event("e2", 2), event("e3", 3)) == []
    assert [it.get("snoozed") for it in house.episodes()] == [True, None]


def test_an_alert_keeps_the_name_and_severity_that_its_rule_had() -> None:
    house = House(rule(**EPISODE))
    raised = house.happen(event("e1", 1), event("e2", 2))
    house.episodes()
    house.edit(rule(**EPISODE, name="Renamed", severity="HIGH"))
    assert house.again().happen(event("e2", 2)) == raised, "a crash may have lost it"
    revised = event("e2", 2, revision=2, basket={"customer_id": "C1"})
    assert house.happen(revised, event("e3", 3)) == []
    told = [it["alert"] for it in house.episodes() if "alert" in it]
    assert {(it["rule_name"], it["severity"], it["config_version"]) for it in told} == {
        ("Many payments", "LOW", 0)
    }
    (new,) = house.happen(event("e99", 99), event("e100", 100))
    assert (new["rule_name"], new["severity"], new["config_version"]) == ("Renamed", "HIGH", 1)


# -- records that another version wrote


def test_a_note_of_another_version_means_that_nothing_is_known_to_be_recorded() -> None:
    house = House(rule(limit=1))
    for part in house.table.stores:
        part[PREFIX.encode()] = b"\x93\x01\x02\x03"
    (alert,) = house.happen(event("e5", 5))
    assert house.refused == []
    assert alert["complete_from"] == at(5)


@pytest.mark.parametrize("value", [b"\x91\x01", b"\xc1", b"{}", b"\x91\x96\xa1\xff"])
async def test_segments_of_another_version_are_no_observations(value: bytes) -> None:
    house = House(rule(limit=100, window_seconds=200))
    house.happen(*(event(f"e{number:03}", number) for number in range(40)))
    for part in house.table.stores:
        part.update({key: value for key in part if b"#" in key[1:]})
    house = house.again()
    assert house.happen(event("e040", 40)) == []
    away = leaving(house, Marks({subject_of_customer("C1"): from_ms(1_769_846_400_000)}))
    for _ in range(PARTITIONS):
        await away.look()
    assert house.refused == []


# -- what leaves the table


def leaving(house: House, marks: Marks | None = None) -> LeavingGroups:
    table: Any = house.table
    clock: Any = house.clock
    return LeavingGroups(
        table=table,
        judge=house.agent.judge,
        forgetting=ForgettingGroups(table=table, changed=house.agent.judge.forget_held),
        marks=lambda: marks or Marks(),
        rules=house.rules,
        clock=clock,
        metrics=house.metrics,
    )


async def test_a_group_leaves_with_its_segments_once_nothing_in_it_can_be_judged() -> None:
    house = House(rule(limit=100, window_seconds=200))
    now = from_ms(house.clock.now_ms()).timestamp() - 1_769_846_400
    house.happen(*(event(f"e{number:03}", now + number) for number in range(70)))
    away = leaving(house)
    house.clock.advance(8 * DAY)
    entries = len(keys(house.table))
    for _ in range(PARTITIONS):
        await away.look()
    assert len(keys(house.table)) == entries > 2
    house.clock.advance(100)
    for _ in range(2 * PARTITIONS):
        await away.look()
    assert keys(house.table) == set()


NAMES = {"customer_id": "C1", "customer_identifier": "+491"}
NAMED = rule(
    limit=2, where=[{"field": "basket.customer_identifier", "operator": "!=", "value": None}]
)


@pytest.mark.parametrize("subject", [subject_of_customer("C1"), subject_of_identifier("+491")])
@pytest.mark.parametrize("by", ["mark", "circle"])
def test_a_forgotten_customer_leaves_groups_and_observations(subject: str, by: str) -> None:
    house = House(NAMED, replace(OF_CUSTOMERS, where=NAMED.where))
    house.happen(event("e1", 1, basket=NAMES))
    house.happen(event("e2", 2, basket={"customer_id": "C2", "customer_identifier": "+492"}))
    marks = Marks({subject: from_ms(1_769_846_400_000 + 5_000)})
    away = leaving(house, marks)
    if by == "mark":
        asyncio.run(away.forgetting.forget(marks))
    else:
        for _ in range(PARTITIONS):
            asyncio.run(away.look())
    stored = b"".join(house.table.kept.values())
    assert b"C1" not in stored
    assert b"+491" not in stored
    assert b"C2" in stored
    alerts = house.happen(event("e3", 6, basket=NAMES))
    assert {it["rule_id"] for it in alerts} == {"many", "of_customers"}
    assert b"C1" in b"".join(house.table.kept.values()), "a customer who came back"


@pytest.mark.parametrize("by", ["mark", "circle"])
def test_a_group_of_a_forgotten_customer_goes_with_its_key(by: str) -> None:
    house = House(replace(OF_CUSTOMERS, limit=100, window_seconds=200))
    for customer_id in ("C1", "C2"):
        basket = {"customer_id": customer_id}
        house.happen(*(event(f"{customer_id}{n:03}", n, basket=basket) for n in range(40)))
    house.happen(event("C1100", 100, basket={"customer_id": "C2"}))
    marks = Marks({subject_of_customer("C1"): from_ms(1_769_846_400_000 + 150_000)})
    away = leaving(house, marks)
    for _ in range(3 * PARTITIONS):
        asyncio.run(away.forgetting.forget(marks) if by == "mark" else away.look())
    left = keys(house.table)
    assert {key for key in left if "C1" in key} == set()
    assert len({key for key in left if "C2" in key}) > 2


def test_a_group_of_a_customer_who_came_back_stays() -> None:
    house = House(replace(OF_CUSTOMERS, limit=100, window_seconds=200))
    basket = {"customer_id": "C1"}
    house.happen(*(event(f"e{n:03}", n, basket=basket) for n in range(40)))
    marks = Marks({subject_of_customer("C1"): from_ms(1_769_846_400_000 - 30_000)})
    before = dict(house.table.kept)
    asyncio.run(leaving(house, marks).forgetting.forget(marks))
    # Their clock may be so far ahead: what is of the minute after the mark goes, too.
    after = house.table.kept
    assert keys(house.table) == {key for key in before if key != PREFIX}
    assert b"e000" not in b"".join(after.values())
    assert b"e039" in b"".join(after.values())


async def test_what_rules_cost_is_counted_and_held_against_them_each_second() -> None:
    house = House(rule(limit=1), rule(id="cheap", limit=9), most_cpu_percent=1)
    house.happen(event("e1", 1))
    assert house.counted("fraud_rule_seconds_total", rule="many") == 0
    await leaving(house).look()
    assert house.counted("fraud_rule_seconds_total", rule="many") > 0
    assert house.rules.budgets.held == {}
    house.agent.judge._spent["many"] = 0.7
    await leaving(house).look()
    assert list(house.rules.budgets.held) == ["many"]


async def test_the_figures_of_a_rule_go_with_the_rule() -> None:
    house = House(rule(limit=1), rule(id="kept", limit=1))
    away = leaving(house)
    house.happen(event("e1", 1))
    await away.look()
    house.happen(event("e2", 2))  # its costs are not counted yet
    house.edit(rule(id="kept", limit=1))
    await away.look()
    samples = [it for family in house.registry.collect() for it in family.samples]
    assert {it.labels["rule"] for it in samples if "rule" in it.labels} == {"kept"}
    assert house.counted("fraud_alerts_total", rule="kept", told="raised") == 2


def test_a_machine_whose_clock_is_ahead_of_the_brokers_is_not_behind() -> None:
    """Else past events would never be read back, and new rules would stay WARMING."""
    house = House(rule())
    house.age_ms, house.end = 5_000, 1
    house.give(topics.TILL_EVENTS, 0, event("e1", 1))
    assert not house.agent.is_behind
    house.end = 9  # events wait
    house.give(topics.TILL_EVENTS, 0, event("e2", 2))
    assert house.agent.is_behind
    house.clock.advance(1)
    assert not house.agent.is_behind
