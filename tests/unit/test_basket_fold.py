"""A basket is its events: compared with a second, obvious way to count them."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from agents.baskets.basket import Basket, Status
from agents.baskets.counting import count
from agents.baskets.fold import fold, in_order, is_repeat, take
from agents.baskets.held import HeldBasket
from agents.baskets.known import (
    MOST_EVENTS,
    Known,
    decode,
    encode,
)
from agents.baskets.till_events import (
    AnyEvent,
    DiscountApplied,
    Finalized,
    Identified,
    ItemAdded,
    ItemRemoved,
    NotIdentified,
    PaymentCompleted,
    PaymentRefunded,
    PriceOverridden,
    QuantityChanged,
    Started,
    Voided,
)
from posstream.domain.errors import UnreadableEvent
from posstream.domain.money import ONE
from tests.basket_events import event, events


class Reference:
    """Counts with decimals, and makes each sum anew of all lines."""

    def __init__(self, places: int = 2) -> None:
        self.places = places
        self.lines: list[dict[str, Any]] = []
        self.payments: dict[str, tuple[Decimal, str | None]] = {}
        self.refunds: dict[str, Decimal] = {}
        self.off = Decimal(0)
        self.customer: str | None = None
        self.identifier: str | None = None
        self.is_finalized = self.is_voided = False
        self.completed_at: int | None = None
        self.was = "OPEN"

    def cost(self, line: dict[str, Any]) -> Decimal:
        cost = line["price"] * line["quantity"]
        if line["quantity"] == int(line["quantity"]):
            return Decimal(cost)
        return Decimal(cost.quantize(Decimal(1).scaleb(-self.places), rounding=ROUND_HALF_UP))

    @property
    def subtotal(self) -> Decimal:
        return sum((self.cost(it) for it in self.lines), Decimal(0))

    @property
    def discount(self) -> Decimal:
        lines = sum(
            (min(it["off"], max(self.cost(it), Decimal(0))) for it in self.lines), Decimal(0)
        )
        return lines + min(self.off, max(self.subtotal - lines, Decimal(0)))

    @property
    def paid(self) -> Decimal:
        currencies = [name for _, name in self.payments.values() if name]
        counted = {None, *currencies[:1]}
        return sum((it for it, name in self.payments.values() if name in counted), Decimal(0))

    @property
    def status(self) -> str:
        covered = self.paid >= self.subtotal - self.discount
        if self.is_voided:
            return "VOIDED"
        if covered and (self.is_finalized or self.payments):
            return "PAID"
        return "FINALIZED" if self.is_finalized else "OPEN"

    def line(self, item_id: str) -> dict[str, Any] | None:
        return next((it for it in self.lines if it["id"] == item_id), None)

    def count(self, it: AnyEvent) -> None:  # noqa: C901, PLR0912 - a case each
        match it:
            case ItemAdded():
                line = self.line(it.item_id)
                if line is None:
                    line = {"id": it.item_id, "quantity": Decimal(0), "off": Decimal(0)}
                    self.lines.append(line)
                line["product"], line["price"] = it.product_id, Decimal(it.unit_price) / ONE
                line["quantity"] += Decimal(it.quantity) / ONE
            case ItemRemoved():
                left = None if it.quantity is None else Decimal(it.quantity) / ONE
                for line in self.lines[::-1]:
                    key, wanted = (
                        ("product", it.product_id) if it.item_id is None else ("id", it.item_id)
                    )
                    if line[key] == wanted:
                        taken = line["quantity"] if left is None else min(left, line["quantity"])
                        line["quantity"] -= taken
                        left = None if left is None else left - taken
            case QuantityChanged():
                if (line := self.line(it.item_id)) is not None:
                    line["quantity"] = Decimal(it.quantity) / ONE
            case PriceOverridden():
                if (line := self.line(it.item_id)) is not None:
                    line["price"] = Decimal(it.unit_price) / ONE
            case DiscountApplied():
                if it.item_id is None:
                    self.off += Decimal(it.amount) / ONE
                elif (line := self.line(it.item_id)) is not None:
                    line["off"] += Decimal(it.amount) / ONE
            case Finalized():
                self.is_finalized = True
            case Voided():
                self.is_voided = True
            case PaymentCompleted():
                self.payments[it.payment_id] = Decimal(it.amount) / ONE, it.currency
            case PaymentRefunded():
                self.refunds[it.refund_id] = Decimal(it.amount) / ONE
            case Started():
                self.identifier = self.identifier or it.customer_identifier
            case Identified():
                self.customer, self.identifier = it.customer_id, it.customer_identifier
            case NotIdentified():
                if self.customer is None:
                    self.identifier = it.customer_identifier
        self.lines = [line for line in self.lines if line["quantity"]]
        if self.status != self.was:
            self.completed_at = it.occurred_at_ms if self.status == "PAID" else None
        self.was = self.status


def counted(known: Sequence[AnyEvent], places: int = 2) -> dict[str, Any]:
    """The second way."""
    reference = Reference(places)
    for it in sorted(known, key=lambda it: (it.occurred_at_ms, it.event_id)):
        reference.count(it)
    return {
        "revision": len(known),
        "status": reference.status,
        "completed_at": reference.completed_at,
        "lines": [(it["id"], it["product"], it["quantity"]) for it in reference.lines],
        "subtotal": reference.subtotal,
        "discount": reference.discount,
        "paid": reference.paid,
        "refunded": sum(reference.refunds.values(), Decimal(0)),
        "customer": reference.customer,
        "identifier": reference.identifier,
    }


def shown(basket: Basket) -> dict[str, Any]:
    """A basket as `counted` tells one."""
    return {
        "revision": basket.revision,
        "status": basket.status,
        "completed_at": basket.completed_at_ms,
        "lines": [
            (it.item_id, it.product_id, Decimal(it.quantity) / ONE) for it in basket.items.values()
        ],
        "subtotal": Decimal(basket.sums.subtotal) / ONE,
        "discount": Decimal(basket.sums.discount) / ONE,
        "paid": Decimal(basket.paid) / ONE,
        "refunded": Decimal(basket.refunded) / ONE,
        "customer": basket.customer_id,
        "identifier": basket.customer_identifier,
    }


# -- in general


@given(events(), st.integers(0, 4))
def test_the_fold_gives_what_an_obvious_count_gives(known: list[AnyEvent], places: int) -> None:
    assert counted(known, places) == shown(fold(known, places=places))


@given(st.data())
def test_order_and_repeats_change_neither_basket_nor_revision(data: st.DataObject) -> None:
    known = data.draw(events())
    repeats = data.draw(st.lists(st.sampled_from(known))) if known else []
    later = [replace(it, written_at_ms=it.written_at_ms + 60_000) for it in repeats]
    came = data.draw(st.permutations([*known, *repeats, *later]))
    assert fold(known) == fold(came)


@given(st.data())
def test_two_events_under_one_id_give_one_basket_in_whatever_order_they_come(
    data: st.DataObject,
) -> None:
    known = data.draw(events())
    others = [replace(it, event_id="ev00") for it in data.draw(events(most=4))]
    came = data.draw(st.permutations([*known, *others, *others]))
    assert fold([*known, *others]) == fold(came)


@given(st.data())
def test_however_events_are_delivered_the_table_has_each_one_once(data: st.DataObject) -> None:
    known = data.draw(events())
    repeats = data.draw(st.lists(st.sampled_from(known))) if known else []
    kept = None
    for it in data.draw(st.permutations([*known, *repeats])):
        held = HeldBasket(kept, places=2)
        if held.index_of(it) is None:
            held.add(it)
        kept = held.value(now_ms=7)
    found = decode(kept)
    assert sorted(known, key=lambda it: it.event_id) == sorted(
        found.events, key=lambda it: it.event_id
    )
    assert kept in (None, encode(found)), "packed one by one or at once, it is the same"


@given(events())
def test_an_event_that_comes_again_to_another_generation_is_written_once_more(
    known: list[AnyEvent],
) -> None:
    """The store of a worker that was killed may be ahead of its changelog."""
    held = HeldBasket(None, places=2)
    for it in known:
        count(held, "b", it, 7, None)
    kept = held.value(7)
    held.note_kept(kept)
    for it in known:  # to the worker that told them
        count(held, "b", it, 7, None)
        assert not held.is_changed
    for it in known:
        restarted = HeldBasket(kept, places=2)
        count(restarted, "b", it, 7, None)
        assert restarted.is_changed
        assert restarted.value(7) == kept


@given(events())
def test_sums_never_pay_out_a_discount(known: list[AnyEvent]) -> None:
    basket = Basket()
    for it in in_order(known):
        take(basket, it)
        given_back = sum(min(0, basket.full_cost_of(item)) for item in basket.items.values())
        assert basket.sums.discount >= 0
        assert basket.sums.total >= given_back


# -- one by one


def at(time: int, kind: type[Any], *fields: Any, event_id: str | None = None) -> Any:
    return event(kind, fields, time, event_id or f"ev{time:02}")


ITEM = at(1, ItemAdded, "i1", "p1", 19_900, 2 * ONE)
FINAL = at(5, Finalized)


def pay(time: int, amount: int, payment_id: str = "pay1", currency: str | None = None) -> Any:
    return at(time, PaymentCompleted, payment_id, amount, currency)


def test_events_of_one_time_count_in_the_order_of_their_ids() -> None:
    first = at(3, QuantityChanged, "i1", ONE, event_id="a")
    second = at(3, QuantityChanged, "i1", 3 * ONE, event_id="b")
    assert fold([ITEM, second, first]).items["i1"].quantity == 3 * ONE


@pytest.mark.parametrize(
    ("known", "status", "completed_at"),
    [
        ([], Status.OPEN, None),
        ([ITEM], Status.OPEN, None),
        ([ITEM, FINAL], Status.FINALIZED, None),
        ([ITEM, FINAL, pay(6, 39_799)], Status.FINALIZED, None),
        ([ITEM, FINAL, pay(6, 39_800)], Status.PAID, 6),
        ([ITEM, FINAL, pay(6, 20_000), pay(7, 19_800, "pay2")], Status.PAID, 7),
        ([ITEM, FINAL, pay(6, 39_800), pay(7, 39_800, "pay2")], Status.PAID, 6),
        ([ITEM, pay(2, 39_800)], Status.PAID, 2),
        ([ITEM, pay(2, 39_800), FINAL], Status.PAID, 2),
        ([ITEM, pay(2, 39_799)], Status.OPEN, None),
        ([ITEM, pay(2, 39_800), at(3, ItemAdded, "i2", "p2", 1, ONE)], Status.OPEN, None),
        ([ITEM, pay(2, 39_800), at(3, ItemRemoved, "i1", None)], Status.PAID, 2),
        ([ITEM, FINAL, at(6, DiscountApplied, 99_999, None)], Status.PAID, 6),
        ([FINAL], Status.PAID, 5),
        ([ITEM, at(2, Voided)], Status.VOIDED, None),
        ([ITEM, pay(2, 39_800), at(3, Voided)], Status.VOIDED, None),
        ([ITEM, at(2, Voided), pay(3, 39_800)], Status.VOIDED, None),
        ([ITEM, pay(2, 39_800), at(3, PaymentRefunded, "r", 39_800)], Status.PAID, 2),
    ],
)
def test_what_became_of_a_basket(
    known: list[AnyEvent], status: Status, completed_at: int | None
) -> None:
    basket = fold(known)
    assert (status, completed_at) == (basket.status, basket.completed_at_ms)


def test_a_payment_that_is_told_twice_counts_once_and_one_in_foreign_money_not_at_all() -> None:
    basket = fold(
        [
            pay(1, 5_000, "a", "EUR"),
            pay(2, 7_000, "b", "CHF"),
            pay(3, 6_000, "a", "EUR"),
            pay(4, 1_000, "c"),
        ]
    )
    assert (basket.paid, basket.currency) == (7_000, "EUR")


def test_money_of_a_payment_that_turns_out_to_be_foreign_is_that_of_the_basket() -> None:
    basket = fold([pay(1, 5_000, "a", "EUR"), pay(2, 7_000, "b", "CHF"), pay(3, 5_000, "a", "CHF")])
    assert (basket.paid, basket.currency) == (12_000, "CHF")


def test_a_refund_changes_what_was_given_back_and_nothing_else() -> None:
    before = fold([ITEM, pay(2, 39_800)])
    after = fold([ITEM, pay(2, 39_800), at(3, PaymentRefunded, "r1", 19_900, "pay1")])
    assert (before.refunded, after.refunded) == (0, 19_900)
    assert (before.sums, before.paid, before.status) == (after.sums, after.paid, after.status)


def test_an_item_is_taken_out_by_its_own_id_and_by_its_products_only_without_one() -> None:
    items = [at(time, ItemAdded, f"i{time}", "p1", 10_000, 2 * ONE) for time in (1, 2, 3)]

    def left(*fields: Any) -> dict[str, int]:
        basket = fold([*items, at(4, ItemRemoved, *fields)])
        return {it.item_id: it.quantity for it in basket.items.values()}

    assert left("i2", "p1") == {"i1": 2 * ONE, "i3": 2 * ONE}
    assert left("gone", "p1") == {"i1": 2 * ONE, "i2": 2 * ONE, "i3": 2 * ONE}
    assert left(None, "p1") == {}
    assert left(None, "p1", 3 * ONE) == {"i1": 2 * ONE, "i2": ONE}, "the newest first"
    assert left(None, "p2") == left("gone", "p1")


def test_who_sells_where_is_what_the_start_says_else_the_first_event_that_says_it() -> None:
    start = at(9, Started, "7", "t9", None)
    early, late = at(2, Finalized), at(3, Voided)  # only odd times have an employee
    assert (fold([early, late]).employee_id, fold([early]).terminal_id) == ("e0", "t1")
    started = fold([early, late, start])
    assert (started.employee_id, started.terminal_id, started.started_at_ms) == ("7", "t9", 9)


def test_a_late_identification_counts_at_its_own_time_and_a_failed_one_drops_no_customer() -> None:
    first, second = at(2, Identified, "+1", "C1", "GOLD"), at(4, Identified, "+2", "C2")
    failed = at(6, NotIdentified, "+3", "NOT_FOUND")
    basket = fold([failed, second, first])
    assert (basket.customer_id, basket.customer_identifier, basket.tier) == ("C2", "+2", None)
    assert fold([failed]).customer_identifier == "+3"


def test_weighed_items_are_rounded_line_by_line_to_the_places_of_the_currency() -> None:
    known = [at(time, ItemAdded, f"i{time}", "p", 10_000, 5_050) for time in (1, 2)]
    assert [fold(known, places=it).sums.total for it in (0, 1, 2, 3)] == [
        20_000,
        10_000,
        10_200,
        10_100,
    ]


# -- what the table keeps


@given(events())
def test_the_table_gives_back_what_it_was_given(known: list[AnyEvent]) -> None:
    kept = Known(was_paid=True, events=tuple(known), counted_at_ms=5)
    assert kept == decode(encode(kept))


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x93\xc3\x91\x91\xa1x\x00", b"{}"])
def test_a_value_of_another_version_is_an_empty_basket(value: bytes) -> None:
    assert Known() == decode(value)


def test_a_basket_with_two_thousand_events_refuses_the_next_and_still_knows_its_repeats() -> None:
    full = Known(
        events=tuple(at(number, Finalized, event_id=str(number)) for number in range(MOST_EVENTS))
    )
    held = HeldBasket(encode(full), places=2)
    with pytest.raises(UnreadableEvent, match=r"^basket_id is that of a basket with 2,000 events"):
        held.add(FINAL)
    assert (held.events, held.is_changed) == (list(full.events), False)
    assert held.index_of(full.events[5]) == 5
    assert held.value(now_ms=0) == encode(full)


def test_a_repeat_says_the_same_under_the_same_id_whenever_it_was_written() -> None:
    assert is_repeat(replace(ITEM, written_at_ms=99), ITEM)
    assert not is_repeat(replace(ITEM, quantity=ONE), ITEM)
    assert not is_repeat(replace(ITEM, event_id="other"), ITEM)
    assert asdict(ITEM)["written_at_ms"] == 2
