"""The agent of the baskets without a broker: what it tells, keeps, refuses and finishes."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson
import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from agents.baskets import topics
from agents.baskets.agent import BasketAgent
from agents.baskets.basket import Basket
from agents.baskets.configuration import BasketConfiguration
from agents.baskets.events.outputs import BasketCompleted, ToldTillEvent
from agents.baskets.events.reading import Told, rekeyed
from agents.baskets.events.writing import Context, completed, told
from agents.baskets.fold import different, fold, in_order, take
from agents.baskets.known import MOST_EVENTS, Known, decode, encode
from agents.baskets.metrics import METRICS
from agents.baskets.till_events import AnyEvent, Finalized, ItemAdded
from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.version import ConfigurationVersion
from posstream.dead_letters.setting_aside import DeadLetters
from posstream.domain.errors import StorageFailed, TakesNothingNow, UnreadableEvent
from posstream.domain.money import ONE
from posstream.kafka.record import Record
from posstream.metrics import Metrics, register
from posstream.plugins.event_failures import EventFailures
from tests.basket_events import events
from tests.component.basket_fakes import PARTITIONS, Counter, KeptBaskets, at_home, of_topic
from tests.component.fakes import FakePublisher
from tests.component.list_fakes import FakeProducer, Fetched, ListApp, a_while, soon
from tests.manual_clock import ManualClock

BASKET = "basket_0123456789ab"
HOME = at_home(BASKET)
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def at(second: int) -> str:
    return f"2026-01-31T08:00:{second:02}.000Z"


def till_event(number: int, event_type: str, **fields: Any) -> bytes:
    shared = {"event_id": f"e{number}", "occurred_at": at(number), "basket_id": BASKET}
    return orjson.dumps({**shared, "event_type": event_type, **fields})


def item(number: int, price: str, **more: Any) -> bytes:
    fields = {"item_id": f"i{number}", "product_id": f"p{number}", "unit_price": price, **more}
    return till_event(number, "ITEM_ADDED", **fields)


STARTED = orjson.dumps(
    {"basket_id": BASKET, "employee_id": 7, "terminal_id": "t1", "event_id": "e0"}
    | {"occurred_at": at(0)}
)
FOUND = orjson.dumps(
    {"event_id": "e2", "basket_id": BASKET, "customer_identifier": "+1", "identified_at": at(2)}
    | {"customer": {"customer_id": "C1", "tier": "GOLD"}}
)
PURCHASE: list[tuple[str, bytes]] = [
    (topics.BASKET_STARTED, STARTED),
    (topics.POS_EVENTS, item(1, "1.99", quantity=2, product_name="Pen", category="Office")),
    (topics.CUSTOMER_DATA_FETCHED, FOUND),
    (topics.POS_EVENTS, item(3, "4.00", quantity="0.5")),
    (topics.POS_EVENTS, till_event(4, "DISCOUNT_APPLIED", amount="0.98")),
    (topics.POS_EVENTS, till_event(5, "BASKET_FINALIZED")),
    (
        topics.POS_EVENTS,
        till_event(6, "PAYMENT_COMPLETED", amount=3, payment_id="a", method="CASH"),
    ),
    (
        topics.POS_EVENTS,
        till_event(7, "PAYMENT_COMPLETED", amount=2, payment_id="b", currency="EUR"),
    ),
]


class Till:
    """An agent, to which messages are given at the home of the basket."""

    def __init__(self, table: KeptBaskets | None = None, **configuration: Any) -> None:
        self.clock = ManualClock()
        self.table = table or KeptBaskets()
        self.counter = Counter(self.table, self.clock, **configuration)
        self._offset = 0

    def send(
        self, *messages: tuple[str, bytes] | bytes, partition: int = HOME, **fetched: Any
    ) -> list[Exception]:
        refused = []
        for message in messages:
            topic, value = message if isinstance(message, tuple) else (topics.POS_EVENTS, message)
            record = Fetched(self._offset, value, timestamp=1_769_846_400_000, **fetched)
            refused += self.counter.give(topic, partition, record)
            self._offset += 1
        return refused

    def give(self, *messages: bytes) -> list[Exception]:
        """Give messages of `pos-events` in one list."""
        start, self._offset = self._offset, self._offset + len(messages)
        records = [
            Fetched(start + number, value, timestamp=1_769_846_400_000)
            for number, value in enumerate(messages)
        ]
        return self.counter.give(topics.POS_EVENTS, HOME, *records)

    def take(self) -> list[Record]:
        """What was told since the last time."""
        records, self.counter.records = self.counter.records, []
        return records


def told_of(records: Sequence[Record]) -> list[tuple[str, int]]:
    """The event and the revision of each till event that was told."""
    return [(it["event_id"], it["revision"]) for it in of_topic(records, topics.TILL_EVENTS)]


# -- a purchase


def test_a_whole_purchase_is_told_event_by_event_and_once_when_it_is_paid() -> None:
    till = Till()
    assert till.send(*PURCHASE) == []
    records = till.take()
    assert told_of(records) == [(f"e{number}", number + 1) for number in range(8)]
    contexts = [it["basket"] for it in of_topic(records, topics.TILL_EVENTS)]
    assert [(it["items"], it["total"], it["paid"], it["status"]) for it in contexts] == [
        (0, "0.00", "0.00", "OPEN"),
        (1, "3.98", "0.00", "OPEN"),
        (1, "3.98", "0.00", "OPEN"),
        (2, "5.98", "0.00", "OPEN"),
        (2, "5.00", "0.00", "OPEN"),
        (2, "5.00", "0.00", "FINALIZED"),
        (2, "5.00", "3.00", "FINALIZED"),
        (2, "5.00", "5.00", "PAID"),
    ]
    assert [it["customer_id"] for it in contexts] == [None] * 2 + ["C1"] * 6
    assert [it.topic for it in records[-2:]] == [topics.TILL_EVENTS, topics.BASKET_COMPLETED]
    (basket,) = of_topic(records, topics.BASKET_COMPLETED)
    assert basket == {
        "event_id": basket["event_id"],
        "event_type": "BASKET_COMPLETED",
        "schema_version": 1,
        "occurred_at": "2026-01-31T08:00:00.000Z",
        "basket_id": BASKET,
        "revision": 8,
        "status": "PAID",
        "customer_id": "C1",
        "customer_identifier": "+1",
        "tier": "GOLD",
        "employee_id": "7",
        "terminal_id": "t1",
        "started_at": at(0),
        "completed_at": at(7),
        "items": [
            {
                "item_id": "i1",
                "product_id": "p1",
                "product_name": "Pen",
                "category": "Office",
                "unit_price": "1.99",
                "quantity": "2",
                "discount": "0.00",
                "total": "3.98",
            },
            {
                "item_id": "i3",
                "product_id": "p3",
                "product_name": None,
                "category": None,
                "unit_price": "4.00",
                "quantity": "0.5",
                "discount": "0.00",
                "total": "2.00",
            },
        ],
        "subtotal": "5.98",
        "discount": "0.98",
        "total": "5.00",
        "paid": "5.00",
        "refunded": "0.00",
        "currency": "EUR",
        "payments": [
            {
                "payment_id": "a",
                "amount": "3.00",
                "currency": None,
                "method": "CASH",
                "paid_at": at(6),
            },
            {
                "payment_id": "b",
                "amount": "2.00",
                "currency": "EUR",
                "method": None,
                "paid_at": at(7),
            },
        ],
    }
    assert till.counter.counted("till_events_total", type="ITEM_ADDED", outcome="counted") == 2
    assert till.counter.counted("baskets_told_total") == 1


def test_what_leaves_keeps_to_its_schema_and_is_keyed_by_the_basket() -> None:
    till = Till()
    till.send(*PURCHASE)
    models = {topics.TILL_EVENTS: ToldTillEvent, topics.BASKET_COMPLETED: BasketCompleted}
    for record in till.take():
        msgspec.json.decode(record.value or b"", type=models[record.topic])
        assert (record.key, record.partition) == (BASKET.encode(), None)
        headers = dict(record.headers)
        if record.topic == topics.TILL_EVENTS:  # internal
            assert headers == {}
        else:
            assert headers["ce_subject"] == BASKET.encode()
            assert headers["ce_id"].decode() == orjson.loads(record.value or b"")["event_id"]


def test_whatever_comes_later_tells_a_paid_basket_again_with_a_higher_revision() -> None:
    till = Till()
    till.send(*PURCHASE)
    till.take()
    later = [
        till_event(8, "PAYMENT_REFUNDED", amount="1.50"),
        item(9, "10"),
        till_event(10, "BASKET_VOIDED"),
    ]
    till.send(*later)
    told_again = of_topic(till.take(), topics.BASKET_COMPLETED)
    assert [(it["revision"], it["status"], it["refunded"], it["total"]) for it in told_again] == [
        (9, "PAID", "1.50", "5.00"),
        (10, "FINALIZED", "1.50", "15.00"),
        (11, "VOIDED", "1.50", "15.00"),
    ]
    assert len({it["event_id"] for it in told_again}) == 3


def test_the_trace_of_a_message_goes_through_and_through_another_partition() -> None:
    till = Till()
    headers = [("traceparent", TRACE)]
    till.send(PURCHASE[1], partition=(HOME + 1) % PARTITIONS, headers=headers)
    (record,) = till.take()
    till.send((topics.REKEYED, record.value or b""), headers=record.headers)
    till.send(till_event(9, "PAYMENT_COMPLETED", amount=9), headers=headers)
    assert [dict(it.headers)["traceparent"] for it in till.take()] == [TRACE] * 3


def test_what_belongs_to_no_basket_is_told_without_one_wherever_it_comes() -> None:
    till = Till()
    drawer = {"event_type": "DRAWER_OPENED", "event_id": "d", "terminal_id": "t1", "employee_id": 7}
    for partition in range(PARTITIONS):
        till.send(orjson.dumps(drawer), partition=partition)
    records = till.take()
    assert {it.key for it in records} == {b"t1"}
    (event, *others) = of_topic(records, topics.TILL_EVENTS)
    assert others == [event, event]
    assert (event["basket"], event["basket_id"], event["revision"]) == (None, None, 0)
    assert event["fields"] == {"terminal_id": "t1", "employee_id": "7"}
    assert till.table.kept == {}


# -- in another partition, late, and again


def test_an_event_that_comes_elsewhere_is_sent_home_and_counts_there_only() -> None:
    direct, astray = Till(), Till()
    direct.send(*PURCHASE)
    astray.send(*PURCHASE, partition=(HOME + 1) % PARTITIONS)
    sent = astray.take()
    assert {(it.topic, it.partition, it.key) for it in sent} == {
        (topics.REKEYED, HOME, BASKET.encode())
    }
    assert astray.table.kept == {}
    astray.send(*((topics.REKEYED, it.value or b"") for it in sent))
    assert direct.take() == astray.take()
    assert direct.table.kept == astray.table.kept


def test_a_late_event_tells_those_behind_it_again_and_no_others() -> None:
    till = Till()
    till.send(*PURCHASE[:2], *PURCHASE[3:6])
    till.take()
    till.send(PURCHASE[2])
    records = till.take()
    assert told_of(records) == [("e2", 6), ("e3", 6), ("e4", 6), ("e5", 6)]
    contexts = [it["basket"] for it in of_topic(records, topics.TILL_EVENTS)]
    assert [it["customer_id"] for it in contexts] == ["C1"] * 4
    assert [it["items"] for it in contexts] == [1, 2, 2, 2]


def test_a_late_customer_moves_the_events_behind_from_the_one_of_before() -> None:
    till = Till()
    till.send(*PURCHASE[:5])
    till.take()
    other = FOUND.replace(b"e2", b"e2b").replace(b"C1", b"C2").replace(b":02.", b":03.")
    till.send((topics.CUSTOMER_DATA_FETCHED, other))
    told = of_topic(till.take(), topics.TILL_EVENTS)
    assert [(it["event_id"], it.get("moved_from")) for it in told] == [
        ("e2b", None),
        ("e3", {"customer_id": "C1"}),
        ("e4", {"customer_id": "C1"}),
    ]


def test_late_customers_told_again_after_a_crash_leave_the_events_with_the_last_only() -> None:
    """The changelog of two late customers reached the broker, and nothing that was told of them."""
    dead = Till()
    dead.send(*PURCHASE[:5])
    dead.take()
    late = [
        (
            topics.CUSTOMER_DATA_FETCHED,
            FOUND.replace(b"e2", f"e2{customer}".encode())
            .replace(b"C1", customer.encode())
            .replace(b":02.", b":03."),
        )
        for customer in ("C2", "C3")
    ]
    dead.send(*late)
    heir = Till(dead.table)
    heir.send(*late)
    told = of_topic(heir.take(), topics.TILL_EVENTS)
    assert [it["moved_from"] for it in told if it["event_id"] == "e4"] == [
        {"customer_id": "C1"},
        {"customer_id": "C2"},
    ]
    assert {it["basket"]["customer_id"] for it in told if it["event_id"] == "e4"} == {"C3"}


def test_a_redelivered_list_tells_the_same_again_and_nothing_else() -> None:
    """To a worker that did not tell it: the one that did may have died before the broker had it."""
    dead = Till()
    dead.send(*PURCHASE)
    first, kept = dead.take(), dead.table.kept
    till = Till(dead.table)
    till.send(*PURCHASE)
    again = till.take()
    assert told_of(again) == [(f"e{number}", 8) for number in range(8)]

    def without_revision(records: Sequence[Record]) -> list[dict[str, Any]]:
        return [{**it, "revision": 0} for it in of_topic(records, topics.TILL_EVENTS)]

    assert without_revision(first) == without_revision(again)
    (basket,) = of_topic(first, topics.BASKET_COMPLETED)
    assert of_topic(again, topics.BASKET_COMPLETED) == [basket] * 8
    assert till.table.kept == kept
    assert till.counter.counted("till_events_total", type="ITEM_ADDED", outcome="repeated") == 2


def test_a_worker_that_died_before_it_told_tells_what_its_changelog_has() -> None:
    """The changelog of all events reached the broker, and nothing that was told."""
    dead = Till()
    late = [*PURCHASE[:2], *PURCHASE[3:], PURCHASE[2]]
    dead.send(*late)
    heir = Till(dead.table)
    heir.send(*late)
    newest = {it["event_id"]: it for it in of_topic(heir.take(), topics.TILL_EVENTS)}
    in_time = Till()
    in_time.send(*PURCHASE)
    assert newest == {
        it["event_id"]: {**it, "revision": 8} for it in of_topic(in_time.take(), topics.TILL_EVENTS)
    }


def test_what_a_worker_has_told_it_does_not_tell_again_when_a_till_repeats_it() -> None:
    till = Till()
    till.send(*PURCHASE[:2], *PURCHASE[3:], PURCHASE[2])
    assert told_of(till.take())[-1] == ("e7", 8)
    kept = till.table.kept
    assert till.send(*PURCHASE) == []
    assert (till.take(), till.table.kept) == ([], kept)
    assert till.counter.counted("till_events_total", type="ITEM_ADDED", outcome="repeated") == 2


def test_a_worker_tells_again_what_another_one_has_counted_in_between() -> None:
    """The partition went there and came back; nobody knows what of it was told."""
    till = Till()
    till.send(*PURCHASE[:3])
    other = Till(till.table)
    other.clock.advance(1)
    other.send(PURCHASE[3])
    till.take()
    till.send(*PURCHASE[1:4])
    assert told_of(till.take()) == [("e1", 4), ("e2", 4), ("e3", 4)]


@given(st.data())
def test_of_what_is_told_the_highest_revisions_say_what_the_fold_says(data: st.DataObject) -> None:
    """Whatever comes in whatever order, again, and to workers that begin anew."""
    known = data.draw(events(most=8))
    twins = [msgspec.structs.replace(it, event_id="ev00") for it in data.draw(events(most=2))]
    repeats = data.draw(st.lists(st.sampled_from([*known, *twins]))) if known or twins else []
    came = data.draw(st.permutations([*known, *twins, *repeats]))
    deaths = data.draw(st.sets(st.integers(1, 20)))
    clock, table, records = ManualClock(), KeptBaskets(), list[Record]()
    for number, event in enumerate(came):
        if not number or number in deaths:
            counter = Counter(table, clock)
            counter.records = records
        message = Fetched(number, rekeyed(Told(event, BASKET), "", 0).value)
        assert counter.give(topics.REKEYED, HOME, message) == []

    newest = {}
    for it in of_topic(records, topics.TILL_EVENTS):
        other = newest.setdefault(it["event_id"], it)
        if it["revision"] >= other["revision"]:
            newest[it["event_id"]] = it
    assert _said(newest.values()) == _said(_expected(came))
    for name in ("customer_id", "employee_id", "terminal_id"):
        held = dict[str, set[str]]()  # by whom each event is held who moves it as it is told
        for it in of_topic(records, topics.TILL_EVENTS):
            holders = held.setdefault(it["event_id"], set())
            holders.discard(it.get("moved_from", {}).get(name))
            holders |= {it["basket"][name]} - {None}
        assert held == {key: {it["basket"][name]} - {None} for key, it in newest.items()}
    whole = fold(came)
    baskets = of_topic(records, topics.BASKET_COMPLETED)
    of_all = [it for it in baskets if it["revision"] == whole.revision]
    shown = of_topic([completed(BASKET, whole, clock.now_ms())], topics.BASKET_COMPLETED)
    assert {it["revision"] for it in baskets} <= set(range(1, whole.revision + 1))
    assert bool(baskets) == bool(of_all) >= (whole.status == "PAID" and bool(came))
    assert all(it == shown[0] for it in of_all)


def _expected(came: Sequence[AnyEvent]) -> Sequence[dict[str, Any]]:
    basket, records = Basket(), []
    for event in in_order(different(came)):
        take(basket, event)
        records.append(told(event, Context(BASKET, basket, revision=0)))
    return of_topic(records, topics.TILL_EVENTS)


def _said(told_events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What is said of each event, without how much was known of its basket."""
    return {it["event_id"]: (it["event_type"], it["fields"], it["basket"]) for it in told_events}


