from collections import Counter

import orjson
import pytest

pytest.importorskip("confluent_kafka", reason="the extra bench is not installed: make test-bench")

from benchmarks.cache_entries import identifier
from benchmarks.till_load import SCANS, by_till, messages
from benchmarks.till_runs import Look, behind, samples


def test_there_are_about_as_many_messages_as_are_wanted() -> None:
    assert 1_500 < len(messages(2_000, 100, tag=1)) < 2_500


def test_the_customers_of_tills_are_known() -> None:
    known = {identifier(it) for it in range(10)}
    said = [it for it in messages(500, 10, tag=1) if it.topic == SCANS]
    assert said
    assert {it.value["customer_identifier"] for it in said} <= known


def test_nobody_is_scanned_if_nobody_is_to_be_known() -> None:
    assert Counter(it.topic for it in messages(500, 10, tag=1, identified=0))[SCANS] == 0


def test_two_runs_share_no_baskets_tills_or_people() -> None:
    def names(tag: int) -> set[str]:
        said = messages(500, 10, tag=tag)
        return {it.value[name] for it in said for name in ("basket_id", "terminal_id")}

    assert names(1).isdisjoint(names(2))


def test_a_message_may_come_under_its_till() -> None:
    for key, value, *_ in by_till(messages(200, 10, tag=1)):
        assert orjson.loads(value)["terminal_id"].encode() == key


def look(seconds: float, counted: int, grouped: int, judged: int) -> Look:
    counts = {"answered": 0, "counted": counted, "grouped": grouped, "judged": judged}
    return Look(seconds, counts)


def test_an_event_is_done_when_the_slowest_stage_is() -> None:
    looks = [look(1, 0, 0, 0), look(2, 50, 60, 10), look(3, 100, 120, 200)]
    assert [it.count for it in samples(looks)] == [0, 5, 100]


def test_each_stage_tells_how_long_it_went_on() -> None:
    looks = [look(1, 50, 0, 0), look(2, 100, 60, 10), look(4, 100, 120, 90), look(7, 100, 120, 200)]
    assert behind(looks) == {"counted": 0, "grouped": 2, "judged": 5}
