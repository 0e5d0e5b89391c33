"""The observations of a group: those of segments are in memory as they are stored."""

import tracemalloc

from agents.fraud_detection.engine.judging import Group
from agents.fraud_detection.engine.kept import Kept
from agents.fraud_detection.engine.state import Head, decode_observation, encode_observation
from agents.fraud_detection.rules.plan import plan_of
from tests.fraud_observations import Table, observation, paid, rule

(PLAN,) = plan_of([rule(limit=1_000_000, window_seconds=100)]).groupings
MANY = 3_000


def kept_of(size: int) -> Kept:
    kept = Kept(Head(), lambda _: None, 4)
    for number in range(size):
        kept.put(paid(f"e{number}", number))
    return kept


def test_an_observation_takes_little_memory() -> None:
    facts = {"basket_id": "b", "terminal_id": "t", "employee_id": "7", "amount": 1}
    group, table = Group(), Table()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(MANY):
        it = observation(f"some-id-of-an-event-{number:08}", number, "PAYMENT_COMPLETED", facts)
        group.judge(decode_observation(encode_observation(it)), PLAN, 10**9)
        table.keep(group)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken / MANY < 320, "it was 740 as an object with its facts"


def test_an_observation_of_a_head_takes_little_memory_too() -> None:
    facts = {"basket_id": "b", "terminal_id": "t", "employee_id": "7", "amount": 1}
    kept = Kept(Head(), lambda _: None, MANY)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(MANY):
        it = observation(f"some-id-of-an-event-{number:08}", number, "PAYMENT_COMPLETED", facts)
        kept.put(decode_observation(encode_observation(it)))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken / MANY < 500, "it was 758 as an object with its facts"


def test_observations_are_found_whether_sealed_or_not() -> None:
    kept = kept_of(10)
    assert [kept[f"e{number}"].at_ms for number in range(10)] == list(range(10))
    assert sorted(it.at_ms for it in kept.live()) == sorted(kept.times()) == list(range(10))
    assert kept.get("another") is None
    assert len(kept) == 10


def test_what_the_horizon_has_passed_is_not_live() -> None:
    head = Head()
    kept = Kept(head, lambda _: None, 4)
    for number in range(10):
        kept.put(paid(f"e{number}", number))
    head.horizon_ms = 5
    assert sorted(it.at_ms for it in kept.live()) == sorted(kept.times()) == [6, 7, 8, 9]
    assert kept.get("e5") is None
    assert kept["e5"].at_ms == 5


def test_a_revision_in_a_segment_counts_before_and_after_it_is_written() -> None:
    kept = kept_of(10)
    kept.take_puts()
    kept.put(paid("e1", 20, revision=2))
    assert (kept["e1"].at_ms, max(kept.times())) == (20, 20)
    _, after = kept.take_puts()
    assert [put.segment for put in after] == [0]
    assert (kept["e1"].at_ms, max(kept.times())) == (20, 20)