# -- lists


def listed(came: Sequence[tuple[str, AnyEvent]]) -> list[Fetched]:
    """A list of events, each with its basket."""
    return [
        Fetched(number, rekeyed(Told(event, basket_id), "", 0).value)
        for number, (basket_id, event) in enumerate(came)
    ]


@given(st.data())
def test_a_list_tells_what_its_events_tell_one_by_one_and_keeps_each_basket_once(
    data: st.DataObject,
) -> None:
    baskets = [BASKET, *(it for it in "abcdefgh" if at_home(it) == HOME)][:3]
    drawn = [(basket_id, it) for basket_id in baskets for it in data.draw(events(most=6))]
    repeats = data.draw(st.lists(st.sampled_from(drawn), max_size=5)) if drawn else []
    came = data.draw(st.permutations([*drawn, *repeats]))
    sizes = data.draw(st.lists(st.integers(1, len(came) or 1), min_size=1))
    clock, single, whole = ManualClock(), KeptBaskets(), KeptBaskets()
    one_by_one, by_list = Counter(single, clock), Counter(whole, clock)
    left = listed(came)
    while left:
        here, left = left[: sizes[0]], left[sizes[0] :]
        sizes = [*sizes[1:], sizes[0]]
        assert [why for it in here for why in one_by_one.give(topics.REKEYED, HOME, it)] == []
        whole.puts.clear()
        assert by_list.give(topics.REKEYED, HOME, *here) == []
        assert len(whole.puts) == len(set(whole.puts))
    assert by_list.records == one_by_one.records
    assert whole.kept == single.kept


def test_of_a_list_that_makes_a_basket_too_large_only_those_events_are_refused() -> None:
    till = Till()
    full = Known(events=tuple(Finalized(n, f"f{n}", n, None, None) for n in range(MOST_EVENTS - 2)))
    till.table.stores[HOME][BASKET.encode()] = encode(full)
    other = next(it for it in "abcdefgh" if at_home(it) == HOME)
    mine = [item(number, "1").replace(b"e1", b"x1") for number in range(1, 6)]
    messages = [*mine[:2], item(7, "1").replace(BASKET.encode(), other.encode()), *mine[2:]]
    refused = till.give(*messages, mine[0])
    assert [str(why) for why in refused] == ["basket_id is that of a basket with 2,000 events"] * 3
    told_events = of_topic(till.take(), topics.TILL_EVENTS)
    assert [it["event_id"] for it in told_events] == ["x1", "e2", "e7"]
    assert len(decode(till.table.kept[BASKET]).events) == MOST_EVENTS
    assert sorted(till.table.puts) == sorted([BASKET.encode(), other.encode()])


def test_an_event_too_large_to_be_told_leaves_those_around_it_in_its_list() -> None:
    till = Till()
    full = wordy(400, "\x01")
    till.table.stores[HOME][BASKET.encode()] = encode(full)
    before = till_event(997, "BASKET_FINALIZED").replace(at(997).encode(), b"")
    (why,) = till.give(before, till_event(999, "PAYMENT_COMPLETED", amount=999), item(3, "5"))
    assert str(why) == "basket_id is that of a basket with 1,000,000 bytes"
    told_events = of_topic(till.take(), topics.TILL_EVENTS)
    assert {"e997", "e3"} <= {it["event_id"] for it in told_events}
    assert "e999" not in {it["event_id"] for it in told_events}
    kept = decode(till.table.kept[BASKET])
    assert ([it.event_id for it in kept.events[400:]], kept.was_paid) == (["e997", "e3"], False)


def test_a_basket_that_cannot_be_kept_leaves_its_events_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    till = Till()
    till.send(PURCHASE[1])
    till.take()
    other = next(it for it in "abcdefgh" if at_home(it) == HOME)
    theirs = [it.replace(BASKET.encode(), other.encode()) for _, it in PURCHASE[3:5]]
    keep = till.table.put_at

    def full_for_one(tp: TP, key: bytes, value: bytes) -> None:
        if key == BASKET.encode():
            raise StorageFailed("the disk is full")
        keep(tp, key, value)

    monkeypatch.setattr(till.table, "put_at", full_for_one)
    messages = [PURCHASE[3][1], theirs[0], b"nothing", PURCHASE[4][1], theirs[1]]
    refused = till.give(*messages)
    assert [type(why) for why in refused] == [StorageFailed, UnreadableEvent, StorageFailed]
    records = till.take()
    assert {it.key for it in records} == {other.encode()}
    assert len(records) == 2
    monkeypatch.undo()
    till.give(*messages)
    contexts = [it["basket"] for it in of_topic(till.take(), topics.TILL_EVENTS)]
    assert [it["items"] for it in contexts] == [2, 2], "nothing stayed in memory"


# -- what is refused


@pytest.mark.parametrize(
    ("topic", "value", "told_why"),
    [
        (topics.POS_EVENTS, b"nothing", "the message is not JSON"),
        (topics.POS_EVENTS, till_event(1, "ITEM_ADDED", product_id="p"), "unit_price is missing"),
        (topics.BASKET_STARTED, b'{"basket_id":"b","employee_id":1}', "terminal_id is missing"),
        (topics.CUSTOMER_DATA_FETCHED, b"{}", "event_id is missing"),
        (topics.CUSTOMER_LOOKUP_FAILED, b"[]", "the message is JSON, but not an object"),
        (topics.REKEYED, b"\xc1", "not a record that posstream wrote"),
    ],
)
def test_what_cannot_be_read_is_refused_and_holds_up_nothing(
    topic: str, value: bytes, told_why: str
) -> None:
    till = Till()
    (why,) = till.send(PURCHASE[0], (topic, value), *PURCHASE[1:])
    assert isinstance(why, UnreadableEvent)
    assert str(why).startswith(told_why)
    assert len(of_topic(till.take(), topics.BASKET_COMPLETED)) == 1


def test_events_of_other_types_are_counted_and_left_alone() -> None:
    till = Till()
    assert till.send(till_event(1, "SHELF_FILLED"), till_event(2, "receipt.printed")) == []
    assert (till.take(), till.table.kept) == ([], {})
    assert till.counter.counted("till_events_unknown_total") == 2


def test_a_basket_with_too_many_events_refuses_the_next_and_no_other_basket() -> None:
    till = Till()
    full = Known(events=tuple(Finalized(n, f"f{n}", n, None, None) for n in range(MOST_EVENTS)))
    till.table.stores[HOME][BASKET.encode()] = encode(full)
    (why,) = till.send(PURCHASE[1])
    assert "2,000 events" in str(why)
    assert till.take() == []
    assert till.table.kept == {BASKET: encode(full)}
    other = item(1, "1").replace(BASKET.encode(), b"another")
    assert till.send(other, partition=at_home("another")) == []


def wordy(count: int, letter: str) -> Known:
    """A basket of so many items with long names."""
    text = letter * 256
    return Known(
        events=tuple(
            ItemAdded(n, f"f{n}", n, None, None, f"i{n}", "p", 1, ONE, text, text)
            for n in range(count)
        )
    )


@pytest.mark.parametrize(
    ("full", "event"),
    [
        (wordy(634, "\N{EURO SIGN}"), item(1, "1", product_name="\N{EURO SIGN}" * 256)),
        # Control characters are six times as long in the JSON of what is told.
        (wordy(400, "\x01"), till_event(999, "PAYMENT_COMPLETED", amount=999)),
    ],
)
def test_a_basket_that_no_message_holds_refuses_the_next_event_and_stays_as_it_was(
    full: Known, event: bytes
) -> None:
    """The broker would refuse the message, and the worker would end at it again and again."""
    till = Till()
    till.table.stores[HOME][BASKET.encode()] = encode(full)
    (why,) = till.send(event)
    assert str(why) == "basket_id is that of a basket with 1,000,000 bytes"
    assert (till.take(), till.table.kept) == ([], {BASKET: encode(full)})
    assert len(encode(full)) < 1_000_000


# -- where nothing can be kept


def move_away(table: KeptBaskets) -> None:
    table.owned.discard(HOME)


def freeze(table: KeptBaskets) -> None:
    table.co_partitioning.is_frozen = True


@pytest.mark.parametrize("lose", [move_away, freeze])
def test_a_partition_that_takes_nothing_has_nothing_told(lose: Any) -> None:
    till = Till()
    till.send(*PURCHASE[:3])
    kept = till.table.kept
    till.take()
    lose(till.table)
    refused = till.send(*PURCHASE[3:])
    assert {type(why) for why in refused} == {TakesNothingNow}
    assert len(refused) == len(PURCHASE[3:])
    assert (till.take(), till.table.kept) == ([], kept)


def test_an_event_that_was_not_kept_counts_once_it_can_be() -> None:
    till = Till()
    till.send(*PURCHASE[:3])
    freeze(till.table)
    till.send(*PURCHASE[3:])
    till.table.co_partitioning.is_frozen = False
    till.take()
    assert till.send(*PURCHASE[3:]) == []
    assert of_topic(till.take(), topics.BASKET_COMPLETED)[0]["revision"] == 8


def test_another_rounding_counts_from_the_next_event_on() -> None:
    till = Till()
    till.send(item(1, "1.00", quantity="0.005"))
    till.counter.configuration.put_in_force(
        ConfigurationVersion(version=1, config={"decimal_places": 3})
    )
    till.send(till_event(2, "BASKET_FINALIZED"))
    totals = [it["basket"]["total"] for it in of_topic(till.take(), topics.TILL_EVENTS)]
    assert totals == ["0.01", "0.005"]


def test_after_a_rebalance_a_worker_tells_again_what_it_told_before() -> None:
    till = Till()
    till.send(*PURCHASE[:3])
    till.take()
    till.counter.lanes.cleared += 1
    till.send(*PURCHASE[1:3])
    assert told_of(till.take()) == [("e1", 3), ("e2", 3)]
    till.send(*PURCHASE[3:4], *PURCHASE[3:4])
    assert told_of(till.take()) == [("e3", 4)], "in the new generation it knows what it told"


# -- when an event is finished


class Lists:
    """An agent with the lanes of an app, whose table has the broker wait."""

    def __init__(self) -> None:
        self.producer = FakeProducer(partitions=1)
        self.app = ListApp(self.producer)
        self.table = KeptBaskets()
        self.configuration = CurrentConfiguration(BasketConfiguration())
        self.flushed = asyncio.Event()
        self.table.flush = self._flush  # type: ignore[method-assign]
        clock: Any = ManualClock()
        dead_letters = DeadLetters(
            topic=topics.DEAD_LETTERS,
            publish=FakePublisher().publish,
            clock=clock,
            metrics=Metrics(),
            per_minute=100,
        )
        self.app.failures = EventFailures(self.app, dead_letters, clock)
        BasketAgent(
            app=self.app,
            table=self.table,  # type: ignore[arg-type]
            configuration=self.configuration,
            clock=clock,
            metrics=register(METRICS, Metrics().registry),
            card_guard=True,
        )
        self.app.progress.begin({SOURCE: 0})

    async def _flush(self) -> None:
        await self.flushed.wait()

    async def take(self, *values: bytes) -> None:
        records = [Fetched(number, value) for number, value in enumerate(values)]
        await self.app.lanes.take({SOURCE: records}, self.app.consumer_generation_id)

    def rebalance(self) -> None:
        """As the consumer does it; the partition stays here."""
        self.app.progress.clear()
        self.app.lanes.clear()
        self.app.consumer_generation_id += 1
        self.app.progress.begin({SOURCE: 0})

    @property
    def position(self) -> int | None:
        return self.app.progress.position(SOURCE)


SOURCE = TP(topics.POS_EVENTS, HOME)


async def test_events_are_told_after_the_changelog_and_finished_after_what_was_told() -> None:
    lists = Lists()
    lists.producer.confirms = False
    values = [value for topic, value in PURCHASE if topic == topics.POS_EVENTS]
    taking = asyncio.ensure_future(lists.take(*values))
    await a_while()
    assert (lists.producer.given, lists.position) == ([], 0)
    lists.flushed.set()
    await taking
    await a_while()
    assert {topic for topic, _, _ in lists.producer.given} == {
        topics.TILL_EVENTS,
        topics.BASKET_COMPLETED,
    }
    assert (lists.position, lists.app.lanes.in_flight) == (0, 1)
    for written in lists.producer.written:
        written.set_result(None)
    await soon(lambda: lists.position == 6)


async def test_an_event_whose_telling_is_on_its_way_at_a_rebalance_waits_for_its_own() -> None:
    """If it were committed before, a crash would lose what was told."""
    lists = Lists()
    lists.flushed.set()
    lists.producer.confirms = False
    await lists.take(item(1, "1.99"))
    await a_while()
    lists.rebalance()
    await lists.take(item(1, "1.99"))
    await a_while()
    assert [topic for topic, _, _ in lists.producer.given] == [topics.TILL_EVENTS] * 2
    assert lists.position == 0
    lists.producer.written[1].set_result(None)
    await soon(lambda: lists.position == 1)


async def test_an_event_that_cannot_be_read_is_finished_with_its_dead_letter() -> None:
    lists = Lists()
    lists.flushed.set()
    await lists.take(b"nothing", item(1, "1"))
    await soon(lambda: lists.position == 2)
    assert lists.app.crashed == []


async def test_while_the_plugin_is_switched_off_events_wait_and_then_all_are_counted() -> None:
    lists = Lists()
    lists.flushed.set()
    lists.configuration.put_in_force(ConfigurationVersion(version=1, enabled=False))
    await lists.take(item(1, "1"), item(2, "1"))
    await a_while()
    assert (lists.producer.given, lists.table.kept, lists.position) == ([], {}, 0)
    lists.configuration.put_in_force(ConfigurationVersion(version=2))
    await lists.app.lanes.take({}, 1)
    await soon(lambda: lists.position == 2)
    assert len(of_topic(lists.producer.records, topics.TILL_EVENTS)) == 2


@pytest.mark.parametrize("lose", [move_away, freeze])
async def test_while_nothing_can_be_kept_events_wait_unfinished(lose: Any) -> None:
    """The topics grow, or the partition moves: the events come again, here or elsewhere."""
    lists = Lists()
    lists.flushed.set()
    lose(lists.table)
    await lists.take(item(1, "1"))
    await a_while()
    assert (lists.position, lists.app.lanes.open) == (0, 1)
    assert lists.app.crashed == []


async def test_where_nothing_can_be_written_the_app_ends_and_no_event_is_finished(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageFailed("the disk is full")

    lists = Lists()
    lists.flushed.set()
    monkeypatch.setattr(lists.table, "put_at", full)
    await lists.take(item(1, "1"))
    await soon(lambda: lists.app.crashed)
    assert isinstance(lists.app.crashed[0], StorageFailed)
    assert lists.position == 0
    assert "cannot go on at pos-events" in caplog.text
